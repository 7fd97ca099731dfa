package pages

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/internal/view"
	"gearloop/web/guard"
)

// functionPage is the data of a function's page.
type functionPage struct {
	Root     string
	Name     string
	Function api.Function
	Causes   []api.Cause
	Can      bool
	Actions  []button
	Times    []times
	Failed   []fact // lately, by outcome
	Tab      string // "": viewers are shown no jobs and no workers
	Tabs     []link
	Jobs     api.Page[api.Job]
	Workers  api.Page[api.Connection]
	Before   int // jobs that come before the page's first one, in the order of next; below 0: not known
	Next     string
}

// times are quantiles of a function's jobs.
type times struct {
	Name, Means string
	*api.Quantiles
}

// functionTabs are the lists on a function's page, by their names in the query.
var functionTabs = []string{"next", "running", "workers", "delayed"}

func (p *Pages) function(w http.ResponseWriter, r *http.Request) {
	name := named(r)
	p.cfg.Source.WatchFunctions()
	f, ok := p.cfg.Source.Function(name)
	if !ok {
		p.missing(w, r, fmt.Sprintf("there is no function %q: it has neither jobs nor workers", monitor.Printable(name)))
		return
	}
	data := functionPage{Root: root(r), Name: name, Function: f, Can: p.can(r), Actions: functionButtons(&f, p.cfg.Source.Keeper() != nil)}
	if p.cfg.Explain != nil {
		data.Causes = p.cfg.Explain(name, "")
	}
	if l := f.Lately; l != nil {
		data.Times = []times{
			{"wait", "from submission, or when it was due or put back, until a worker got it", l.Wait},
			{"run", "from then until the worker ended it or lost it", l.Run},
			{"duration", "from submission to the end", l.Duration},
		}
		for outcome, n := range l.Failed {
			data.Failed = append(data.Failed, fact{outcome, number(n)})
		}
		sortFacts(data.Failed)
	}
	in := r.URL.Query()
	if views(r) {
		data.Function, data.Causes = view.FunctionForViewer(f), view.CausesForViewer(data.Causes)
	} else if err := p.functionTab(&data, in.Get("tab"), in.Get("cursor")); err != nil {
		p.failed(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "function", visible(name), in.Get("cursor") == "", data)
}

// functionTab adds the list that a tab shows, from a cursor on.
func (p *Pages) functionTab(data *functionPage, tab, cursor string) (err error) {
	data.Tab = cmp.Or(tab, functionTabs[0])
	f, self := &data.Function, "./"+string(segment(data.Name))
	jobs := view.JobQuery{Limit: rowsShown, Cursor: cursor}
	jobs.Function, jobs.FunctionBase64 = api.Split(data.Name)
	next := ""
	switch data.Tab {
	case "next":
		jobs.Next = true
		data.Jobs, err = p.cfg.Source.Jobs(jobs)
		next = data.Jobs.Next
		data.Before = -1
		if len(data.Jobs.Items) > 0 {
			if n, ok := p.cfg.Source.Sched().Ahead(data.Jobs.Items[0].Handle); ok {
				data.Before = n
			}
		}
	case "running", "delayed":
		jobs.State = data.Tab
		data.Jobs, err = p.cfg.Source.Jobs(jobs)
		// A name may be a pattern, too, and match others.
		data.Jobs.Items = slices.DeleteFunc(data.Jobs.Items, func(j api.Job) bool {
			return api.Join(j.Function, j.FunctionBase64) != data.Name
		})
		next = data.Jobs.Next
	case "workers":
		data.Workers, err = p.cfg.Source.Connections(view.ConnectionQuery{
			Only: "workers", Function: data.Name, Limit: rowsShown, Cursor: cursor,
		})
		next = data.Workers.Next
	default:
		return guard.NewProblem(http.StatusBadRequest,
			fmt.Sprintf("tab is %q: it must be one of %s", data.Tab, strings.Join(functionTabs, ", ")))
	}
	if next != "" {
		data.Next = with(self, query("tab", data.Tab, "cursor", next))
	}
	for _, t := range [...]struct {
		tab, name string
		n         int
	}{
		{"next", "next waiting", f.Waiting}, {"running", "running", f.Running},
		{"workers", "workers", f.Workers}, {"delayed", "delayed", f.Delayed},
	} {
		data.Tabs = append(data.Tabs, link{t.name + " " + number(t.n), with(self, query("tab", t.tab)), t.tab == data.Tab})
	}
	return err
}

// slash leads to the function "/" where its name stands in the path: a mux takes %2F there for the end of the
// path.
func (p *Pages) slash(w http.ResponseWriter, r *http.Request) {
	to := "../functions"
	if strings.HasSuffix(strings.ToUpper(r.URL.EscapedPath()), "%2F") {
		to = "./" + string(segment("/"))
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

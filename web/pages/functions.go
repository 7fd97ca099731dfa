package pages

import (
	"cmp"
	"net/http"

	"gearloop/api"
	"gearloop/internal/view"
)

// head is the head of a column.
type head struct {
	Name, Title, Link, Sorted string
	Number                    bool
}

// functionList is the table of functions.
type functionList struct {
	Root      string
	Functions api.Page[api.Function]
	Heads     []head
	Empty     string
}

// functionList returns the table for a query. sortable: its heads are links that sort it.
func (p *Pages) functionList(r *http.Request, q view.FunctionQuery, sortable bool) (list functionList, err error) {
	list.Root = root(r)
	if list.Functions, err = p.cfg.Source.Functions(q); err != nil {
		return list, err
	}
	for i := range list.Functions.Items {
		if f := &list.Functions.Items[i]; views(r) {
			*f = view.FunctionForViewer(*f)
		}
	}
	for _, h := range [...]struct {
		name, sort, title string
		number            bool
	}{
		{"function", "name", "", false},
		{"waiting", "waiting", "jobs that a worker could get", true},
		{"h/n/l", "high", "waiting by priority: high/normal/low; sorted by high", true},
		{"oldest", "oldest", "how long the oldest job has waited", true},
		{"limit", "max_queue", "how many jobs the queue takes; – is any number", true},
		{"running", "running", "jobs that workers have", true},
		{"workers", "workers", "connections that can do it", true},
		{"asleep", "asleep", "workers that wait for NOOP", true},
		{"/s", "rate", "jobs ended per second", true},
		{"failed", "fail_share", "of the jobs that ended in the last minutes", true},
		{"wait p99", "wait_p99", "99 % of the jobs of the last minutes waited no longer", true},
		{"5 minutes", "", "jobs ended, in each 5 seconds", false},
		{"state", "state", "", false},
	} {
		c := head{Name: h.name, Number: h.number, Title: h.title}
		if h.sort != "" && sortable {
			to := h.sort
			if cmp.Or(q.Sort, "name") == h.sort {
				c.Sorted, to = "descending", "-"+h.sort
				if h.sort == "name" {
					c.Sorted = "ascending"
				}
			} else if q.Sort == "-"+h.sort {
				c.Sorted = "ascending"
				if h.sort == "name" {
					c.Sorted = "descending"
				}
			}
			c.Link = "functions?" + query("match", q.Match, "only", q.Only, "sort", to)
		}
		list.Heads = append(list.Heads, c)
	}
	return list, nil
}

func (p *Pages) functions(w http.ResponseWriter, r *http.Request) {
	in := r.URL.Query()
	q := view.FunctionQuery{
		Match: in.Get("match"), Only: in.Get("only"), Sort: in.Get("sort"), Limit: rowsShown, Cursor: in.Get("cursor"),
	}
	list, err := p.functionList(r, q, true)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	list.Empty = "No function matches."
	data := struct {
		functionList
		Query view.FunctionQuery
		Total int
		Tabs  []link
		Next  string
		Act   string // where all their jobs can be acted on
	}{functionList: list, Query: q}
	if list.Functions.Total != nil {
		data.Total = *list.Functions.Total
	}
	for _, t := range [...][2]string{
		{"all", ""}, {"with jobs", "jobs"}, {"no workers", "no_workers"}, {"failing", "failing"}, {"paused", "paused"}, {"closed", "closed"},
	} {
		data.Tabs = append(data.Tabs, link{t[0], "functions?" + query("match", q.Match, "sort", q.Sort, "only", t[1]), q.Only == t[1]})
	}
	if next := list.Functions.Next; next != "" {
		data.Next = "functions?" + query("match", q.Match, "only", q.Only, "sort", q.Sort, "cursor", next)
	}
	// A filter of jobs can say which functions match, and that there are jobs; not what else the functions are.
	if p.can(r) && (q.Only == "" || q.Only == "jobs") && data.Total > 0 {
		data.Act = "jobs?" + query("function", q.Match, "act", "1")
	}
	p.show(w, r, http.StatusOK, "functions", "Functions", q.Cursor == "", data)
}

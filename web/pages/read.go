package pages

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/internal/view"
	"gearloop/web"
	"gearloop/web/guard"
)

const (
	rowsShown = 100
	// argumentShown is how many bytes of an argument a job's page shows.
	argumentShown = 4 << 10
)

// head is the head of a column.
type head struct {
	Name, Link, Sorted string
	Number             bool
}

// functionList is the table of functions.
type functionList struct {
	Root      string
	Functions api.Page[api.Function]
	Heads     []head
	Empty     string
}

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) {
	list, err := p.functionList(r, view.FunctionQuery{Only: "jobs", Sort: "oldest", Limit: 10}, false)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	list.Empty = "No job waits or runs."
	data := struct {
		functionList
		Server api.Server
		Rates  map[string]float64 // in the last second
		Charts []Chart
		Spans  []link
		Can    bool
		Loops  []fact
		Store  []fact
	}{functionList: list, Server: p.cfg.Source.Server(), Can: p.can(r)}
	for _, l := range p.cfg.Source.Loops() {
		data.Loops = append(data.Loops, fact{"loop " + strconv.Itoa(l.Index),
			fmt.Sprintf("%s connections, turn p99 %s, lag p99 %s", number(l.Connections), ms(l.TurnP99), ms(l.LagP99))})
	}
	if st, ok := p.cfg.Source.Store(); ok {
		state := "well"
		if !st.Up {
			state = st.Error
		}
		data.Store = []fact{{"state", state}, {"jobs", number(st.Jobs)}, {"on disk", size(st.Disk)}, {"sync p99", ms(st.SyncP99)}}
	}
	data.Rates, data.Charts, data.Spans = p.past(r)
	p.show(w, r, http.StatusOK, "overview", "Overview", true, data)
}

// spans are the ranges of charts, by the step of their points in seconds.
var spans = [...]struct {
	step int
	name string
}{{1, "10 minutes"}, {10, "6 hours"}, {300, "7 days"}}

// past returns the data of charts: the requested span, and the rates of the last second.
func (p *Pages) past(r *http.Request) (rates map[string]float64, charts []Chart, choice []link) {
	step := spans[0].step
	for _, s := range spans {
		if r.URL.Query().Get("span") == strconv.Itoa(s.step) {
			step = s.step
		}
	}
	for _, s := range spans {
		choice = append(choice, link{s.name, "./?span=" + strconv.Itoa(s.step), s.step == step})
	}
	seconds, _ := p.cfg.Source.History(1) // empty before the first look
	rates = map[string]float64{}
	for name, values := range seconds.Series {
		if len(values) > 0 {
			rates[name] = values[len(values)-1]
		}
	}
	h, err := p.cfg.Source.History(step)
	if err != nil || len(h.Times) < 2 {
		return rates, nil, choice
	}
	const milli = 1000
	for _, c := range [...]struct {
		id, title string
		factor    float64
		series    [][2]string
	}{
		{"rates", "Jobs per second", 1, [][2]string{{"submitted", api.SeriesSubmitted}, {"ended", api.SeriesEnded}, {"failed", api.SeriesFailed}}},
		{"waits", "Time that jobs wait, in milliseconds", milli, [][2]string{{"p50", api.SeriesWaitP50}, {"p99", api.SeriesWaitP99}}},
		{"there", "Jobs", 1, [][2]string{{"waiting", api.SeriesWaiting}, {"running", api.SeriesRunning}}},
		{"loops", "Lag of event loops, p99, in milliseconds", milli, [][2]string{{"lag", api.SeriesLagP99}}},
	} {
		chart := Chart{ID: c.id, Title: c.title, Times: h.Times}
		for _, s := range c.series {
			values := make([]float64, len(h.Times))
			for i, v := range h.Series[s[1]] {
				values[i] = v * c.factor
			}
			chart.Series, chart.Values = append(chart.Series, s[0]), append(chart.Values, values)
		}
		charts = append(charts, chart)
	}
	return rates, charts, choice
}

// Now returns the newest number of each series.
func (c Chart) Now() (all []fact) {
	for i, name := range c.Series {
		all = append(all, fact{name, plain(c.Values[i][len(c.Times)-1])})
	}
	return all
}

// plain returns a number with some three digits, as app.js does.
func plain(v float64) string {
	switch {
	case v >= 99.95:
		return monitor.Number(int64(v + .5))
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

// Rows returns the numbers of a chart, newest first.
func (c Chart) Rows() (rows []chartRow) {
	for i := len(c.Times) - 1; i >= 0 && len(rows) < 30; i-- {
		row := chartRow{At: time.Unix(c.Times[i], 0).Format(time.TimeOnly)}
		for _, v := range c.Values {
			row.Values = append(row.Values, plain(v[i]))
		}
		rows = append(rows, row)
	}
	return rows
}

type chartRow struct {
	At     string
	Values []string
}

// functionList returns the table for a query. sortable: its heads are links that sort it.
func (p *Pages) functionList(r *http.Request, q view.FunctionQuery, sortable bool) (list functionList, err error) {
	list.Root = root(r)
	if list.Functions, err = p.cfg.Source.Functions(q); err != nil {
		return list, err
	}
	for _, h := range [...]struct {
		name, sort string
		number     bool
	}{
		{"function", "name", false}, {"waiting", "waiting", true}, {"oldest", "oldest", true}, {"running", "running", true},
		{"workers", "workers", true}, {"ended", "ended", true}, {"badly", "failed", true}, {"last 5 minutes", "", false}, {"state", "", false},
	} {
		c := head{Name: h.name, Number: h.number}
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

// query returns pairs as a query, without those that are empty.
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v.Encode()
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
	}{functionList: list, Query: q}
	if list.Functions.Total != nil {
		data.Total = *list.Functions.Total
	}
	for _, t := range [...][2]string{{"all", ""}, {"with jobs", "jobs"}, {"no workers", "no_workers"}, {"failing", "failing"}, {"paused", "paused"}, {"closed", "closed"}} {
		data.Tabs = append(data.Tabs, link{t[0], "functions?" + query("match", q.Match, "sort", q.Sort, "only", t[1]), q.Only == t[1]})
	}
	if next := list.Functions.Next; next != "" {
		data.Next = "functions?" + query("match", q.Match, "only", q.Only, "sort", q.Sort, "cursor", next)
	}
	p.show(w, r, http.StatusOK, "functions", "Functions", q.Cursor == "", data)
}

// can reports whether the author of a request may act here.
func (p *Pages) can(r *http.Request) bool {
	return p.cfg.Actions != nil && !p.cfg.Guard.ReadOnly() && guard.From(r.Context()).Role >= guard.Operator
}

// jobList is the table of jobs.
type jobList struct {
	Root  string
	Jobs  api.Page[api.Job]
	Empty string
}

func (p *Pages) function(w http.ResponseWriter, r *http.Request) {
	name := named(r)
	f, ok := p.cfg.Source.Function(name)
	if !ok {
		p.missing(w, r, fmt.Sprintf("there is no function %q: it has neither jobs nor workers", monitor.Printable(name)))
		return
	}
	jobs := view.JobQuery{Limit: 20}
	jobs.Function, jobs.FunctionBase64 = api.Split(name)
	list := jobList{Root: root(r), Empty: "No job of this function."}
	var err error
	if list.Jobs, err = p.cfg.Source.Jobs(jobs); err != nil {
		p.failed(w, r, err)
		return
	}
	data := struct {
		jobList
		Name     string
		Function api.Function
		Causes   []api.Cause
		Can      bool
		Actions  []button
	}{list, name, f, nil, p.can(r), functionButtons(&f, p.cfg.Source.Keeper() != nil)}
	if p.cfg.Explain != nil {
		data.Causes = p.cfg.Explain(name, "")
	}
	p.show(w, r, http.StatusOK, "function", monitor.Printable(name), true, data)
}

var (
	jobStates     = []string{api.JobWaiting, api.JobRunning, api.JobDelayed, api.JobStoring, api.JobShelved}
	jobPriorities = []string{"high", "normal", "low"}
)

func (p *Pages) jobs(w http.ResponseWriter, r *http.Request) {
	in := r.URL.Query()
	q := view.JobQuery{Limit: rowsShown, Cursor: in.Get("cursor")}
	q.Function, q.FunctionBase64 = api.Split(in.Get("function"))
	q.State, q.Priority, q.Unique = in.Get("state"), in.Get("priority"), in.Get("unique")
	list := jobList{Root: root(r), Empty: "No job matches, of those that were looked at."}
	var err error
	if list.Jobs, err = p.cfg.Source.Jobs(q); err != nil {
		p.failed(w, r, err)
		return
	}
	data := struct {
		jobList
		Query              api.JobFilter
		Sub                string
		States, Priorities []string
		Next               string
		Can                bool
		Bulk               []fact
		Filter             string
	}{jobList: list, Query: q.JobFilter, States: jobStates, Priorities: jobPriorities, Can: p.can(r), Bulk: bulkActions, Filter: in.Get("function")}
	t := p.cfg.Source.Totals()
	data.Sub = number(t.Waiting) + " waiting, " + number(t.Running) + " running"
	if next := list.Jobs.Next; next != "" {
		data.Next = "jobs?" + query("function", in.Get("function"), "state", q.State, "priority", q.Priority, "unique", q.Unique, "cursor", next)
	}
	p.show(w, r, http.StatusOK, "jobs", "Jobs", false, data)
}

// argument is the beginning of a job's argument for display.
type argument struct {
	Text      string
	Size      int
	Truncated bool
	Hex       bool
	Raw       string
}

func (p *Pages) job(w http.ResponseWriter, r *http.Request) {
	handle := r.PathValue("handle")
	j, ok := p.cfg.Source.Job(handle)
	if !ok {
		p.missing(w, r, fmt.Sprintf("there is no job %q: it has ended, or never was", monitor.Printable(handle)))
		return
	}
	data := struct {
		Root         string
		Gone         bool // the worker alone has the argument
		Job          api.Job
		Causes       []api.Cause
		Can          bool
		Actions      []button
		ShowArgument bool
		Argument     *argument
	}{Root: root(r), Job: j, Can: p.can(r), Actions: jobButtons(&j)}
	if p.cfg.Explain != nil {
		data.Causes = p.cfg.Explain(api.Join(j.Function, j.FunctionBase64), handle)
	}
	data.Gone = j.State == api.JobRunning && !j.Background && j.ArgumentSize == 0
	if data.ShowArgument = guard.From(r.Context()).Role >= guard.Reader; data.ShowArgument {
		data.Argument = p.beginning(handle)
	}
	p.show(w, r, http.StatusOK, "job", monitor.Printable(handle), true, data)
}

// beginning returns the beginning of a job's argument, or nil.
func (p *Pages) beginning(handle string) *argument {
	b, whole, err := p.cfg.Source.Argument(handle, argumentShown)
	if err != nil {
		return nil
	}
	a := &argument{Size: whole, Truncated: whole > len(b), Raw: "./" + string(segment(handle)) + "/argument"}
	for n := 0; a.Truncated && n < utf8.UTFMax && !utf8.Valid(b) && len(b) > 0; n++ {
		b = b[:len(b)-1] // remove a truncated character
	}
	if a.Text = string(b); !utf8.Valid(b) || strings.ContainsRune(a.Text, 0) {
		a.Text, a.Hex = hex.Dump(b), true
	} else {
		a.Text = legible(a.Text)
	}
	return a
}

// legible returns a text for display: line breaks stay, and what could change how the rest is read (control
// characters, marks of text direction) is written as \uNNNN.
func legible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || r == '\r' || r == ' ' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// argument serves a job's whole argument as a download.
func (p *Pages) argument(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if err := web.ServeArgument(w, p.cfg.Source.Sched(), r.PathValue("handle")); err != nil {
		p.missing(w, r, "the argument can't be read, or the job has ended")
	}
}

func (p *Pages) workers(w http.ResponseWriter, r *http.Request) {
	in := r.URL.Query()
	q := view.ConnectionQuery{Match: in.Get("match"), Only: cmp.Or(in.Get("only"), "workers"), Limit: rowsShown, Cursor: in.Get("cursor")}
	if q.Only == "all" {
		q.Only = ""
	}
	list, err := p.cfg.Source.Connections(q)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	data := struct {
		Root        string
		Connections api.Page[api.Connection]
		Match, Sub  string
		Tabs        []link
		Next        string
		Can         bool
	}{Root: root(r), Connections: list, Match: q.Match, Can: p.can(r)}
	t := p.cfg.Source.Totals()
	data.Sub = fmt.Sprintf("%s connections, %s workers asleep", number(t.Connections), number(t.Asleep))
	only := cmp.Or(q.Only, "all")
	for _, t := range [...]string{"workers", "clients", "all"} {
		data.Tabs = append(data.Tabs, link{t, "workers?" + query("match", q.Match, "only", t), only == t})
	}
	if list.Next != "" {
		data.Next = "workers?" + query("match", q.Match, "only", only, "cursor", list.Next)
	}
	p.show(w, r, http.StatusOK, "workers", "Workers", q.Cursor == "", data)
}

// find redirects a search: to a job by its handle, to jobs by a unique id, or to functions.
func (p *Pages) find(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	to := "functions?" + query("match", "*"+strings.Trim(q, "*")+"*")
	if _, ok := p.cfg.Source.Job(q); ok {
		to = "jobs/" + string(segment(q))
	} else if _, ok := p.cfg.Source.Function(q); ok {
		to = "functions/" + string(segment(q))
	} else if found, err := p.cfg.Source.Jobs(view.JobQuery{JobFilter: api.JobFilter{Unique: q}, Limit: 1}); q != "" && err == nil && len(found.Items) > 0 {
		to = "jobs?" + query("unique", q)
	}
	w.Header().Set("Location", "./"+to)
	w.WriteHeader(http.StatusSeeOther)
}

// fact is a name and its value.
type fact struct{ Name, Value string }

type card struct {
	Title string
	Facts []fact
}

type table struct {
	Title   string
	Heads   []string
	Rows    [][]string
	Numbers bool   // all but the first column are numbers
	Empty   string // what is said when there are no rows
}

// auditShown is how many entries of the audit log stand on the page of the system.
const auditShown = 20

// auditTable returns what operators have done last.
func (p *Pages) auditTable() table {
	t := table{Title: "What operators have done", Heads: []string{"at", "by", "action", "target", "result", "reason"}, Empty: "Nothing since the start."}
	if p.cfg.Actions == nil {
		return t
	}
	for _, e := range p.cfg.Actions.Audit(auditShown) {
		result := e.Result
		if e.Count > 0 {
			result += ", " + jobs(e.Count)
		}
		t.Rows = append(t.Rows, []string{stamp(e.At), e.By + " (" + e.Role + ")", e.Action, e.Target, result, e.Reason})
	}
	return t
}

func (p *Pages) system(w http.ResponseWriter, r *http.Request) {
	s := p.cfg.Source
	data := struct {
		Server   api.Server
		Cards    []card
		Tables   []table
		Defaults *table // options, for those who may see them
	}{Server: s.Server()}
	m := s.Memory()
	memory := card{Title: "Memory"}
	for name, n := range m.Parts {
		memory.Facts = append(memory.Facts, fact{name, size(n)})
	}
	sortFacts(memory.Facts)
	memory.Facts = append(memory.Facts, fact{"Go heap", size(m.Heap)}, fact{"resident", size(m.RSS)}, fact{"limit for jobs", size(m.Limit)})
	data.Cards = append(data.Cards, memory)
	if st, ok := s.Store(); ok {
		state := "well"
		if !st.Up {
			state = st.Error
		}
		data.Cards = append(data.Cards, card{"Store", []fact{
			{"state", state}, {"directory", st.Directory}, {"sync", st.Sync}, {"jobs", number(st.Jobs)}, {"live", size(st.Live)},
			{"on disk", size(st.Disk)}, {"free", size(st.Free)}, {"waits to be written", size(st.Queued)}, {"segments", number(st.Segments)},
			{"sync p50, p99", ms(st.SyncP50) + ", " + ms(st.SyncP99)}, {"failures", number(st.Failures)},
		}})
	}
	refused := card{Title: "Submissions refused"}
	for why, n := range data.Server.Totals.Refused {
		refused.Facts = append(refused.Facts, fact{why, number(n)})
	}
	sortFacts(refused.Facts)
	data.Cards = append(data.Cards, refused)
	loops := table{Title: "Event loops", Heads: []string{"loop", "connections", "turns", "packets", "writes", "lag", "lag p99", "turn p99", "output that waits"}}
	for _, l := range s.Loops() {
		loops.Rows = append(loops.Rows, []string{
			strconv.Itoa(l.Index), number(l.Connections), short(l.Turns), short(l.Packets), short(l.Writes),
			ms(l.Lag), ms(l.LagP99), ms(l.TurnP99), size(l.Buffered),
		})
	}
	listeners := table{Title: "Listeners", Heads: []string{"address", "kind"}}
	for _, l := range data.Server.Listeners {
		listeners.Rows = append(listeners.Rows, []string{l.Address, l.Kind})
	}
	loops.Numbers = true
	data.Tables = []table{loops, listeners}
	if guard.From(r.Context()).Role >= guard.Reader {
		data.Tables = append(data.Tables, p.auditTable())
		given := table{Title: "Options that were given", Heads: []string{"option", "value", "from"}, Empty: "None: all have their defaults."}
		data.Defaults = &table{Title: "Options with their defaults", Heads: given.Heads}
		for _, o := range s.Options() {
			t := &given
			if o.Source == "default" {
				t = data.Defaults
			}
			t.Rows = append(t.Rows, []string{o.Name, o.Value, o.Source})
		}
		data.Tables = append(data.Tables, given)
	}
	p.show(w, r, http.StatusOK, "system", "System", true, data)
}

func ms(seconds float64) string { return strconv.FormatFloat(1000*seconds, 'f', 1, 64) + " ms" }

func sortFacts(all []fact) {
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
}

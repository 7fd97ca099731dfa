package pages

import (
	"net/http"

	"gearloop/api"
	"gearloop/internal/view"
)

// jobList is the table of jobs.
type jobList struct {
	Root  string
	Jobs  api.Page[api.Job]
	Empty string
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
		Can, Act           bool
		Bulk               []fact
		Filter             string
	}{
		jobList: list, Query: q.JobFilter, States: jobStates, Priorities: jobPriorities,
		Can: p.can(r), Act: in.Has("act"), Bulk: bulkActions, Filter: in.Get("function"),
	}
	t := p.cfg.Source.Totals()
	data.Sub = number(t.Waiting) + " waiting, " + number(t.Running) + " running"
	if next := list.Jobs.Next; next != "" {
		data.Next = "jobs?" + query("function", in.Get("function"), "state", q.State, "priority", q.Priority, "unique", q.Unique,
			"cursor", next)
	}
	p.show(w, r, http.StatusOK, "jobs", "Jobs", false, data)
}

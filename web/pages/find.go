package pages

import (
	"net/http"
	"strings"

	"gearloop/api"
	"gearloop/internal/view"
)

// find redirects a search: to a job by its handle, to jobs by a unique id, or to functions.
func (p *Pages) find(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	to := "functions?" + query("match", "*"+strings.Trim(q, "*")+"*")
	if _, ok := p.cfg.Source.Job(q); ok && !views(r) {
		to = api.Path("jobs", q)
	} else if _, ok := p.cfg.Source.Function(q); ok {
		to = api.Path("functions", q)
	} else if q != "" && !views(r) {
		found, err := p.cfg.Source.Jobs(view.JobQuery{JobFilter: api.JobFilter{Unique: q}, Limit: 1})
		if err == nil && len(found.Items) > 0 {
			to = "jobs?" + query("unique", q)
		}
	}
	w.Header().Set("Location", "./"+to)
	w.WriteHeader(http.StatusSeeOther)
}

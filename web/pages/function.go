package pages

import (
	"fmt"
	"net/http"
	"strings"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/internal/view"
)

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

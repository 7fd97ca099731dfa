package rest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/internal/view"
	"gearloop/sched"
	"gearloop/store"
	"gearloop/web"
	"gearloop/web/guard"
)

// argumentShown is how many bytes of an argument are shown without ?raw.
const argumentShown = 4 << 10

// auditShown is how many entries of the audit log can be asked for.
const auditShown = 1000

func (a *API) server(r *http.Request) (any, error) {
	s := a.cfg.Source.Server()
	if views(r) {
		s = view.ServerForViewer(s)
	}
	s.Role, s.ReadOnly = guard.From(r.Context()).Role.String(), a.cfg.Guard.ReadOnly()
	return s, known(r.URL.Query())
}

// views reports whether the author of a request is a viewer, who is shown numbers and names of functions
// only.
func views(r *http.Request) bool { return guard.From(r.Context()).Role < guard.Reader }

func (a *API) functions(r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := known(q, "match", "only", "sort", "limit", "cursor"); err != nil {
		return nil, err
	}
	limit, err := whole(q, "limit")
	if err != nil {
		return nil, err
	}
	page, err := a.cfg.Source.Functions(view.FunctionQuery{
		Match: q.Get("match"), Only: q.Get("only"), Sort: q.Get("sort"), Limit: limit, Cursor: q.Get("cursor"),
	})
	for i := range page.Items {
		if views(r) {
			page.Items[i] = view.FunctionForViewer(page.Items[i])
		}
	}
	return page, err
}

func (a *API) function(r *http.Request) (any, error) {
	name, q := r.PathValue("name"), r.URL.Query()
	if err := known(q, "if_unknown"); err != nil {
		return nil, err
	}
	f, ok := a.cfg.Source.Function(name)
	switch unknown := q.Get("if_unknown"); {
	case unknown != "" && unknown != "zero":
		return nil, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("if_unknown is %q: it must be zero", unknown))
	case !ok && unknown == "zero":
		return view.Idle(name), nil
	case !ok:
		return nil, noFunction(name)
	}
	if views(r) {
		f = view.FunctionForViewer(f)
	}
	return f, nil
}

func (a *API) explainFunction(r *http.Request) (any, error) {
	name := r.PathValue("name")
	e, ok := a.cfg.Source.ExplainFunction(name)
	if !ok {
		return nil, noFunction(name)
	}
	if views(r) {
		e.Causes = view.CausesForViewer(e.Causes)
	}
	return e, known(r.URL.Query())
}

func noFunction(name string) error {
	return guard.NewProblem(http.StatusNotFound,
		fmt.Sprintf("there is no function %q: it has neither jobs nor workers", monitor.Printable(name)))
}

func (a *API) jobs(r *http.Request) (any, error) {
	q := r.URL.Query()
	err := known(q, "function", "state", "priority", "unique", "unique_prefix", "older_than_seconds", "worker", "argument",
		"order", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	limit, err := whole(q, "limit")
	if err != nil {
		return nil, err
	}
	f := api.JobFilter{
		State: q.Get("state"), Priority: q.Get("priority"), Unique: q.Get("unique"), UniquePrefix: q.Get("unique_prefix"),
		Worker: q.Get("worker"), Argument: q.Get("argument"),
	}
	f.Function, f.FunctionBase64 = api.Split(q.Get("function"))
	if q.Has("older_than_seconds") {
		seconds, err := strconv.ParseFloat(q.Get("older_than_seconds"), 64)
		if err != nil || !(seconds >= 0 && seconds <= 1e9) {
			return nil, guard.NewProblem(http.StatusBadRequest,
				fmt.Sprintf("older_than_seconds is %q: it must be a number of seconds", q.Get("older_than_seconds")))
		}
		f.OlderThan = &seconds
	}
	order := q.Get("order")
	if order != "" && order != "next" {
		return nil, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("order is %q: it must be next, or absent", order))
	}
	page, err := a.cfg.Source.Jobs(view.JobQuery{JobFilter: f, Next: order == "next", Limit: limit, Cursor: q.Get("cursor")})
	return page, err
}

// noJob is the problem for a handle without a job.
func noJob(handle string) error {
	return guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no job %q: it has ended, or never was", monitor.Printable(handle)))
}

func (a *API) job(r *http.Request) (any, error) {
	j, ok := a.cfg.Source.Job(r.PathValue("handle"))
	if !ok {
		return nil, noJob(r.PathValue("handle"))
	}
	return j, known(r.URL.Query())
}

func (a *API) explainJob(r *http.Request) (any, error) {
	e, ok := a.cfg.Source.ExplainJob(r.PathValue("handle"))
	if !ok {
		return nil, noJob(r.PathValue("handle"))
	}
	return e, known(r.URL.Query())
}

func (a *API) argument(w http.ResponseWriter, r *http.Request) {
	handle, q := r.PathValue("handle"), r.URL.Query()
	if err := known(q, "raw"); err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	if q.Has("raw") {
		if err := web.ServeArgument(w, a.cfg.Source.Sched(), handle); err != nil {
			writeProblem(w, problemOf(argumentProblem(handle, err)))
		}
		return
	}
	b, size, err := a.cfg.Source.Argument(handle, argumentShown)
	if err != nil {
		writeProblem(w, problemOf(argumentProblem(handle, err)))
		return
	}
	v := api.Argument{Size: size, Truncated: size > len(b)}
	if v.Truncated {
		b = wholeLetters(b)
	}
	v.Argument, v.ArgumentBase64 = api.Split(string(b))
	writeJSON(w, http.StatusOK, "application/json", v)
}

// argumentProblem returns why an argument can't be read.
func argumentProblem(handle string, err error) error {
	switch {
	case errors.Is(err, sched.ErrNoJob), errors.Is(err, store.ErrGone):
		return noJob(handle)
	case errors.Is(err, sched.ErrNoArgument):
		return guard.NewProblem(http.StatusConflict, "the argument is gone: the worker alone has it")
	}
	return guard.NewProblem(http.StatusServiceUnavailable, "the argument can't be read: "+err.Error())
}

// wholeLetters returns text without the beginning of a letter at its end. What is no text stays as it is.
func wholeLetters(b []byte) []byte {
	for n := range min(utf8.UTFMax, len(b)) {
		if text := b[:len(b)-n]; utf8.Valid(text) {
			return text
		}
	}
	return b
}

func (a *API) connections(r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := known(q, "match", "only", "workers", "function", "sort", "limit", "cursor"); err != nil {
		return nil, err
	}
	limit, err := whole(q, "limit")
	if err != nil {
		return nil, err
	}
	only := q.Get("only")
	if q.Get("workers") == "true" {
		only = "workers"
	}
	page, err := a.cfg.Source.Connections(view.ConnectionQuery{
		Match: q.Get("match"), Only: only, Function: q.Get("function"), Sort: q.Get("sort"), Limit: limit, Cursor: q.Get("cursor"),
	})
	return page, err
}

func (a *API) connection(r *http.Request) (any, error) {
	c, ok := a.cfg.Source.Connection(r.PathValue("id"))
	if !ok {
		return nil, guard.NewProblem(http.StatusNotFound,
			fmt.Sprintf("there is no connection %q: it has ended, or never was", monitor.Printable(r.PathValue("id"))))
	}
	return c, known(r.URL.Query())
}

// list returns a short list as a single page.
func list[T any](items []T) api.Page[T] {
	if items == nil {
		items = []T{}
	}
	n := len(items)
	return api.Page[T]{Items: items, Looked: n, Total: &n, AsOf: time.Now().UTC()}
}

func (a *API) loops(r *http.Request) (any, error) {
	return list(a.cfg.Source.Loops()), known(r.URL.Query())
}
func (a *API) network(r *http.Request) (any, error) {
	n := a.cfg.Source.Network()
	if views(r) {
		n = view.NetworkForViewer(n)
	}
	return n, known(r.URL.Query())
}
func (a *API) memory(r *http.Request) (any, error) {
	return a.cfg.Source.Memory(), known(r.URL.Query())
}

// describe answers with the document of the API.
func describe(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(api.OpenAPI)))
	w.Write(api.OpenAPI)
}

func (a *API) history(r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := known(q, "step"); err != nil {
		return nil, err
	}
	step, err := whole(q, "step")
	if err != nil {
		return nil, err
	}
	return a.cfg.Source.History(max(step, 1))
}

func (a *API) store(r *http.Request) (any, error) {
	s, ok := a.cfg.Source.Store()
	if !ok {
		return nil, guard.NewProblem(http.StatusNotFound, "this broker keeps jobs in memory only: it was started without --data-dir")
	}
	if views(r) {
		s = view.StoreForViewer(s)
	}
	return s, known(r.URL.Query())
}

func (a *API) cluster(r *http.Request) (any, error) {
	c, ok := a.cfg.Source.Cluster(r.Context())
	if !ok {
		return nil, guard.NewProblem(http.StatusNotFound, "this broker shares its jobs with no other: it was started without --store")
	}
	if views(r) {
		c = view.ClusterForViewer(c)
	}
	return c, known(r.URL.Query())
}

func (a *API) options(r *http.Request) (any, error) {
	return list(a.cfg.Source.Options()), known(r.URL.Query())
}

func (a *API) audit(r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := known(q, "limit"); err != nil {
		return nil, err
	}
	limit, err := whole(q, "limit")
	if err != nil {
		return nil, err
	}
	if limit > auditShown {
		return nil, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("limit is %d: it must be from 1 to %d", limit, auditShown))
	}
	return list(a.cfg.Actions.Audit(cmp.Or(limit, 100))), nil
}

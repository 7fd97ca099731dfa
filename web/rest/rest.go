package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"gearloop/api"
	"gearloop/internal/view"
	"gearloop/web/action"
	"gearloop/web/guard"
)

// maxBody bounds the body of a request, in bytes; an argument to be submitted is part of one.
const maxBody = 16 << 20

// Config says what is served.
type Config struct {
	Source  *view.Source
	Actions *action.Actions
	Guard   *guard.Guard
}

// API is the handler of /api/v1.
type API struct {
	cfg    Config
	events *events
}

// New returns the API. Close ends it.
func New(cfg Config) *API { return &API{cfg: cfg, events: newEvents(cfg.Source)} }

// Mount puts the routes into a mux.
func (a *API) Mount(mux *http.ServeMux) {
	get := func(path string, role guard.Role, h func(*http.Request) (any, error)) {
		mux.Handle("GET "+api.Prefix+path, a.cfg.Guard.Need(role, answer(h)))
	}
	get("server", guard.Viewer, a.server)
	get("functions", guard.Viewer, a.functions)
	get("functions/{name}", guard.Viewer, a.function)
	get("functions/{name}/explain", guard.Viewer, a.explainFunction)
	get("jobs", guard.Viewer, a.jobs)
	get("jobs/{handle}", guard.Viewer, a.job)
	get("jobs/{handle}/explain", guard.Viewer, a.explainJob)
	get("connections", guard.Viewer, a.connections)
	get("connections/{id}", guard.Viewer, a.connection)
	get("loops", guard.Viewer, a.loops)
	get("memory", guard.Viewer, a.memory)
	get("store", guard.Viewer, a.store)
	get("options", guard.Reader, a.options)
	get("audit", guard.Reader, a.audit)
	mux.Handle("GET "+api.Prefix+"jobs/{handle}/argument", a.cfg.Guard.Need(guard.Reader, http.HandlerFunc(a.argument)))
	mux.Handle("GET "+api.Prefix+"events", a.cfg.Guard.Need(guard.Viewer, http.HandlerFunc(a.stream)))

	act := func(pattern string, role guard.Role, h func(*http.Request) (any, error)) {
		mux.Handle(pattern, a.cfg.Guard.Need(role, answer(h)))
	}
	act("POST "+api.Prefix+"functions/{name}/jobs", guard.Operator, a.submit)
	act("POST "+api.Prefix+"functions/{name}/pause", guard.Operator, a.set((*action.Actions).Pause))
	act("POST "+api.Prefix+"functions/{name}/close", guard.Operator, a.set((*action.Actions).Close))
	act("POST "+api.Prefix+"functions/{name}/resume", guard.Operator, a.unset((*action.Actions).Resume))
	act("POST "+api.Prefix+"functions/{name}/open", guard.Operator, a.unset((*action.Actions).Open))
	act("POST "+api.Prefix+"jobs/{handle}/cancel", guard.Operator, a.cancel)
	act("DELETE "+api.Prefix+"connections/{id}", guard.Operator, a.disconnect)
	act("POST "+api.Prefix+"drain", guard.Admin, a.drain)
	act("POST "+api.Prefix+"reload", guard.Admin, a.reload)
	mux.Handle(api.Prefix, a.cfg.Guard.Need(guard.Viewer, answer(func(r *http.Request) (any, error) {
		return nil, guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no %s %s", r.Method, r.URL.EscapedPath()))
	})))
}

// answer writes what a handler returns as JSON, and an error as a problem document.
func answer(h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		value, err := h(r)
		if err != nil {
			writeProblem(w, problemOf(err))
			return
		}
		writeJSON(w, http.StatusOK, "application/json", value)
	})
}

func writeJSON(w http.ResponseWriter, status int, kind string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		status, kind = http.StatusInternalServerError, "application/problem+json"
		b, _ = json.Marshal(guard.NewProblem(status, err.Error()))
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	writeJSON(w, p.Status, "application/problem+json", p)
}

// problemOf returns an error as a problem: mistakes in a query are the caller's.
func problemOf(err error) *api.Problem {
	var p *api.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, new(*view.QueryError)):
		return guard.NewProblem(http.StatusBadRequest, err.Error())
	}
	return guard.NewProblem(http.StatusInternalServerError, err.Error())
}

// known refuses query parameters that do not exist: a misspelt filter would match everything.
func known(q url.Values, names ...string) error {
	for name := range q {
		if !slices.Contains(names, name) {
			return guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("there is no parameter %q here; there are: %q", name, names))
		}
	}
	return nil
}

// whole reads a parameter that is a whole number, 0 for none.
func whole(q url.Values, name string) (int, error) {
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 1 {
		return 0, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("%s is %q: it must be a number from 1 on", name, q.Get(name)))
	}
	return n, nil
}

// body reads the JSON body of an action, which may be empty.
func body(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Header.Get("Content-Type") != "" && (err != nil || kind != "application/json") {
		return guard.NewProblem(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == io.EOF {
		return nil
	}
	if err == nil && d.More() {
		err = errors.New("something follows the JSON object")
	}
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return guard.NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit))
	}
	if err != nil {
		return guard.NewProblem(http.StatusBadRequest, "the body is not what this action takes: "+err.Error())
	}
	return nil
}

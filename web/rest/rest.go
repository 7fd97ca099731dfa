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

// maxBody bounds the body of a request, in bytes; it may contain the argument of a job.
const maxBody = 16 << 20

// Config configures the API.
type Config struct {
	Source  *view.Source
	Actions *action.Actions
	Guard   *guard.Guard
}

// API is the handler of /api/v1.
type API struct {
	cfg    Config
	events *events
	table  table
}

// New returns the API.
func New(cfg Config) *API {
	a := &API{cfg: cfg, events: newEvents(cfg.Source, cfg.Actions)}
	for _, r := range a.routes() {
		a.table.add(r, cfg.Guard)
	}
	return a
}

// routes returns all routes. openapi.json documents them.
func (a *API) routes() []route {
	get := func(path string, role guard.Role, h func(*http.Request) (any, error)) route {
		return route{http.MethodGet, path, role, answer(h)}
	}
	return append([]route{
		get("server", guard.Viewer, a.server),
		get("functions", guard.Viewer, a.functions),
		get("functions/{name}", guard.Viewer, a.function),
		get("functions/{name}/explain", guard.Viewer, a.explainFunction),
		get("jobs", guard.Reader, a.jobs),
		get("jobs/{handle}", guard.Reader, a.job),
		get("jobs/{handle}/explain", guard.Reader, a.explainJob),
		{http.MethodGet, "jobs/{handle}/argument", guard.Reader, http.HandlerFunc(a.argument)},
		get("connections", guard.Reader, a.connections),
		get("connections/{id}", guard.Reader, a.connection),
		get("loops", guard.Viewer, a.loops),
		get("network", guard.Viewer, a.network),
		get("memory", guard.Viewer, a.memory),
		get("store", guard.Viewer, a.store),
		get("cluster", guard.Viewer, a.cluster),
		get("options", guard.Reader, a.options),
		get("audit", guard.Reader, a.audit),
		get("history", guard.Viewer, a.history),
		{http.MethodGet, "openapi.json", guard.Viewer, http.HandlerFunc(describe)},
		{http.MethodGet, "events", guard.Viewer, http.HandlerFunc(a.stream)},
	}, slices.Concat(a.actions(), a.operationRoutes())...)
}

// answer writes the result of a handler as JSON, and an error as a problem document.
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

// problemOf converts an error to a problem; a QueryError is the caller's fault.
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

// known rejects unknown query parameters: a misspelt filter would match everything.
func known(q url.Values, names ...string) error {
	for name := range q {
		if !slices.Contains(names, name) {
			return guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("there is no parameter %q here; there are: %q", name, names))
		}
	}
	return nil
}

// whole parses a whole number, 0 if the parameter is absent.
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

// body decodes the JSON body of an action, which may be empty.
func body(r *http.Request, into any) error {
	of := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(of); of != "" && (err != nil || kind != "application/json") {
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
		return guard.NewProblem(http.StatusBadRequest, "the body is not valid for this action: "+err.Error())
	}
	return nil
}

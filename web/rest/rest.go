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
	"strings"

	"gearloop/api"
	"gearloop/internal/monitor"
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

// route is a method and a path under api.Prefix, and who may ask for it.
type route struct {
	method, path string
	role         guard.Role
	handler      http.Handler
}

// routes returns everything that can be asked for. openapi.json has the same.
func (a *API) routes() []route {
	get := func(path string, role guard.Role, h func(*http.Request) (any, error)) route {
		return route{http.MethodGet, path, role, answer(h)}
	}
	return append([]route{
		get("server", guard.Viewer, a.server),
		get("functions", guard.Viewer, a.functions),
		get("functions/{name}", guard.Viewer, a.function),
		get("functions/{name}/explain", guard.Viewer, a.explainFunction),
		get("jobs", guard.Viewer, a.jobs),
		get("jobs/{handle}", guard.Viewer, a.job),
		get("jobs/{handle}/explain", guard.Viewer, a.explainJob),
		{http.MethodGet, "jobs/{handle}/argument", guard.Reader, http.HandlerFunc(a.argument)},
		get("connections", guard.Viewer, a.connections),
		get("connections/{id}", guard.Viewer, a.connection),
		get("loops", guard.Viewer, a.loops),
		get("memory", guard.Viewer, a.memory),
		get("store", guard.Viewer, a.store),
		get("options", guard.Reader, a.options),
		get("audit", guard.Reader, a.audit),
		{http.MethodGet, "events", guard.Viewer, http.HandlerFunc(a.stream)},
	}, a.actions()...)
}

// Mount puts the routes into a mux.
func (a *API) Mount(mux *http.ServeMux) {
	allowed := map[string][]string{} // methods by path
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+api.Prefix+r.path, a.cfg.Guard.Need(r.role, r.handler))
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	// A pattern without a method is less special than one with it: these get what is left.
	for path, methods := range allowed {
		slices.Sort(methods)
		mux.Handle(api.Prefix+path, a.cfg.Guard.Need(guard.Viewer, notAllowed(methods)))
	}
	mux.Handle(api.Prefix, a.cfg.Guard.Need(guard.Viewer, answer(func(r *http.Request) (any, error) {
		return nil, guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no %s here", monitor.Printable(r.URL.EscapedPath())))
	})))
}

// notAllowed answers requests for a path that has other methods.
func notAllowed(methods []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow := strings.Join(methods, ", ")
		if slices.Contains(methods, http.MethodGet) {
			allow += ", HEAD"
		}
		w.Header().Set("Allow", allow)
		writeProblem(w, guard.NewProblem(http.StatusMethodNotAllowed,
			fmt.Sprintf("%s is not possible here: ask with %s", monitor.Printable(r.Method), strings.Join(methods, " or "))))
	})
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

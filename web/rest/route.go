package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web/guard"
)

// route is a method and a path under api.Prefix, and the role it requires. A segment in braces matches any
// bytes.
type route struct {
	method, path string
	role         guard.Role
	handler      http.Handler
}

// ServeHTTP serves everything under api.Prefix.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.table.ServeHTTP(w, r) }

// table finds the route of a request. A mux will not do because of names: it takes an escaped slash that
// fills a segment for the end of the path, so the function "/" could not be named, and it redirects a request
// with an empty name to another resource.
type table []*endpoint

// endpoint is a path with the handlers of its methods.
type endpoint struct {
	segments []string
	methods  map[string]http.Handler
	other    http.Handler // for all other methods
}

func (t *table) add(r route, g *guard.Guard) {
	segments := strings.Split(r.path, "/")
	i := slices.IndexFunc(*t, func(p *endpoint) bool { return slices.Equal(p.segments, segments) })
	if i < 0 {
		p := &endpoint{segments: segments, methods: map[string]http.Handler{}}
		p.other = g.Need(guard.Viewer, http.HandlerFunc(p.notAllowed))
		*t, i = append(*t, p), len(*t)
	}
	handler := g.Need(r.role, r.handler)
	(*t)[i].methods[r.method] = handler
	if r.method == http.MethodGet {
		(*t)[i].methods[http.MethodHead] = handler
	}
}

func (t table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), api.Prefix), "/")
	for i, s := range segments {
		text, err := url.PathUnescape(s)
		if err != nil { // net/http rejects such a path
			text = s
		}
		segments[i] = text
	}
	for _, p := range t {
		if !p.matches(segments) {
			continue
		}
		for i, name := range p.segments {
			if name == "{name}" && segments[i] == api.Named {
				segments[i] = named(r)
			}
			if strings.HasPrefix(name, "{") {
				r.SetPathValue(strings.Trim(name, "{}"), segments[i])
			}
		}
		if h := p.methods[r.Method]; h != nil {
			h.ServeHTTP(w, r)
		} else {
			p.other.ServeHTTP(w, r)
		}
		return
	}
	// A stranger learns from it only that this is an API.
	writeProblem(w, guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no %s here", monitor.Printable(r.URL.EscapedPath()))))
}

// named removes the query parameter name and returns the function that it names: api.Named itself without
// one.
func named(r *http.Request) string {
	query := r.URL.Query()
	if !query.Has("name") {
		return api.Named
	}
	name, u := query.Get("name"), *r.URL
	query.Del("name")
	u.RawQuery = query.Encode()
	r.URL = &u
	return name
}

func (p *endpoint) matches(segments []string) bool {
	return slices.EqualFunc(p.segments, segments, func(want, is string) bool { return strings.HasPrefix(want, "{") || want == is })
}

// notAllowed answers requests with a method that the path does not have.
func (p *endpoint) notAllowed(w http.ResponseWriter, r *http.Request) {
	var methods []string
	for m := range p.methods {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeProblem(w, guard.NewProblem(http.StatusMethodNotAllowed,
		fmt.Sprintf("%s is not possible here: ask with %s", monitor.Printable(r.Method), strings.Join(methods, " or "))))
}

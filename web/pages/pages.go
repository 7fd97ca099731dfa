package pages

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"gearloop/api"
	"gearloop/internal/view"
	"gearloop/web/action"
	"gearloop/web/guard"
	"gearloop/web/static"
)

//go:embed templates
var files embed.FS

// policy restricts what a browser may do with a page to the server's own resources. htmx and uPlot set styles
// by script, which this allows, and need no eval.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Config configures the pages.
type Config struct {
	Source *view.Source
	Guard  *guard.Guard
	Host   string // in titles
	// Explain returns why jobs of a function wait, or the state of the job with a handle that is not empty; nil
	// = none.
	Explain func(function, handle string) []api.Cause
	// Actions carries out operators' requests; nil: pages have no actions.
	Actions *action.Actions
}

// Pages is the dashboard.
type Pages struct {
	cfg   Config
	pages map[string]*template.Template
	key   []byte // signs notices
}

// New returns the dashboard.
func New(cfg Config) *Pages {
	p := &Pages{cfg: cfg, pages: map[string]*template.Template{}, key: newKey()}
	for _, name := range []string{
		"overview", "functions", "function", "jobs", "job", "workers", "system", "login", "problem", "confirm", "operations",
	} {
		p.pages[name] = template.Must(template.New(name).Funcs(words).ParseFS(files,
			"templates/layout.html", "templates/parts.html", "templates/action.html", "templates/"+name+".html"))
	}
	return p
}

// Mount adds the pages to a mux.
func (p *Pages) Mount(mux *http.ServeMux) {
	read := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, p.cfg.Guard.Need(guard.Viewer, h)) }
	look := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, p.cfg.Guard.Need(guard.Reader, h)) }
	read("GET /{$}", p.overview)
	read("GET /functions", p.functions)
	read("GET /functions/{name}", p.function)
	read("GET /functions/{$}", p.slash)
	look("GET /jobs", p.jobs)
	look("GET /jobs/{handle}", p.job)
	look("GET /workers", p.workers)
	read("GET /system", p.system)
	read("GET /find", p.find)
	look("GET /jobs/{handle}/argument", p.argument)
	mux.HandleFunc("GET /login", p.login)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	mux.HandleFunc("GET /static/{name}", static.Serve)
	if p.cfg.Actions != nil {
		p.mountActions(mux)
	}
}

// link is a link on a page.
type link struct {
	Name, Link string
	Here       bool
}

// page is the data of the layout.
type page struct {
	Title, Host, Root, Home, Self string
	Nav                           []link
	Live                          bool
	Who                           guard.Who
	ReadOnly, CanLogin, CanLogout bool
	Notice                        string
	Bad                           bool
	Data                          any
}

// root returns the relative path to the first page, under whatever prefix a proxy adds.
func root(r *http.Request) string {
	return strings.Repeat("../", max(strings.Count(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/"), 0))
}

// show writes a page.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name, title string, live bool, data any) {
	who := guard.From(r.Context())
	v := page{
		Title: title, Host: p.cfg.Host, Root: root(r), Live: live, Who: who, ReadOnly: p.cfg.Guard.ReadOnly(),
		CanLogin: who.Via == "address", CanLogout: who.Via == "session", Data: data,
	}
	v.Home = v.Root
	if v.Home == "" {
		v.Home = "./"
	}
	last := r.URL.EscapedPath()
	last = last[strings.LastIndexByte(last, '/')+1:]
	query := r.URL.Query()
	if said := query.Get("done"); said != "" && p.signed(said, query.Get("sign")) {
		v.Notice, v.Bad = said, query.Has("bad")
	}
	for _, name := range [...]string{"done", "bad", "sign"} {
		query.Del(name)
	}
	v.Self = "./" + last // a handle contains a colon, which would look like a scheme
	if len(query) > 0 {
		v.Self += "?" + query.Encode()
	}
	for _, n := range [...][2]string{{"Overview", ""}, {"Functions", "functions"}, {"Jobs", "jobs"}, {"Workers", "workers"}, {"System", "system"}} {
		to := v.Root + n[1]
		if to == "" {
			to = "./"
		}
		if who.Role < guard.Reader && (n[1] == "jobs" || n[1] == "workers") {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		v.Nav = append(v.Nav, link{n[0], to, first == n[1]})
	}
	var b bytes.Buffer
	if err := p.pages[name].ExecuteTemplate(&b, "layout", &v); err != nil {
		http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	protect(h)
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// protect sets headers that keep other sites from using a page.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// Wanted reports whether a request asks for a page, as browsers do, and not for the API.
func Wanted(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, api.Prefix)
}

// Refuse shows a problem as a page. It is for guard.Config.Refuse when a browser asks for a page.
func (p *Pages) Refuse(w http.ResponseWriter, r *http.Request, problem *api.Problem) {
	if problem.Status == http.StatusUnauthorized && r.Method == http.MethodGet {
		w.Header().Set("Location", root(r)+"login")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	p.show(w, r, problem.Status, "problem", problem.Title, false, problem)
}

// failed shows the error of a request.
func (p *Pages) failed(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var problem *api.Problem
	switch {
	case errors.As(err, &problem):
		p.Refuse(w, r, problem)
		return
	case errors.As(err, new(*view.QueryError)):
		status = http.StatusBadRequest
	}
	p.Refuse(w, r, guard.NewProblem(status, err.Error()))
}

func (p *Pages) missing(w http.ResponseWriter, r *http.Request, what string) {
	p.Refuse(w, r, guard.NewProblem(http.StatusNotFound, what))
}

// login asks for a token, and opens a session for a known one.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		p.show(w, r, http.StatusOK, "login", "Log in", false, nil)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if _, problem := p.cfg.Guard.Login(w, r, strings.TrimSpace(r.FormValue("token"))); problem != nil {
		p.show(w, r, problem.Status, "problem", problem.Title, false, problem)
		return
	}
	http.Redirect(w, r, "./", http.StatusSeeOther)
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	p.cfg.Guard.Logout(w, r)
	w.Header().Set("Location", "./login")
	w.WriteHeader(http.StatusSeeOther)
}

// rowsShown is the number of rows on a page of a list.
const rowsShown = 100

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

// views reports whether the author of a request is a viewer, who is shown numbers and names of functions
// only.
func views(r *http.Request) bool { return guard.From(r.Context()).Role < guard.Reader }

// store returns the store as the author of a request may see it.
func (p *Pages) store(r *http.Request) (st api.Store, ok bool) {
	if st, ok = p.cfg.Source.Store(); views(r) {
		st = view.StoreForViewer(st)
	}
	return st, ok
}

// can reports whether the author of a request may act here.
func (p *Pages) can(r *http.Request) bool {
	return p.cfg.Actions != nil && !p.cfg.Guard.ReadOnly() && guard.From(r.Context()).Role >= guard.Operator
}

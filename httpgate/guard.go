package httpgate

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gearloop/internal/httphost"
)

// AnyHost in [Config].Hosts takes requests under every name.
const AnyHost = httphost.Any

// guard refuses requests that a web page of another site has a browser send. A browser on a machine that reaches
// the gateway would otherwise submit jobs for every page that it shows: an <img> is a GET, a form is a POST, and a
// page whose name is pointed at this machine (DNS rebinding) could read results, too.
//
// Programs other than browsers send none of the headers that the guard looks at, except Host.
type guard struct{ names httphost.Names }

func newGuard(hosts []string) guard { return guard{httphost.New(hosts)} }

var (
	errForeign = failure{http.StatusForbidden, "a web page of another site may not use this server"}
	errUnsaid  = failure{http.StatusForbidden, "the browser does not say which page sends this request: it does so over https:// and http://localhost"}
)

// check returns nil for a request that may be served.
func (g *guard) check(r *http.Request) *failure {
	if !g.names.Ours(r.Host) {
		return &failure{http.StatusForbidden, fmt.Sprintf("%.100q is not a name of this server (see --http-host)", r.Host)}
	}
	// Browsers send it to addresses that nobody can listen in on. It is right even where a proxy has changed Host.
	if sites := r.Header["Sec-Fetch-Site"]; len(sites) > 0 {
		for _, site := range sites {
			if site != "same-origin" && site != "none" { // none: a person typed the address
				return &errForeign
			}
		}
		return nil
	}
	// Other requests of a page carry one of these, unless it is a GET and the page wants it not to.
	told := false
	for _, name := range [...]string{"Origin", "Referer"} {
		for _, from := range r.Header[name] {
			u, err := url.Parse(from)
			if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
				return &errForeign
			}
			told = true
		}
	}
	if !told && isBrowser(r.Header) {
		return &errUnsaid
	}
	return nil
}

// isBrowser reports whether a browser sends these headers. A page can change neither for requests that a browser
// sends without asking the server first. All browsers begin with Mozilla, as do some programs, which have no language.
func isBrowser(h http.Header) bool {
	_, language := h["Accept-Language"]
	return language && strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// The headers that keep an answer from being run: the data of a job are its worker's and client's, not this server's.
var (
	noSniff     = []string{"nosniff"}
	octetStream = []string{"application/octet-stream"}
	sandbox     = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
)

func protect(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = sandbox
}

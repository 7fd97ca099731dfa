package httpgate

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gearloop/internal/httphost"
)

// AnyHost in [Config].Hosts accepts every name.
const AnyHost = httphost.Any

// guard rejects requests that a web page of another site makes a browser send. Otherwise every page shown by
// a browser that can reach the gateway could submit jobs: an <img> is a GET, a form is a POST, and a page
// whose name points at this machine (DNS rebinding) could even read results.
//
// Programs other than browsers send none of the headers that guard looks at, except Host.
type guard struct{ names httphost.Names }

func newGuard(hosts []string) guard { return guard{httphost.New(hosts)} }

var (
	errForeign = failure{http.StatusForbidden, "a web page of another site may not use this server"}
	errUnsaid  = failure{http.StatusForbidden, "the browser does not say which page sends this request: it does so over https:// and http://localhost"}
)

// check returns nil if the request may be served.
func (g *guard) check(r *http.Request) *failure {
	if !g.names.Ours(r.Host) {
		return &failure{http.StatusForbidden, fmt.Sprintf("%.100q is not a name of this server (see --http-host)", r.Host)}
	}
	// Browsers send this header to trustworthy origins (HTTPS, localhost). It is right even if a proxy has
	// changed Host.
	if sites := r.Header["Sec-Fetch-Site"]; len(sites) > 0 {
		for _, site := range sites {
			if site != "same-origin" && site != "none" { // none: a person typed the address
				return &errForeign
			}
		}
		return nil
	}
	// Other requests of a page have Origin or Referer, except a GET whose page suppresses both.
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

// isBrowser reports whether a browser sent these headers. A page cannot change them in requests that need no
// preflight. The User-Agent of every browser begins with Mozilla; programs that copy this send no
// Accept-Language.
func isBrowser(h http.Header) bool {
	_, language := h["Accept-Language"]
	return language && strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// These headers keep a browser from running an answer: its data come from a worker or client, not from this
// server.
var (
	noSniff     = []string{"nosniff"}
	octetStream = []string{"application/octet-stream"}
	sandbox     = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
)

func protect(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = sandbox
}

// Package guard decides who may request what from the web listener, before anything else happens.
//
// A request passes four checks, in this order: its Host must be a name of this server (DNS rebinding); a page
// of another site may change nothing (net/http's CrossOriginProtection); its author must be known (token,
// session, client certificate, unix socket, or anonymous if allowed); and the author must have the route's
// role. A refusal is a problem document or, for a browser, a page that Config.Refuse writes.
package guard

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/api"
	"gearloop/internal/httphost"
)

// Config configures a Guard.
type Config struct {
	Names httphost.Names // of this server

	// Tokens may be nil: nobody has one.
	Tokens *Tokens
	// Anonymous is the role of network requests without credentials.
	Anonymous Role
	// Certificate is the role of a verified client certificate that Tokens does not list.
	Certificate Role
	// ReadOnly refuses every request that could change something, for all roles.
	ReadOnly bool

	// Refuse answers a refused request.
	Refuse func(http.ResponseWriter, *http.Request, *api.Problem)
	// Now returns the time; nil means time.Now.
	Now func() time.Time
}

// Guard checks requests. See New.
type Guard struct {
	cfg      Config
	tokens   atomic.Pointer[Tokens]
	sessions sessions
	origins  *http.CrossOriginProtection
	failures failures
}

// New returns a guard.
func New(cfg Config) *Guard {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &Guard{cfg: cfg, origins: http.NewCrossOriginProtection()}
	g.tokens.Store(cfg.Tokens)
	return g
}

// SetTokens replaces the tokens; sessions of removed names end.
func (g *Guard) SetTokens(t *Tokens) { g.tokens.Store(t) }

// ReadOnly reports whether all changes are refused.
func (g *Guard) ReadOnly() bool { return g.cfg.ReadOnly }

type whoKey struct{}

// From returns the author of a request that came through Wrap.
func From(ctx context.Context) Who {
	who, _ := ctx.Value(whoKey{}).(Who)
	return who
}

type socketKey struct{}

// OnSocket marks requests of a unix socket, whose mode decides who can connect: they have the role admin. It
// is for http.Server.ConnContext.
func OnSocket(ctx context.Context, c net.Conn) context.Context {
	if a := c.LocalAddr(); a != nil && a.Network() == "unix" {
		return context.WithValue(ctx, socketKey{}, true)
	}
	return ctx
}

// Wrap passes a request to next together with its author, see From.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.cfg.Names.Ours(r.Host) {
			g.refuse(w, r, http.StatusForbidden,
				fmt.Sprintf("%.100q is not a name of this server; --web-host adds one", r.Host))
			return
		}
		if err := g.origins.Check(r); err != nil {
			g.refuse(w, r, http.StatusForbidden, "a page of another site may not change anything here")
			return
		}
		who, problem := g.who(r)
		if problem != "" {
			if who.Via == tooMany {
				w.Header().Set("Retry-After", "60")
				g.refuse(w, r, http.StatusTooManyRequests, problem)
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="gearloop"`)
			g.refuse(w, r, http.StatusUnauthorized, problem)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
	})
}

// Need requires a role. If the server is read-only it refuses methods that may change something.
func (g *Guard) Need(role Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := From(r.Context())
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case who.Role == Nobody && role > Nobody:
			w.Header().Set("WWW-Authenticate", `Bearer realm="gearloop"`)
			g.refuse(w, r, http.StatusUnauthorized, "show a token: Authorization: Bearer TOKEN, or log in")
		case who.Role < role:
			g.refuse(w, r, http.StatusForbidden, fmt.Sprintf("%s has the role %s; this needs %s", who.Name, who.Role, role))
		case g.cfg.ReadOnly && !safe && role >= Operator:
			g.refuse(w, r, http.StatusForbidden, "this server was started with --web-read-only: nothing can be changed here")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// tooMany is the Via of an address that has sent too many wrong tokens.
const tooMany = "too many"

// who determines the author of a request; problem says why there is none.
func (g *Guard) who(r *http.Request) (who Who, problem string) {
	if r.Context().Value(socketKey{}) != nil {
		return Who{Name: "socket", Role: Admin, Via: "socket"}, ""
	}
	tokens, now := g.tokens.Load(), g.cfg.Now()
	if token, shown := shownToken(r); shown {
		return g.check(tokens, token, r, now)
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		name := r.TLS.VerifiedChains[0][0].Subject.CommonName
		if who, ok := tokens.certificate(name); ok {
			return who, ""
		}
		if g.cfg.Certificate > g.cfg.Anonymous {
			return Who{Name: name, Role: g.cfg.Certificate, Via: "certificate"}, ""
		}
	}
	if name, ok := g.sessions.of(r, now); ok {
		if who, ok := tokens.named(name); ok {
			who.Via = "session"
			return who, ""
		}
	}
	return Who{Name: address(r), Role: g.cfg.Anonymous, Via: "address"}, ""
}

// check looks a token up, and limits wrong guesses.
func (g *Guard) check(tokens *Tokens, token string, r *http.Request, now time.Time) (Who, string) {
	from := address(r)
	if g.failures.tooMany(from, now) {
		return Who{Via: tooMany}, "too many wrong tokens from " + from + ": wait a minute"
	}
	who, ok := tokens.token(token)
	if !ok {
		g.failures.note(from, now)
		return Who{}, "the token is not known here"
	}
	return who, ""
}

// Login opens a session for a token and returns its holder.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request, token string) (Who, *api.Problem) {
	now := g.cfg.Now()
	who, problem := g.check(g.tokens.Load(), token, r, now)
	if problem != "" {
		status := http.StatusUnauthorized
		if who.Via == tooMany {
			status = http.StatusTooManyRequests
		}
		return Who{}, NewProblem(status, problem)
	}
	g.sessions.begin(w, who.Name, r.TLS != nil, now)
	return who, nil
}

// Logout ends the session of a browser.
func (g *Guard) Logout(w http.ResponseWriter, r *http.Request) { g.sessions.end(w, r) }

// NewProblem returns a problem document with the title of its status.
func NewProblem(status int, detail string) *api.Problem {
	return &api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	g.cfg.Refuse(w, r, NewProblem(status, detail))
}

// shownToken returns the token of a request: a bearer token, or the password of basic authentication with any
// user.
func shownToken(r *http.Request) (token string, shown bool) {
	if _, password, ok := r.BasicAuth(); ok {
		return password, true
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	return "", false
}

// address returns the address of a request without its port.
func address(r *http.Request) string {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr().Unmap().String()
	}
	return r.RemoteAddr
}

// failures counts wrong tokens by address.
type failures struct {
	mu    sync.Mutex
	since time.Time
	count map[string]int
}

// Limits of wrong tokens.
const (
	maxFailures  = 20 // per address in failureTime
	failureTime  = time.Minute
	maxAddresses = 10_000 // that are counted separately; further ones share a count
)

func (f *failures) tooMany(from string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	return f.count[f.key(from)] >= maxFailures
}

func (f *failures) note(from string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	f.count[f.key(from)]++
}

func (f *failures) key(from string) string {
	if _, known := f.count[from]; !known && len(f.count) >= maxAddresses {
		return ""
	}
	return from
}

func (f *failures) forget(now time.Time) {
	if f.count == nil || now.Sub(f.since) > failureTime || now.Before(f.since) {
		f.count, f.since = map[string]int{}, now
	}
}

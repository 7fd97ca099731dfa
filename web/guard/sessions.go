package guard

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// Limits of sessions.
const (
	sessionTime = 12 * time.Hour // since the login
	maxSessions = 1000           // of all browsers; the oldest ends first
	cookieName  = "gearloop_session"
)

// sessions are browsers that have logged in with a token. The cookie is a random number, not the token, and
// the role is looked up by the token's name for each request: removing a token ends its sessions.
type sessions struct {
	mu   sync.Mutex
	open map[string]session
}

type session struct {
	name  string // of the token
	begun time.Time
}

// begin opens a session and sets its cookie.
func (s *sessions) begin(w http.ResponseWriter, name string, secure bool, now time.Time) {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]session{}
	}
	oldest := ""
	for other, o := range s.open {
		if now.Sub(o.begun) > sessionTime {
			delete(s.open, other)
		} else if oldest == "" || o.begun.Before(s.open[oldest].begun) {
			oldest = other
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	s.open[id] = session{name, now}
	http.SetCookie(w, cookie(id, secure, int(sessionTime.Seconds())))
}

// of returns the name of the token with which the browser logged in.
func (s *sessions) of(r *http.Request, now time.Time) (name string, ok bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.open[c.Value]
	if !ok || now.Sub(found.begun) > sessionTime {
		return "", false
	}
	return found.name, true
}

// end closes the session of a browser.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.open, c.Value)
		s.mu.Unlock()
	}
	http.SetCookie(w, cookie("", r.TLS != nil, -1))
}

// cookie applies to everything the server shows, under whatever prefix a proxy adds.
func cookie(value string, secure bool, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge, Secure: secure, HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
	}
}

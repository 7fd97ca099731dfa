package guard

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/internal/httphost"
)

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// rig is a guard with a handler for each role.
type rig struct {
	*Guard
	now     time.Time
	handler http.Handler
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	tokens, err := parseTokens([]byte("# who may what\n\nview viewer " + hash("v") + "\nread reader " + hash("r") +
		"\nrun operator " + hash("o") + "\nroot admin " + hash("a") + "\nrobot reader cert\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{now: time.Unix(1e9, 0)}
	cfg := Config{
		Names: httphost.New([]string{"broker"}), Tokens: tokens, Now: func() time.Time { return r.now },
		Refuse: func(w http.ResponseWriter, _ *http.Request, p *api.Problem) { http.Error(w, p.Detail, p.Status) },
	}
	if change != nil {
		change(&cfg)
	}
	r.Guard = New(cfg)
	mux := http.NewServeMux()
	for role := Nobody; role <= Admin; role++ {
		mux.Handle("/"+role.String(), r.Need(role, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			who := From(q.Context())
			fmt.Fprint(w, who.Name, " ", who.Role, " ", who.Via)
		})))
	}
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, q *http.Request) {
		if _, p := r.Login(w, q, q.FormValue("token")); p != nil {
			http.Error(w, p.Detail, p.Status)
		}
	})
	mux.HandleFunc("POST /logout", r.Logout)
	r.handler = r.Wrap(mux)
	return r
}

func (r *rig) ask(method, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	q := httptest.NewRequest(method, path, nil)
	q.Host = "broker:4780"
	q.RemoteAddr = "192.0.2.7:1234"
	if change != nil {
		change(q)
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, q)
	return w
}

func bearer(token string) func(*http.Request) {
	return func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+token) }
}

// TestRoles: each role may do what it includes and no more, however it is proved.
func TestRoles(t *testing.T) {
	r := newRig(t, nil)
	verified := func(name string) func(*http.Request) {
		return func(q *http.Request) {
			c := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
			q.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c}}}
		}
	}
	for name, c := range map[string]struct {
		show func(*http.Request)
		has  Role
		said string
	}{
		"nothing":       {nil, Nobody, "192.0.2.7 nobody address"},
		"viewer":        {bearer("v"), Viewer, "view viewer token"},
		"reader":        {bearer("r"), Reader, "read reader token"},
		"operator":      {bearer("o"), Operator, "run operator token"},
		"admin":         {bearer("a"), Admin, "root admin token"},
		"password":      {func(q *http.Request) { q.SetBasicAuth("x", "o") }, Operator, "run operator token"},
		"certificate":   {verified("robot"), Reader, "robot reader certificate"},
		"not named":     {verified("stranger"), Nobody, "192.0.2.7 nobody address"},
		"not by a cert": {verified("root"), Nobody, "192.0.2.7 nobody address"},
		"unverified":    {func(q *http.Request) { q.TLS = &tls.ConnectionState{} }, Nobody, "192.0.2.7 nobody address"},
	} {
		for role := Nobody; role <= Admin; role++ {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				w := r.ask(method, "/"+role.String(), c.show)
				want := http.StatusOK
				switch {
				case c.has < role && c.has == Nobody:
					want = http.StatusUnauthorized
				case c.has < role:
					want = http.StatusForbidden
				}
				if w.Code != want || want == http.StatusOK && w.Body.String() != c.said {
					t.Errorf("%s: %s of %s: %d %q, want %d", name, method, role, w.Code, w.Body, want)
				}
			}
		}
	}
}

// TestWrongToken: a wrong token gives no role, not even that of anonymous requests. After many of them the
// address must wait.
func TestWrongToken(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Anonymous = Viewer })
	if w := r.ask("GET", "/viewer", nil); w.Code != http.StatusOK {
		t.Fatalf("without a token: %d", w.Code)
	}
	for i := range maxFailures {
		if w := r.ask("GET", "/viewer", bearer("wrong")); w.Code != http.StatusUnauthorized {
			t.Fatalf("try %d: %d", i, w.Code)
		}
	}
	if w := r.ask("GET", "/viewer", bearer("v")); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("after them: %d", w.Code)
	}
	other := func(q *http.Request) { bearer("v")(q); q.RemoteAddr = "192.0.2.8:1" }
	if w := r.ask("GET", "/viewer", other); w.Code != http.StatusOK {
		t.Errorf("another address: %d", w.Code)
	}
	r.now = r.now.Add(failureTime + 1)
	if w := r.ask("GET", "/viewer", bearer("v")); w.Code != http.StatusOK {
		t.Errorf("a minute later: %d", w.Code)
	}
}

// TestSession: a session lasts until it is ended, is too old, or its token is removed.
func TestSession(t *testing.T) {
	r := newRig(t, nil)
	login := func() func(*http.Request) {
		w := r.ask("POST", "/login", func(q *http.Request) { q.URL.RawQuery = "token=o" })
		c := w.Result().Cookies()
		if w.Code != http.StatusOK || len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode ||
			strings.Contains(c[0].Value, "o\x00") || len(c[0].Value) < 20 {
			t.Fatalf("login: %d, %v", w.Code, c)
		}
		return func(q *http.Request) { q.AddCookie(c[0]) }
	}
	cookie := login()
	if w := r.ask("POST", "/operator", cookie); w.Body.String() != "run operator session" {
		t.Errorf("with a session: %d %q", w.Code, w.Body)
	}
	r.ask("POST", "/logout", cookie)
	if w := r.ask("GET", "/viewer", cookie); w.Code != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", w.Code)
	}
	cookie = login()
	r.now = r.now.Add(sessionTime + 1)
	if w := r.ask("GET", "/viewer", cookie); w.Code != http.StatusUnauthorized {
		t.Errorf("too old: %d", w.Code)
	}
	cookie = login()
	less, err := parseTokens([]byte("run viewer " + hash("new")))
	if err != nil {
		t.Fatal(err)
	}
	r.SetTokens(less)
	if w := r.ask("POST", "/operator", cookie); w.Code != http.StatusForbidden {
		t.Errorf("with less rights: %d", w.Code)
	}
	none, _ := parseTokens([]byte("other viewer " + hash("new")))
	r.SetTokens(none)
	if w := r.ask("GET", "/viewer", cookie); w.Code != http.StatusUnauthorized {
		t.Errorf("without the name: %d", w.Code)
	}
}

// TestSessionsAreBounded: a session too many ends the oldest.
func TestSessionsAreBounded(t *testing.T) {
	r := newRig(t, nil)
	for range maxSessions + 10 {
		r.now = r.now.Add(time.Second)
		r.sessions.begin(httptest.NewRecorder(), "run", false, r.now)
	}
	if n := len(r.sessions.open); n != maxSessions {
		t.Errorf("%d sessions", n)
	}
}

// TestPages: pages of other sites, and foreign names of the host, change nothing.
func TestPages(t *testing.T) {
	r := newRig(t, nil)
	for name, c := range map[string]struct {
		method string
		change func(*http.Request)
		want   int
	}{
		"a program":        {"POST", nil, 200},
		"our page":         {"POST", func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "same-origin") }, 200},
		"another page":     {"POST", func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"another port":     {"POST", func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		"an old browser":   {"DELETE", func(q *http.Request) { q.Header.Set("Origin", "http://evil.example") }, 403},
		"reading":          {"GET", func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }, 200},
		"a name not ours":  {"GET", func(q *http.Request) { q.Host = "evil.example" }, 403},
		"a changed name":   {"GET", func(q *http.Request) { q.Host = "broker.evil.example" }, 403},
		"an address":       {"GET", func(q *http.Request) { q.Host = "192.0.2.1:4780" }, 200},
		"no name, HTTP1.0": {"GET", func(q *http.Request) { q.Host = "" }, 200},
	} {
		w := r.ask(c.method, "/operator", func(q *http.Request) {
			bearer("o")(q)
			if c.change != nil {
				c.change(q)
			}
		})
		if w.Code != c.want {
			t.Errorf("%s: %d %q, want %d", name, w.Code, w.Body, c.want)
		}
	}
}

// TestReadOnly: nobody can change anything, and everybody reads as before.
func TestReadOnly(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ReadOnly = true })
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 403, "PUT": 403, "DELETE": 403, "PATCH": 403} {
		for _, role := range []Role{Operator, Admin} {
			if w := r.ask(method, "/"+role.String(), bearer("a")); w.Code != want {
				t.Errorf("%s of %s: %d, want %d", method, role, w.Code, want)
			}
		}
	}
}

// TestSocket: whoever reaches the unix socket is an admin.
func TestSocket(t *testing.T) {
	r := newRig(t, nil)
	for network, want := range map[string]int{"unix": http.StatusOK, "tcp": http.StatusUnauthorized} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "admin.sock")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conn, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		w := r.ask("POST", "/admin", func(q *http.Request) { *q = *q.WithContext(OnSocket(q.Context(), far)) })
		if w.Code != want {
			t.Errorf("%s: %d, want %d", network, w.Code, want)
		}
	}
}

// TestTokensFile: a mistake is reported with its line.
func TestTokensFile(t *testing.T) {
	h := hash("x")
	for text, want := range map[string]string{
		"":                                 "no token",
		"# only a comment\n":               "no token",
		"a viewer":                         "1: 2 words",
		"\na viewer " + h + " more":        "2: 4 words",
		"a boss " + h:                      `1: "boss" is unknown: it must be viewer, reader, operator or admin`,
		"a nobody " + h:                    `1: "nobody" is unknown`,
		"a viewer secret":                  "is not sha256:",
		"a viewer sha256:abcd":             "is not sha256:",
		"a viewer " + h + "\na admin cert": `2: the name "a" is there twice`,
		"a viewer " + h + "\nb admin " + h: "2: a and b have the same token",
	} {
		if _, err := parseTokens([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

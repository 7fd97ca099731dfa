package browser

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/await"
)

// front is a proxy that puts a dashboard below a prefix, as operators do. It counts the event streams.
type front struct {
	*httptest.Server
	to      atomic.Pointer[url.URL]
	streams atomic.Int64
	asked   atomic.Int64 // requests for pages
}

func newFront(t *testing.T, web string) *front {
	f := &front{}
	f.point(t, web)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(f.to.Load())
			r.Out.URL.Path, r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.Path, prefix), strings.TrimPrefix(r.In.URL.RawPath, prefix)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, prefix+"/"):
			http.Error(w, "outside of the prefix: "+r.URL.Path, http.StatusTeapot)
			return
		case strings.HasSuffix(r.URL.Path, "/events"):
			f.streams.Add(1)
			defer f.streams.Add(-1)
		default:
			f.asked.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	t.Cleanup(f.CloseClientConnections)
	return f
}

const prefix = "/ops/gearloop"

// point directs the proxy to another broker.
func (f *front) point(t *testing.T, web string) {
	to, err := url.Parse(web)
	if err != nil {
		t.Fatal(err)
	}
	f.to.Store(to)
}

// TestPrefix: behind a proxy's prefix every page, the event stream, the search and every action work.
func TestPrefix(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := newFront(t, s.web)
	b := newTab(t, f.URL+prefix)
	for _, p := range s.pages() {
		if strings.ContainsAny(p.path, "?") || strings.HasPrefix(p.name, "job-") && p.name != "job-waiting" || strings.HasPrefix(p.name, "function-") {
			continue // its links are those of another
		}
		b.open(p.path)
		if n := eval[int](b, `document.querySelectorAll("h1").length`); n != 1 {
			t.Errorf("%s: %d headings", p.path, n)
		}
	}
	b.open("/")
	await.Until(t, "one stream is open", func() bool { return f.streams.Load() == 1 })
	b.keys("/mail.send\r")
	b.until("location.pathname === " + quoted(prefix+"/functions/mail.send"))
	actions(t, s, b, func() []string { return nil })
}

// refuses makes the page ask for itself, and waits until it has refused the answer, as a page does that is
// paused or whose form somebody fills in.
func (b *tab) refuses() {
	b.t.Helper()
	if !eval[bool](b, `new Promise((r) => {
		document.body.addEventListener("htmx:before:swap", (e) => requestAnimationFrame(() => requestAnimationFrame(() => r(e.defaultPrevented))), { once: true });
		document.body.dispatchEvent(new Event("tick"));
	})`) {
		b.t.Error("the page takes the answer")
	}
}

// TestLive: numbers, charts and open tables of a page are refreshed, except while the page is paused or a
// form is filled in.
func TestLive(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	b := newTab(t, s.web)
	b.open("/")
	b.until(`document.querySelector("canvas")`)
	b.press("As a table")
	rows := `document.querySelector("details[open] tbody").rows.length`
	before := eval[int](b, rows)
	drawn := eval[string](b, `document.querySelector("[data-chart]").dataset.chart`)
	eval[bool](b, `(window.canvas = document.querySelector("canvas")) && true`)
	s.client.Submit(codec.SubmitJobBg, "fresh", "", "x")
	b.sees("fresh: no worker is connected")
	b.until(rows + " > " + fmt.Sprint(before))
	b.until(`document.querySelector("[data-chart]").dataset.chart !== ` + quoted(drawn))
	if !eval[bool](b, `window.canvas === document.querySelector("canvas")`) {
		t.Error("charts are not drawn on, but anew")
	}
	b.press("Pause")
	b.sees("paused")
	s.client.Submit(codec.SubmitJobBg, "later", "", "x")
	s.client.Sync()
	b.refuses()
	if eval[bool](b, `document.body.innerText.includes("later: ")`) {
		t.Error("a paused page moves")
	}
	b.press("Resume")
	b.sees("later: no worker is connected")

	b.open("/functions/later")
	b.press("Pause…")
	b.fill(`input[name="reason"]`, "half a reas")
	s.client.Submit(codec.SubmitJobBg, "later", "", "y")
	s.client.Sync()
	b.refuses()
	b.refuses()
	if text := eval[string](b, `document.querySelector("details[open] input[name=reason]").value`); text != "half a reas" {
		t.Errorf("what was typed is %q", text)
	}
	b.press("Pause…") // which closes it
	b.sees("waiting\n2")
}

// TestHidden: a page in a hidden tab has no event stream. It is refreshed as soon as it is shown.
func TestHidden(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	f := newFront(t, s.web)
	b := newTab(t, f.URL+prefix)
	b.open("/functions")
	await.Until(t, "a stream is open", func() bool { return f.streams.Load() == 1 })
	hide := func(hidden bool) {
		eval[bool](b, fmt.Sprintf(`Object.defineProperty(document, "hidden", { value: %v, configurable: true }) && document.dispatchEvent(new Event("visibilitychange"))`, hidden))
	}
	hide(true)
	await.Until(t, "the stream is closed", func() bool { return f.streams.Load() == 0 })
	s.client.Submit(codec.SubmitJobBg, "meanwhile", "", "x")
	s.client.Sync()
	hide(false)
	b.sees("meanwhile")
	await.Until(t, "the stream is open again", func() bool { return f.streams.Load() == 1 })
	b.open("/login") // a page that is left has none either
	await.Until(t, "no stream is open", func() bool { return f.streams.Load() == 0 })
}

// TestRestart: while the broker restarts, a page says that there is no answer. Afterwards it shows the new
// state without a reload.
func TestRestart(t *testing.T) {
	t.Parallel()
	first := newBroker(t)
	f := newFront(t, first.web)
	b := newTab(t, f.URL+prefix)
	b.expect("status of 502") // while there is no broker
	b.expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
	b.open("/functions")
	await.Until(t, "a stream is open", func() bool { return f.streams.Load() == 1 })
	first.client.Submit(codec.SubmitJobBg, "before", "", "x")
	b.sees("before")
	eval[bool](b, `window.same = true`)
	if err := first.server.End(); err != nil {
		t.Fatal(err)
	}
	b.sees("no answer")
	second := newBroker(t)
	second.client.Submit(codec.SubmitJobBg, "after", "", "x")
	f.point(t, second.web)
	b.sees("after")
	b.until(`document.getElementById("live").textContent === "live"`)
	await.Until(t, "the stream is open again", func() bool { return f.streams.Load() == 1 })
	if !eval[bool](b, `window.same`) {
		t.Error("the page was loaded anew")
	}
}

// TestSessionEnds: a page whose session has ended opens the login page.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens")
	write := func(name, token string) {
		if err := os.WriteFile(tokens, fmt.Appendf(nil, "%s operator sha256:%x\n", name, sha256.Sum256([]byte(token))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("anna", "secret")
	s := newBroker(t, "--web-tokens", tokens)
	b := newTab(t, s.web)
	b.expect("status of 401")
	b.login("secret")
	b.until(`location.pathname === "/"`)
	b.open("/functions")
	b.sees("No function matches.")
	write("bert", "other")
	s.server.Signal(syscall.SIGHUP)
	b.until(`location.pathname === "/login"`)
	b.sees("nobody")
}

// TestWithoutStream: if there are more tabs than the broker allows streams, the tabs without a stream are
// refreshed too.
func TestWithoutStream(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	f := newFront(t, s.web)
	f.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}(f.Config.Handler)
	b := newTab(t, f.URL+prefix)
	b.expect("status of 503")
	b.open("/functions")
	s.client.Submit(codec.SubmitJobBg, "fresh", "", "x")
	b.sees("fresh")
}

package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gearloop/test/await"
)

func TestDebugAddress(t *testing.T) {
	for text, want := range map[string]string{
		"6060": "127.0.0.1:6060", ":6060": "127.0.0.1:6060", "0": "127.0.0.1:0", "localhost:1": "localhost:1",
		"0.0.0.0:6060": "0.0.0.0:6060", "[::1]:6060": "[::1]:6060", "[::]:6060": "[::]:6060",
	} {
		o := &options{}
		if err := o.setDebugListen(text); err != nil || o.debugListen != want {
			t.Errorf("%s: %q, %v; want %q", text, o.debugListen, err, want)
		}
	}
	for _, text := range []string{"", ":", "x", ":x", "65536", "-1", "127.0.0.1", "::1", "[::1]", "a:b:c", "localhost:http"} {
		o := &options{}
		if err := o.setDebugListen(text); err == nil || o.debugListen != "" {
			t.Errorf("%q is taken for %q", text, o.debugListen)
		}
	}
}

// debugOn opens a server at an address, as --debug-listen does.
func debugOn(address string, log *slog.Logger) (*debugServer, error) {
	p := &process{options: &options{debugListen: address}, log: log}
	return p.openDebug()
}

// Profiles are served until the end, also while one is under way; what the runtime records is recorded no
// longer.
func TestDebugServer(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var lines bytes.Buffer
	d, err := debugOn("127.0.0.1:0", slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + d.listener.Addr().String()
	if _, err := debugOn(d.listener.Addr().String(), slog.Default()); !errors.Is(err, syscall.EADDRINUSE) ||
		!strings.HasPrefix(err.Error(), "--debug-listen: cannot listen on 127.0.0.1:") {
		t.Errorf("a second one on the same address: %v", err)
	}
	d.start()
	if n := runtime.SetMutexProfileFraction(-1); n != mutexFraction {
		t.Errorf("waits for locks are recorded at %d", n)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: await.Limit}
	get := func(path string, status int, part string) {
		t.Helper()
		r, err := client.Get(url + path)
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != status || !bytes.Contains(body, []byte(part)) {
			t.Errorf("%s: %s, %v; want %q in %.500q", path, r.Status, err, part, body)
		}
	}
	get("/", 200, "full goroutine stack dump")
	get("/debug/pprof/heap?debug=1", 200, "# HeapAlloc = ")
	get("/debug/pprof/mutex?debug=1", 200, "sampling period=100\n")
	get("/debug/pprof/block?debug=1", 200, "cycles/second=")
	get("/debug/pprof/goroutine", 200, "\x1f\x8b") // gzip
	get("/other", 404, "")

	c, err := net.Dial("tcp", d.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /debug/pprof/trace?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(await.Limit))
	if n, err := c.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("a trace does not begin: %v", err) // its header comes at once
	}
	d.end()
	if n := runtime.SetMutexProfileFraction(-1); n != 0 {
		t.Errorf("waits for locks are still recorded at %d", n)
	}
	await.UntilSaid(t, func() bool { err = goleak.Find(before); return err == nil }, func() string { return err.Error() })
	if log := lines.String(); !strings.Contains(log, `msg="serving profiles" address=`+url+"/debug/pprof/") || strings.Contains(log, "level=WARN") {
		t.Errorf("logs %s", log)
	}
}

// The server warns of an address that others can reach, and closes a listener that was never served.
func TestDebugServerForAll(t *testing.T) {
	var lines bytes.Buffer
	d, err := debugOn("0.0.0.0:0", slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	d.start()
	d.end()
	if !strings.Contains(lines.String(), "level=WARN msg=\"profiles are served to other machines") {
		t.Errorf("logs %s", &lines)
	}
	if d, err = debugOn("127.0.0.1:0", slog.Default()); err != nil {
		t.Fatal(err)
	}
	d.end()
	l, err := net.Listen("tcp", d.listener.Addr().String())
	if err != nil {
		t.Fatalf("the address is still in use: %v", err)
	}
	l.Close()
}

// Web pages of other sites get no profile, neither through a name that resolves to this machine nor directly.
func TestDebugServerIsNotForPages(t *testing.T) {
	for _, c := range []struct {
		listen, host, site string
		status             int
	}{
		{"127.0.0.1:0", "127.0.0.1:6060", "", 200},
		{"127.0.0.1:0", "localhost:6060", "none", 200},
		{"127.0.0.1:0", "[::1]:6060", "same-origin", 200},
		{"127.0.0.1:0", "evil.example:6060", "", 403},
		{"127.0.0.1:0", "evil.example:6060", "same-origin", 403}, // from a page that was served under that name
		{"127.0.0.1:0", "127.0.0.1.evil.example", "", 403},
		{"127.0.0.1:0", "localhost:6060", "cross-site", 403},
		{"127.0.0.1:0", "localhost:6060", "same-site", 403}, // another port of this machine
		{"localhost:0", "localhost", "", 200},
		{"broker.example:6060", "broker.example:6060", "", 200},
		{"broker.example:6060", "other.example:6060", "", 403},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+"/debug/pprof/", nil)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		notForPages(c.listen, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s, asked as %s from %q: %d, want %d", c.listen, c.host, c.site, w.Code, c.status)
		}
	}
	d, err := debugOn("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.start()
	defer d.end()
	r, err := http.NewRequest("GET", "http://"+d.listener.Addr().String()+"/debug/pprof/heap", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Close = "evil.example", true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("the server itself answers %s", answer.Status)
	}
}

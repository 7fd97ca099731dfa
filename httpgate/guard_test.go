package httpgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// Browsers send these headers with every request.
const (
	mozilla  = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	language = "Accept-Language: en-US,en;q=0.5"
)

// sender is a client that sends a request. Its headers replace Host if they contain one.
type sender struct {
	name    string
	method  string // GET if empty
	headers []string
	status  int // 200 means that the job is submitted
}

var senders = []sender{
	// Programs.
	{"curl by address", "GET", []string{"Host: 127.0.0.1:8080", "User-Agent: curl/8.14.1", "Accept: */*"}, 200},
	{"curl by name", "POST", []string{"Host: localhost:8080", "User-Agent: curl/8.14.1", "Content-Type: application/x-www-form-urlencoded"}, 200},
	{"a program with a language", "GET", []string{"Host: localhost", "User-Agent: Python-urllib/3.13", language}, 200},
	{"PowerShell", "GET", []string{"Host: localhost", "User-Agent: Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1"}, 200},
	{"HTTP without Host", "GET", []string{"Host:"}, 200},
	{"another address", "POST", []string{"Host: 192.0.2.7:8080"}, 200},
	{"IPv6", "POST", []string{"Host: [2001:db8::1]:8080"}, 200},
	{"IPv6 without port", "POST", []string{"Host: [::1]"}, 200},
	{"a name that was allowed", "POST", []string{"Host: Jobs.Example.Com.:80"}, 200},
	{"a name below localhost", "POST", []string{"Host: jobs.localhost:8080"}, 200},

	// A person uses the browser, or the page is of the same origin.
	{"the address bar", "GET", []string{"Host: localhost:8080", mozilla, language, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}, 200},
	{"a page of ours", "GET", []string{"Host: localhost:8080", mozilla, language, "Sec-Fetch-Site: same-origin"}, 200},
	{"a page of ours posts", "POST", []string{"Host: localhost:8080", mozilla, language, "Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin"}, 200},
	{"a page of ours posts, without HTTPS", "POST", []string{"Host: 192.0.2.7:8080", mozilla, language, "Origin: http://192.0.2.7:8080", "Referer: http://192.0.2.7:8080/f"}, 200},
	{"a page of ours gets, without HTTPS", "GET", []string{"Host: 192.0.2.7:8080", mozilla, language, "Referer: http://192.0.2.7:8080/f"}, 200},
	{"a page of ours behind a proxy that changes Host", "POST", []string{"Host: 127.0.0.1:8080", mozilla, language, "Origin: https://app.example", "Referer: https://app.example/", "Sec-Fetch-Site: same-origin"}, 200},

	// Pages of other sites.
	{"an image", "GET", []string{"Host: localhost:8080", mozilla, language, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 403},
	{"an image, without HTTPS", "GET", []string{"Host: 192.0.2.7:8080", mozilla, language, "Referer: http://evil.example/"}, 403},
	{"an image without a referrer", "GET", []string{"Host: 192.0.2.7:8080", mozilla, language}, 403},
	{"an image at 0.0.0.0", "GET", []string{"Host: 0.0.0.0:8080", mozilla, language}, 403},
	{"a link", "GET", []string{"Host: localhost:8080", mozilla, language, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1"}, 403},
	{"another port", "GET", []string{"Host: localhost:8080", mozilla, language, "Sec-Fetch-Site: same-site"}, 403},
	{"another port without Sec-Fetch", "POST", []string{"Host: localhost:8080", mozilla, language, "Origin: http://localhost:3000"}, 403},
	{"HEAD of another port", "HEAD", []string{"Host: localhost:8080", mozilla, language, "Sec-Fetch-Site: same-site"}, 403},
	{"a form", "POST", []string{"Host: localhost:8080", mozilla, language, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Content-Type: text/plain"}, 403},
	{"a form, before Sec-Fetch", "POST", []string{"Host: localhost:8080", mozilla, language, "Origin: http://evil.example"}, 403},
	{"a form in a sandbox", "POST", []string{"Host: localhost:8080", mozilla, language, "Origin: null"}, 403},
	{"a form that hides what it can", "POST", []string{"Host: 192.0.2.7:8080", mozilla, language}, 403},
	{"a beacon", "POST", []string{"Host: localhost:8080", mozilla, language, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
	{"PUT after a question", "OPTIONS", []string{"Host: localhost:8080", mozilla, language, "Origin: https://evil.example", "Access-Control-Request-Method: PUT", "Sec-Fetch-Site: cross-site"}, 403},
	{"a WebSocket", "GET", []string{"Host: localhost:8080", mozilla, language, "Origin: http://evil.example", "Connection: Upgrade", "Upgrade: websocket"}, 403},
	{"an event source", "GET", []string{"Host: localhost:8080", mozilla, language, "Origin: http://evil.example", "Accept: text/event-stream"}, 403},
	{"an origin that only begins like ours", "POST", []string{"Host: localhost:8080", "Origin: http://localhost:8080.evil.example"}, 403},
	{"an origin with our name in its user", "POST", []string{"Host: localhost:8080", "Origin: http://localhost:8080@evil.example"}, 403},
	{"two origins", "POST", []string{"Host: localhost:8080", "Origin: http://localhost:8080", "Origin: http://evil.example"}, 403},
	{"an origin that is none", "POST", []string{"Host: localhost:8080", "Origin: %zz"}, 403},
	{"an empty origin", "POST", []string{"Host: localhost:8080", "Origin:"}, 403},
	{"our origin, another's referrer", "POST", []string{"Host: localhost:8080", "Origin: http://localhost:8080", "Referer: http://evil.example/"}, 403},
	{"two sites", "GET", []string{"Host: localhost:8080", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, 403},
	{"a site in other letters", "GET", []string{"Host: localhost:8080", "Sec-Fetch-Site: Cross-Site"}, 403},

	// DNS rebinding: for the browser everything is one origin.
	{"a rebound name", "GET", []string{"Host: evil.example:8080", mozilla, language}, 403},
	{"a rebound name posts", "POST", []string{"Host: evil.example:8080", mozilla, language, "Origin: http://evil.example:8080"}, 403},
	{"a rebound name with Sec-Fetch", "POST", []string{"Host: evil.example:8080", "Sec-Fetch-Site: same-origin"}, 403},
	{"a rebound name to curl", "GET", []string{"Host: evil.example", "User-Agent: curl/8.14.1"}, 403},
	{"a name that begins like an address", "GET", []string{"Host: 127.0.0.1.evil.example"}, 403},
	{"a name that begins like localhost", "GET", []string{"Host: localhost.evil.example"}, 403},
	{"a name that ends like localhost", "GET", []string{"Host: evillocalhost"}, 403},
	{"a name below an allowed one", "GET", []string{"Host: evil.jobs.example.com"}, 403},
	{"a name in brackets", "GET", []string{"Host: [evil.example]:80"}, 403},
	{"an address that is no address", "GET", []string{"Host: 127.1"}, 403},
}

// TestPages sends requests of all kinds of senders. Nothing from a page of another site reaches the broker.
func TestPages(t *testing.T) {
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial, Hosts: []string{"jobs.example.com"}})
	refused := int64(0)
	for _, s := range senders {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			t.Run(s.name+" "+version, func(t *testing.T) {
				raw := s.method + " /f " + version + "\r\n" + strings.Join(s.headers, "\r\n") + "\r\nContent-Length: 1\r\n\r\nx"
				c := ask(t, addr, raw)
				if s.status == 200 {
					l := next(t, links)
					l.head()
					l.send(codec.JobCreated, "H:x:1")
					l.send(codec.WorkComplete, "H:x:1", "<script>alert(1)</script>")
				}
				r := c.reply(s.method)
				if r.status != s.status {
					t.Errorf("%v", r)
				}
				wantProtected(t, r.header)
				if s.status == 200 && r.header.Get("Content-Type") != "application/octet-stream" {
					t.Errorf("a result of type %q", r.header.Get("Content-Type"))
				}
				if s.status == 403 && s.method != "HEAD" && strings.Count(r.body, "\n") != 1 {
					t.Errorf("the reason is %q", r.body)
				}
				for name := range r.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("answers with %s", name)
					}
				}
			})
			if s.status == 403 {
				refused++
			}
		}
	}
	if len(links) != 0 {
		t.Error("the broker was asked")
	}
	if n := g.counters.Foreign.Load(); n != refused {
		t.Errorf("%d are counted, want %d", n, refused)
	}
}

// wantProtected checks that a browser runs nothing that the answer contains.
func wantProtected(t *testing.T, h http.Header) {
	t.Helper()
	if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("headers %v", h)
	}
}

// Every answer that may contain what somebody else has written is protected, even if there was no job.
func TestProtected(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial})
	for _, raw := range []string{
		request("GET / HTTP/1.1"), request("HEAD / HTTP/1.1"), request("DELETE /f HTTP/1.1"),
		request("GET /f HTTP/1.1", "X-Gearman-Unique: a\x00b"),
		request("POST /f HTTP/1.1", "Content-Length: 99999999999"),
	} {
		method, _, _ := strings.Cut(raw, " ")
		if r := ask(t, addr, raw).reply(method); r.status != 400 { // net/http's own, of fixed text
			wantProtected(t, r.header)
		}
	}
	c := ask(t, addr, post("f", ""))
	l := next(t, links)
	l.head()
	l.send(codec.Error, "x", "<script>")
	r := c.reply("POST")
	wantProtected(t, r.header)
	if r.status != 503 || r.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v, %v", r, r.header)
	}
}

// With AnyHost every name is accepted, but still no page of another site.
func TestAnyHost(t *testing.T) {
	g := newGuard([]string{AnyHost})
	for _, host := range []string{"evil.example", "b", "[x]", "localhost:80@evil.example"} {
		if none := newGuard(nil); none.names.Ours(host) {
			t.Errorf("%q is taken without it", host)
		}
		r := &http.Request{Host: host, Header: http.Header{}}
		if f := g.check(r); f != nil {
			t.Errorf("%q: %v", host, f)
		}
		r.Header.Set("Origin", "http://other.example")
		if g.check(r) == nil {
			t.Errorf("%q: another's page is let in", host)
		}
	}
}

// FuzzGuard: a name below one that is not ours is refused, whatever precedes it, as a Host and as an Origin.
func FuzzGuard(f *testing.F) {
	for _, s := range senders {
		for _, h := range s.headers {
			_, v, _ := strings.Cut(h, ": ")
			f.Add(v)
		}
	}
	g := newGuard([]string{"jobs.example.com"})
	f.Fuzz(func(t *testing.T, text string) {
		for _, evil := range []string{text + ".evil.example", text + ".evil.example:8080", text + "evil.example."} {
			if g.names.Ours(evil) {
				t.Errorf("Host %q is taken", evil)
			}
			for _, header := range []string{"Origin", "Referer"} {
				r := &http.Request{Host: "localhost:8080", Header: http.Header{header: {"http://" + evil}}}
				if g.check(r) == nil {
					t.Errorf("%s %q is taken", header, r.Header[header])
				}
			}
		}
		r := &http.Request{Host: "localhost", Header: http.Header{"Sec-Fetch-Site": {text}}}
		if (g.check(r) == nil) != (text == "same-origin" || text == "none") {
			t.Errorf("Sec-Fetch-Site %q", text)
		}
		g.names.Ours(text)
	})
}

// FuzzPage sends what a browser sends for a page of another site. The fuzzer chooses what a page can choose:
// the target, a header and the body. None of these requests is accepted.
func FuzzPage(f *testing.F) {
	for _, target := range []string{"/f", "//f", "/f HTTP/1.0", "http://localhost/f", "*", "/\x00", "/%0d%0a", "f"} {
		for _, body := range []string{"", "x", post("f", "x"), "\r\n" + post("f", "x", "Connection: keep-alive"), strings.Repeat("\n", 300_000) + post("f", "x")} {
			f.Add(target, "text/plain", body)
		}
	}
	f.Add("/f", "chunked", "0\r\n\r\n"+post("f", "x"))
	dialed := make(chan struct{}, 1)
	// Not over TCP, where ports run out.
	_, addr := serveOn(f, Config{Dial: func(context.Context) (net.Conn, error) {
		dialed <- struct{}{}
		return nil, errors.New("no broker")
	}}, "unix", filepath.Join(f.TempDir(), "socket"))
	lines := strings.NewReplacer("\r", "", "\n", "") // what a browser leaves in neither target nor header
	f.Fuzz(func(t *testing.T, target, value, body string) {
		socket, err := net.Dial("unix", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{Conn: socket, tb: t, in: bufio.NewReader(socket)}
		c.send("POST " + lines.Replace(target) + " HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n" +
			"Content-Type: " + lines.Replace(value) + "\r\nSec-Fetch-Site: cross-site\r\n" +
			fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body)
		socket.(*net.UnixConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(wire.Limit))
		answers, err := io.ReadAll(c.in)
		c.Close()
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Fatal("no end")
		}
		if bytes.Contains(answers, []byte(" 200 OK")) {
			t.Errorf("answers %q", answers)
		}
		select {
		case <-dialed:
			t.Error("a job is submitted")
		default:
		}
	})
}

package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestClient: what is asked for arrives, over both ways, and problems come back as errors.
func TestClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/functions/-", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"title":"Unauthorized","status":401,"detail":"show a token"}`)
			return
		}
		io.WriteString(w, `{"name":"`+strings.ToUpper(r.URL.Query().Get("name"))+`","submitted_total":"18446744073709551615"}`)
	})
	mux.HandleFunc("POST /api/v1/drain", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	mux.HandleFunc("GET /api/v1/broken", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[") })
	mux.HandleFunc("GET /api/v1/proxy", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 502) })

	tcp := httptest.NewServer(mux)
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: mux}
	go unix.Serve(l)
	defer unix.Close()

	ctx := context.Background()
	for _, address := range []string{tcp.URL, tcp.URL + "/", "unix:" + path} {
		c, err := NewClient(address, "secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		var f Function
		if err := c.Get(ctx, Path("functions", "a/b c"), nil, &f); err != nil || f.Name != "A/B C" || f.Submitted != 1<<64-1 {
			t.Errorf("%s: %+v, %v", address, f, err)
		}
		var back Reason
		if err := c.Post(ctx, "drain", Reason{"night"}, &back); err != nil || back.Reason != "night" {
			t.Errorf("%s: %+v, %v", address, back, err)
		}
		if err := c.Get(ctx, "broken", nil, &f); err == nil || !strings.Contains(err.Error(), "not what this version expects") {
			t.Errorf("%s: a broken answer: %v", address, err)
		}
		var p *Problem
		if err := c.Get(ctx, "proxy", nil, &f); !errors.As(err, &p) || p.Status != 502 {
			t.Errorf("%s: the answer of a proxy: %v", address, err)
		}
		c.Close()
		stranger, _ := NewClient(address, "", nil)
		if err := stranger.Get(ctx, Path("functions", "/"), nil, &f); !errors.As(err, &p) || p.Status != 401 || err.Error() != "show a token" {
			t.Errorf("%s: without a token: %v", address, err)
		}
		stranger.Close()
	}
	for _, bad := range []string{"", "unix:", "broker:4780", "ftp://x", "http://"} {
		if _, err := NewClient(bad, "", nil); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
}

func TestPath(t *testing.T) {
	for want, parts := range map[string][]string{
		"functions/a%20b": {"functions", "a b"}, "jobs/H:x:1": {"jobs", "H:x:1"}, "jobs/%2E%2E": {"jobs", ".."}, "functions/%FF/jobs": {"functions", "\xff", "jobs"},
		"functions/-?name=a%2Fb": {"functions", "a/b"}, "functions/-/pause?name=..": {"functions", "..", "pause"},
		"functions/-?name=%FF%00%0A": {"functions", "\xff\x00\n"}, "functions/-": {"functions", "-"}, "functions/-?name=%3Da": {"functions", "=a"},
	} {
		if got := Path(parts...); got != want {
			t.Errorf("%q is %s, want %s", parts, got, want)
		}
	}
}

// TestPathsSurvive: what decodes a path, removes dots and double slashes and encodes it anew, as proxies do,
// leaves the path and the query of every function as they are.
func TestPathsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"/", ".", "..", "\\", "%", "%2F", "%2e", "=", "-", "?", "#", "&", "+", " ", "a", "\xff", "ö", "\n", ";"})
		name := strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "parts"), "")
		for _, rest := range [][]string{nil, {"explain"}} {
			text := Path(append([]string{"functions", name}, rest...)...)
			u, err := url.Parse(Prefix + text)
			if err != nil {
				t.Fatal(err)
			}
			segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), Prefix), "/")
			if len(segments) != 2+len(rest) {
				t.Fatalf("%q is %s", name, text)
			}
			is, err := url.PathUnescape(segments[1])
			if is == Named && u.Query().Has("name") {
				is = u.Query().Get("name")
			}
			if err != nil || is != name {
				t.Fatalf("%s names %q, want %q", text, is, name)
			}
			twice, err := url.PathUnescape(u.Path) // u.Path is decoded once
			clean := path.Clean(strings.ReplaceAll(twice, "\\", "/"))
			if err != nil || clean != u.Path || strings.Count(clean, "/") != strings.Count(u.EscapedPath(), "/") {
				t.Fatalf("%q is %s, and %q, %v, behind a proxy", name, u.EscapedPath(), clean, err)
			}
		}
	})
}

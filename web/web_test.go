package web

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/internal/httphost"
	"gearloop/test/await"
	"gearloop/test/leak"
	"gearloop/web/guard"
)

func TestMain(m *testing.M) { leak.None(m) }

func start(t *testing.T, mount func(*http.ServeMux)) (s *Server, address string) {
	t.Helper()
	return startWith(t, Config{}, mount)
}

// startWith starts a server with some of its configuration.
func startWith(t *testing.T, cfg Config, mount func(*http.ServeMux)) (s *Server, address string) {
	t.Helper()
	g := guard.New(guard.Config{
		Names: httphost.New(nil), Anonymous: guard.Operator,
		Refuse: func(w http.ResponseWriter, _ *http.Request, p *api.Problem) { http.Error(w, p.Detail, p.Status) },
	})
	cfg.Log, cfg.Guard, cfg.Mount = slog.New(slog.DiscardHandler), g, []func(*http.ServeMux){mount}
	s = New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Add(l, false)
	s.Start()
	t.Cleanup(s.End)
	return s, l.Addr().String()
}

// TestServes: mounted handlers are served and know who asks.
func TestServes(t *testing.T) {
	_, address := start(t, func(m *http.ServeMux) {
		m.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, guard.From(r.Context()).Role)
		})
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "operator" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestEndsStreams: an endless stream does not delay the end.
func TestEndsStreams(t *testing.T) {
	s, address := start(t, func(m *http.ServeMux) {
		m.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
	})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	s.End()
	s.End() // which does nothing
}

// TestConnectionsAreBounded: further connections wait until others end.
func TestConnectionsAreBounded(t *testing.T) {
	s, address := start(t, func(m *http.ServeMux) {
		m.HandleFunc("GET /x", func(http.ResponseWriter, *http.Request) {})
	})
	var idle []net.Conn
	for range MaxConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	await.Until(t, "all places taken", func() bool { return len(s.slots) == MaxConnections })
	late, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	fmt.Fprintf(late, "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	for _, c := range idle {
		c.Close()
	}
	resp, err := http.ReadResponse(bufio.NewReader(late), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	await.Until(t, "only the place of the next is taken", func() bool { return len(s.slots) == 1 })
}

// TestSocketIsReachableWhenTheNetworkIsFull: connections over the network take no place of the unix socket's.
func TestSocketIsReachableWhenTheNetworkIsFull(t *testing.T) {
	g := guard.New(guard.Config{Names: httphost.New(nil), Refuse: func(w http.ResponseWriter, _ *http.Request, p *api.Problem) {
		http.Error(w, p.Detail, p.Status)
	}})
	s := New(Config{Log: slog.New(slog.DiscardHandler), Guard: g, MaxConnections: 2, Mount: []func(*http.ServeMux){func(m *http.ServeMux) {
		m.HandleFunc("GET /x", func(http.ResponseWriter, *http.Request) {})
	}}})
	t.Cleanup(s.End)
	network, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Add(network, false)
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s.Add(socket, false)
	s.Start()
	for range 4 { // two of them wait for a place
		c, err := net.Dial("tcp", network.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	await.Until(t, "all places of the network taken", func() bool { return len(s.slots) == 2 })
	for i := range 4 { // the first place may have been taken before the network was full
		c, err := net.Dial("unix", socket.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(await.Limit)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %v, %v", i, resp, err)
		}
	}
}

package httpgate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/test/leak"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

func TestMain(m *testing.M) {
	leak.None(m,
		goleak.IgnoreAnyFunction("gearloop/test/peers.spawnLoop"),
		// gnet starts these goroutines when it is imported.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// site is a broker with an HTTP side: Gearloop behind a Gate, or the C server.
type site struct {
	broker *peers.Server
	admin  *wire.Conn // for text commands
	http   string     // host:port
	gate   *Gate      // nil for the C server
}

// sites starts both.
func sites(t *testing.T) map[string]site {
	return map[string]site{"gearloop": ours(t), "c": reference(t)}
}

// ours starts Gearloop, in the dialect of the C server, behind a Gate.
func ours(t *testing.T) site {
	t.Helper()
	if _, err := dialect.Named("c"); err != nil {
		t.Fatal(err)
	}
	s := peers.Start(t, peers.Gearloop, "--dialect", "c")
	g, addr := serve(t, Config{
		Dial:   func(context.Context) (net.Conn, error) { return s.Dial() },
		Server: "Gearman/1.1.20",
	})
	return site{broker: s, admin: wire.Dial(t, s.Addr), http: addr, gate: g}
}

// reference starts the C server. It tries again if another process has got the port in the meantime.
func reference(t *testing.T) site {
	t.Helper()
	var err error
	for range 3 {
		var port int
		if port, err = peers.FreePort(); err != nil {
			t.Fatal(err)
		}
		var s *peers.Server
		if s, err = peers.Launch(peers.C, peers.Options{Args: []string{"-r", "http", "--http-port", strconv.Itoa(port)}}); err != nil {
			if strings.Contains(err.Error(), "in use") {
				continue
			}
			break
		}
		t.Cleanup(func() {
			if err := s.End(); err != nil {
				t.Error(err)
			}
		})
		return site{broker: s, admin: wire.Dial(t, s.Addr), http: fmt.Sprint("127.0.0.1:", port)}
	}
	t.Fatal(err)
	return site{}
}

// serve starts a Gate on a free port and ends it with the test.
func serve(t testing.TB, cfg Config) (*Gate, string) {
	t.Helper()
	return serveOn(t, cfg, "tcp", "127.0.0.1:0")
}

// cancelled returns a context that has ended, with which Shutdown aborts everything at once.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func serveOn(t testing.TB, cfg Config, network, address string) (*Gate, string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	g := New(cfg)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Shutdown(cancelled())
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := len(g.slots); n != 0 {
			wire.Await(t, "all places are given back", func() bool { return len(g.slots) == 0 })
		}
		if n := g.budget.used.Load(); n != 0 {
			t.Errorf("%d bytes are still charged", n)
		}
	})
	return g, l.Addr().String()
}

// link is the broker's end of a connection that a Gate made. The test plays the broker.
type link struct {
	net.Conn
	tb testing.TB
}

// puppet returns a Dial for a Gate, and the broker's ends of the connections it makes.
func puppet(tb testing.TB) (func(context.Context) (net.Conn, error), <-chan link) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	links := make(chan link, 100)
	dial := func(context.Context) (net.Conn, error) {
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		far, err := l.Accept()
		if err != nil {
			return nil, err
		}
		tb.Cleanup(func() { far.Close() })
		links <- link{far, tb}
		return near, nil
	}
	return dial, links
}

// next waits for a connection.
func next(tb testing.TB, links <-chan link) link {
	tb.Helper()
	select {
	case l := <-links:
		return l
	case <-time.After(wire.Limit):
		tb.Fatal("the gate makes no connection")
	}
	return link{}
}

// head reads the header of a packet that the gate sends to the broker.
func (l link) head() (codec.Type, int) {
	l.tb.Helper()
	l.SetReadDeadline(time.Now().Add(wire.Limit))
	var head [codec.HeaderSize]byte
	if _, err := io.ReadFull(l, head[:]); err != nil {
		l.tb.Fatalf("waiting for a packet: %v", err)
	}
	if string(head[:4]) != "\x00REQ" {
		l.tb.Fatalf("no packet: %q", head)
	}
	return codec.Type(binary.BigEndian.Uint32(head[4:])), int(binary.BigEndian.Uint32(head[8:]))
}

// want reads a packet, which must be this one.
func (l link) want(kind codec.Type, args ...string) {
	l.tb.Helper()
	k, size := l.head()
	data := make([]byte, size)
	if _, err := io.ReadFull(l, data); err != nil {
		l.tb.Fatal(err)
	}
	if want := strings.Join(args, "\x00"); k != kind || string(data) != want {
		l.tb.Fatalf("got %v %q, want %v %q", k, data, kind, want)
	}
}

func (l link) send(kind codec.Type, args ...string) {
	l.tb.Helper()
	l.SetWriteDeadline(time.Now().Add(wire.Limit))
	if _, err := l.Write(codec.AppendPacket(nil, kind, args...)); err != nil {
		l.tb.Fatalf("sending %v: %v", kind, err)
	}
}

// wantEnd waits for the end of the connection.
func (l link) wantEnd() {
	l.tb.Helper()
	l.SetReadDeadline(time.Now().Add(wire.Limit))
	n, err := io.Copy(io.Discard, l)
	if ne := net.Error(nil); n != 0 || errors.As(err, &ne) && ne.Timeout() {
		l.tb.Fatalf("got %d bytes and %v, want the end", n, err)
	}
}

// client is a connection to the HTTP side.
type client struct {
	net.Conn
	tb testing.TB
	in *bufio.Reader
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	c, err := net.DialTimeout("tcp", addr, wire.Limit)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return &client{Conn: c, tb: tb, in: bufio.NewReader(c)}
}

// send sends bytes. It ignores errors, because the answer shows whether they matter.
func (c *client) send(raw string) *client {
	c.SetWriteDeadline(time.Now().Add(wire.Limit))
	io.WriteString(c, raw)
	return c
}

// ask sends a request on a new connection.
func ask(tb testing.TB, addr, raw string) *client {
	tb.Helper()
	return dial(tb, addr).send(raw)
}

// reply is an answer that was read.
type reply struct {
	status  int // 0: the connection ended without one
	command string
	handle  string
	body    string
	header  http.Header
	cut     bool // the body ended before its length
}

func (r reply) String() string {
	body := r.body
	if len(body) > 200 {
		body = fmt.Sprintf("%s... (%d bytes)", body[:200], len(body))
	}
	return fmt.Sprintf("%d %s handle %q body %q cut %v", r.status, r.command, r.handle, body, r.cut)
}

// reply reads the answer to a request of this method.
func (c *client) reply(method string) reply {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(wire.Limit))
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			c.tb.Fatal("no answer, and no end of the connection")
		}
		return reply{}
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.tb.Fatal("the body does not end")
	}
	return reply{
		status:  resp.StatusCode,
		command: resp.Header.Get(headerCommand),
		handle:  resp.Header.Get(headerHandle),
		body:    body.String(),
		header:  resp.Header,
		cut:     err != nil,
	}
}

// wantEnd waits for the end of the connection.
func (c *client) wantEnd() {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(wire.Limit))
	b, err := c.in.ReadByte()
	if ne := net.Error(nil); err == nil || errors.As(err, &ne) && ne.Timeout() {
		c.tb.Fatalf("got %q and %v, want the end of the connection", b, err)
	}
}

// post writes a request with a body.
func post(function, body string, headers ...string) string {
	return request("POST /"+function+" HTTP/1.1", append(headers, fmt.Sprintf("Content-Length: %d", len(body)))...) + body
}

// request writes a request line and headers, with a Host.
func request(line string, headers ...string) string {
	lines := append([]string{line, "Host: localhost"}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// job is a job as a worker got it.
type job struct{ handle, function, unique, argument string }

// grab connects a worker of a function, which waits for its job.
func grab(w *wire.Conn, function string) job {
	w.Send(codec.CanDo, function)
	for {
		w.Send(codec.GrabJobUniq)
		p := w.Next()
		if p.Type == codec.JobAssignUniq {
			a := p.Args(4)
			return job{a[0], a[1], a[2], a[3]}
		}
		w.Send(codec.PreSleep)
		w.WantType(codec.Noop)
	}
}

package reactor

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/store"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// rig is a server in the test's own process.
type rig struct {
	tb     testing.TB
	server *Server
	sched  *sched.Sched
	addrs  []string
	ended  chan error
}

// setup is what a test may configure before the server is made.
type setup struct {
	Config
	Sched  sched.Config
	listen []string // 127.0.0.1:0 if empty
	store  store.Store
	watch  bool // Server.Watch is called

	portable      bool          // of the server
	guestsBring   int           // of the server
	proxyPatience time.Duration // of the server, if not 0
}

// newRig starts a server. It ends with the test, and must then leave no goroutine and no descriptor.
func newRig(tb testing.TB, change ...func(*setup)) *rig {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	descriptors := openDescriptors(tb)
	s := setup{
		Config: Config{
			Dialect: dialect.Perl, Log: slog.New(slog.NewTextHandler(failOn{tb}, nil)), Loops: 2, Accept: 10,
			MaxPacket: 64 << 20, MaxOutbound: 256 << 20,
		},
		Sched: sched.Config{Dialect: dialect.Perl, HandlePrefix: "H:rig", Wakeup: 3, WakeupDelay: dialect.Perl.WakeupDelay},

		guestsBring: broughtConns,
	}
	for _, f := range change {
		f(&s)
	}
	r := &rig{tb: tb, sched: sched.New(s.Sched), ended: make(chan error, 1)}
	s.Config.Sched = r.sched
	s.Admin = &admin.Admin{Sched: r.sched, Dialect: s.Dialect, Version: "1.2.3"}
	var err error
	if r.server, err = New(s.Config); err != nil {
		tb.Fatal(err)
	}
	r.server.portable, r.server.guestsBring = s.portable, s.guestsBring
	if s.proxyPatience > 0 {
		r.server.proxyPatience = s.proxyPatience
	}
	if s.watch {
		r.server.Watch()
	}
	if s.store != nil {
		r.sched.Keep(s.store)
		if err := s.store.Start(r.server); err != nil {
			tb.Fatal(err)
		}
	}
	if len(s.listen) == 0 {
		s.listen = []string{"127.0.0.1:0"}
	}
	for _, a := range s.listen {
		opened, err := r.server.Listen(a, 0)
		if err != nil {
			tb.Fatal(err)
		}
		r.addrs = append(r.addrs, opened...)
	}
	ready := make(chan struct{})
	go func() { r.ended <- r.server.Serve(func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-r.ended:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.server.Abort()
		r.wantEnd()
		if n := r.server.counters.Panics.Load(); n > 0 {
			tb.Errorf("%d internal faults", n)
		}
		var err error // goleak itself gives up after 0.4 s
		await.UntilSaid(tb, func() bool { err = goleak.Find(before); return err == nil }, func() string { return err.Error() })
		wire.Await(tb, "all descriptors are closed", func() bool { return openDescriptors(tb) <= descriptors })
	})
	return r
}

// wantEnd waits until Serve has returned, perhaps before this call.
func (r *rig) wantEnd() {
	r.tb.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			r.tb.Errorf("Serve: %v", err)
		}
		r.ended <- nil
	case <-time.After(wire.Limit):
		stacks := make([]byte, 1<<20)
		r.tb.Fatalf("the server does not end\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

// loops sets the number of event loops, which all run by themselves.
func loops(n int) func(*setup) { return func(s *setup) { s.Loops, s.MinLoops = n, n } }

// failOn is the writer of a server's log. Internal faults fail the test; other lines are dropped.
type failOn struct{ tb testing.TB }

func (f failOn) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "level=ERROR") {
		f.tb.Errorf("log: %s", line)
	}
	return len(line), nil
}

// dial opens a connection to the first listener.
func (r *rig) dial() *wire.Conn {
	r.tb.Helper()
	return wire.Dial(r.tb, r.addrs[0])
}

// worker opens a connection that can do some functions.
func (r *rig) worker(functions ...string) *wire.Conn {
	r.tb.Helper()
	w := r.dial()
	for _, f := range functions {
		w.Send(codec.CanDo, f)
	}
	w.Sync()
	return w
}

// asleep opens a connection that can do some functions and waits for a NOOP.
func (r *rig) asleep(functions ...string) *wire.Conn {
	r.tb.Helper()
	w := r.worker(functions...)
	w.Send(codec.PreSleep)
	w.Sync()
	return w
}

// quiet waits until nothing of former connections and jobs is left.
func (r *rig) quiet() {
	r.tb.Helper()
	wire.Await(r.tb, "no connection, job or timer is left", func() bool {
		n := r.sched.Count()
		n.Memory = 0
		return n == sched.Counts{} && r.server.connections.Load() == 0 && r.server.halfClosed.count() == 0 &&
			r.server.clock.count() == 0
	})
}

// slotsTaken returns the number of slots in use.
func (r *rig) slotsTaken() int {
	taken, _ := r.server.slots.count()
	return taken
}

// activeCount returns the number of handshake places in use.
func (h *handshakes) activeCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.active
}

// noPayload waits until no payload is referenced. A loop frees what it handed on or wrote a moment after the
// peer has seen it.
func noPayload(tb testing.TB) {
	tb.Helper()
	wire.Await(tb, "no payload is left", func() bool {
		n, bytes := payload.InUse()
		return n == 0 && bytes == 0
	})
}

// openDescriptors counts the descriptors of this process. The runtime's own, which it opens when it first
// waits for a socket, are there from the beginning.
func openDescriptors(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l.Close()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// textLog is a log that is looked at.
func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// deafen sends an echo request and reads no answer. Nearly all of the answer stays in the server.
func deafen(c *wire.Conn, bytes int) {
	socketOf(c).SetReadBuffer(4 << 10)
	c.Send(codec.EchoReq, strings.Repeat("d", bytes))
}

// socketOf returns the socket of a connection over TCP, with TLS or without.
func socketOf(c *wire.Conn) *net.TCPConn {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.NetConn().(*net.TCPConn)
	}
	return c.Conn.(*net.TCPConn)
}

// noLog is the log of servers whose faults do not matter to the test.
func noLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

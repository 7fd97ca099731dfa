package reactor

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
	"gearloop/test/await"
)

// simulation is a server whose connections have no sockets. Everything above gnet is real; gnet is a queue of
// tasks for each loop. Output goes to the descriptor that the simulation gave the connection.
type simulation struct {
	tb     testing.TB
	server *Server
	sched  *sched.Sched
	loops  []*simLoop
	null   int // takes all output
}

func newSimulation(tb testing.TB, loops int, cfg sched.Config) *simulation {
	tb.Helper()
	cfg.Dialect, cfg.HandlePrefix = dialect.Perl, "H:sim"
	sim := &simulation{tb: tb, sched: sched.New(cfg)}
	server, err := New(Config{
		Dialect: dialect.Perl, Log: slog.New(slog.NewTextHandler(failOn{tb}, nil)), Loops: loops, Accept: 1,
		MaxPacket: 64 << 20, MaxOutbound: 1 << 30, Sched: sim.sched,
		Admin: &admin.Admin{Sched: sim.sched, Dialect: dialect.Perl, Version: "1.2.3"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	sim.server = server
	if server.writable, err = newWritable(server); err != nil {
		tb.Fatal(err)
	}
	server.slots = newSlots(1<<24, 0, 0, &server.counters, server.log)
	server.clock.start()
	if sim.null, err = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		tb.Fatal(err)
	}
	for range loops {
		l := &simLoop{server: server, kick: make(chan struct{}, 1)}
		l.ended.Go(l.run)
		sim.loops = append(sim.loops, l)
		own := server.loop(l)
		own.pacer = &pacer{socket: simPace{l, own}, loop: own}
	}
	tb.Cleanup(func() {
		server.clock.stop()
		for _, l := range sim.loops {
			l.do(nil)
			l.ended.Wait()
		}
		server.writable.stop()
		server.writable.close()
		unix.Close(sim.null)
		if n := server.counters.Panics.Load(); n > 0 {
			tb.Errorf("%d internal faults", n)
		}
	})
	return sim
}

// simLoop plays one of gnet's event loops.
type simLoop struct {
	gnet.EventLoop // other methods are not called
	server         *Server
	kick           chan struct{}
	ended          sync.WaitGroup

	mu      sync.Mutex
	tasks   []func()
	longest time.Duration // the longest task since the last call of resetLongest
}

// do makes the loop call a function. nil ends it.
func (l *simLoop) do(task func()) {
	l.mu.Lock()
	l.tasks = append(l.tasks, task)
	l.mu.Unlock()
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *simLoop) run() {
	for range l.kick {
		l.mu.Lock()
		tasks := l.tasks
		l.tasks = nil
		l.mu.Unlock()
		for _, task := range tasks {
			if task == nil {
				return
			}
			began := time.Now()
			task()
			took := time.Since(began)
			l.mu.Lock()
			l.longest = max(l.longest, took)
			l.mu.Unlock()
		}
	}
}

// resetLongest returns the duration of the longest task since its last call.
func (l *simLoop) resetLongest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.longest
	l.longest = 0
	return d
}

// wait waits until the loop has done all tasks that it has so far.
func (l *simLoop) wait() {
	done := make(chan struct{})
	l.do(func() { close(done) })
	<-done
}

// quiesce waits until no loop has a task. Nobody else may add tasks meanwhile.
func (sim *simulation) quiesce() {
	// Each loop may have given a task to each other one.
	for range len(sim.loops) + 1 {
		for _, l := range sim.loops {
			l.wait()
		}
	}
}

// Execute makes the loop run a task later, as gnet does.
func (l *simLoop) Execute(ctx context.Context, r gnet.Runnable) error {
	l.do(func() { r.Run(ctx) })
	return nil
}

// Close closes a connection.
func (l *simLoop) Close(c gnet.Conn) error {
	l.server.closed(c, nil)
	return nil
}

// simPace plays a pacer's socket: its task comes after all others that the loop has.
type simPace struct {
	loop *simLoop
	own  *loop
}

func (p simPace) Write(b []byte) (int, error) {
	p.loop.do(func() { p.own.pacer.turn() })
	return len(b), nil
}

func (p simPace) Close() error { return nil }

// simConn plays gnet's side of a connection.
type simConn struct {
	gnet.Conn // other methods are not called
	own       *conn
	loop      *simLoop
	fd        int
	in        []byte // what Next returns
}

func (c *simConn) Context() any              { return c.own }
func (c *simConn) EventLoop() gnet.EventLoop { return c.loop }
func (c *simConn) Fd() int                   { return c.fd }
func (c *simConn) LocalAddr() net.Addr       { return nil }
func (c *simConn) RemoteAddr() net.Addr      { return nil }

func (c *simConn) Next(int) ([]byte, error) {
	in := c.in
	c.in = nil
	return in, nil
}

// open connects. It must be called on the connection's loop.
func (c *simConn) open(sim *simulation, addr netip.AddrPort) {
	c.own = new(conn)
	c.own.Addr = addr
	sim.server.slots.enter(&waiter{})
	sim.server.opened(c)
}

// receive makes the server read bytes. It must be called on the connection's loop.
func (c *simConn) receive(b []byte) {
	c.in = b
	c.loop.server.traffic(c)
}

// connect adds a connection whose output goes to a descriptor.
func (sim *simulation) connect(loop, fd int) *simConn {
	c := &simConn{loop: sim.loops[loop], fd: fd}
	c.loop.do(func() { c.open(sim, netip.AddrPort{}) })
	c.loop.wait()
	return c
}

// console is a connection for text commands, with a socket.
type console struct {
	*simConn
	far net.Conn
}

func (sim *simulation) console(loop int) *console {
	sim.tb.Helper()
	far, near, err := socketPair()
	if err != nil {
		sim.tb.Fatal(err)
	}
	defer near.Close()
	fd, err := descriptorOf(near.(syscall.Conn))
	if err != nil {
		sim.tb.Fatal(err)
	}
	sim.tb.Cleanup(func() {
		far.Close()
		unix.Close(fd)
	})
	return &console{sim.connect(loop, fd), far}
}

// ask sends a text command. It returns the number of lines of its table, and how long the answer took.
func (c *console) ask(tb testing.TB, command string) (lines int, took time.Duration) {
	tb.Helper()
	began := time.Now()
	c.loop.do(func() { c.receive([]byte(command + "\n")) })
	buf := make([]byte, 256<<10)
	end, begun := 0, true // ".\n" at the beginning of a line has arrived; bytes so far
	c.far.SetReadDeadline(began.Add(await.Limit))
	for end < 2 {
		n, err := c.far.Read(buf)
		if err != nil {
			tb.Fatalf("%s: %v after %d lines", command, err, lines)
		}
		for _, b := range buf[:n] {
			switch {
			case begun && b == '.':
				end = 1
			case end == 1 && b == '\n':
				end = 2
			default:
				end = 0
			}
			if begun = b == '\n'; begun {
				lines++
			}
		}
	}
	return lines - 1, time.Since(began)
}

// sink is a descriptor that counts the NOOPs written to it.
type sink struct{ read, write int }

func newSinks(tb testing.TB, n int) []sink {
	tb.Helper()
	sinks := make([]sink, n)
	for i := range sinks {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			tb.Fatal(err)
		}
		sinks[i] = sink{p[0], p[1]}
		tb.Cleanup(func() {
			unix.Close(p[0])
			unix.Close(p[1])
		})
	}
	return sinks
}

// noops returns the number of NOOPs since its last call.
func (s sink) noops(tb testing.TB) (n int) {
	tb.Helper()
	noop := codec.AppendPacket(nil, codec.Noop)
	buf := make([]byte, 64<<10)
	size, err := unix.Read(s.read, buf)
	if err == unix.EAGAIN {
		return 0
	}
	if err != nil || size%len(noop) != 0 {
		tb.Fatalf("%d bytes were written to workers, %v", size, err)
	}
	for at := 0; at < size; at += len(noop) {
		if t := codec.Type(binary.BigEndian.Uint32(buf[at+4:])); t != codec.Noop {
			tb.Fatalf("a worker got %v", t)
		}
	}
	return size / len(noop)
}

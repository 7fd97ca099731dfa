package reactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// exhaustDescriptors opens descriptors until the process may open only so many more. It returns a function
// that closes as many of them as it is told.
func exhaustDescriptors(t *testing.T, left int) (give func(n int)) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lower := limit
	lower.Cur = uint64(openDescriptors(t) + 40)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	var opened []int
	give = func(n int) {
		for range min(n, len(opened)) {
			last := len(opened) - 1
			unix.Close(opened[last])
			opened = opened[:last]
		}
	}
	t.Cleanup(func() {
		give(len(opened))
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		opened = append(opened, fd)
	}
	give(left)
	return give
}

// However few descriptors are free, a peer that could be accepted is not disconnected. It waits until there
// are enough.
func TestPeersWaitForDescriptors(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for free := range 4 {
			t.Run(fmt.Sprintf("free=%d/tls=%v", free, secure), func(t *testing.T) {
				r := newTLSRig(t, false, loops(1), func(s *setup) { s.Log = noLog(); s.Accept = 2 })
				r.secure().Sync()
				r.plain().Sync() // descriptors that are opened only once
				wire.Await(t, "nobody is on the way", func() bool { return len(r.server.handovers) == 0 })
				failed := func() int64 { return r.server.Counters().AcceptErrors.Load() }
				give := exhaustDescriptors(t, 1) // the client's own
				before := failed()
				var c *wire.Conn
				if secure {
					c = wire.New(t, r.tcp())
				} else {
					c = r.plain()
				}
				wire.Await(t, "there is none for the peer", func() bool { return failed() > before })
				give(free)
				before = failed()
				if !secure && free < 3 {
					wire.Await(t, "the peer is kept waiting", func() bool { return failed() > before+2 })
				}
				give(20)
				if secure {
					c = r.secureOver(c.Conn, r.client)
				}
				c.Sync()
				give(20)
			})
		}
	}
}

// A connection from inside the process behaves like any other.
func TestDial(t *testing.T) {
	r := newRig(t, loops(2), func(s *setup) { s.MaxConnections = 3 })
	dial := func() *wire.Conn {
		t.Helper()
		c, err := r.server.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return wire.New(t, c)
	}
	client, worker := dial(), r.worker("f")
	h := client.Submit(codec.SubmitJob, "f", "", "x")
	if got, argument := worker.Grab(); got != h || argument != "x" {
		t.Fatalf("got %s, %q", got, argument)
	}
	data := string(noise(8 << 20))
	worker.Send(codec.WorkComplete, h, data)
	if p := client.WantType(codec.WorkComplete); string(p.Data) != h+"\x00"+data {
		t.Errorf("%d bytes came", len(p.Data))
	}
	if n := r.server.connections.Load(); n != 2 || r.slotsTaken() != 2 {
		t.Errorf("%d connections, %d slots taken", n, r.slotsTaken())
	}

	// It waits for a slot without a limit of time.
	third := dial()
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := r.server.DialContext(ctx)
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	later := make(chan net.Conn)
	go func() {
		c, err := r.server.DialContext(t.Context())
		if err != nil {
			t.Error(err)
		}
		later <- c
	}()
	third.Close()
	c := <-later
	wire.New(t, c).Sync()
	c.Close()
	client.CloseWrite()
	client.WantEnd()
	worker.Close()
	r.quiet()
	wire.Await(t, "no slot is taken", func() bool { return r.slotsTaken() == 0 })
}

// A server that is ending accepts no connections from inside the process any more, and closes existing ones.
func TestDialEnds(t *testing.T) {
	r := newRig(t, func(s *setup) { s.MaxConnections = 1 })
	c, err := r.server.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waiting := make(chan error)
	go func() {
		_, err := r.server.DialContext(t.Context())
		waiting <- err
	}()
	r.server.Shutdown()
	if err := <-waiting; !errors.Is(err, errEnding) {
		t.Errorf("waits for a slot while the server ends: %v", err)
	}
	r.wantEnd()
	c.SetReadDeadline(time.Now().Add(wire.Limit))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := r.server.DialContext(t.Context()); !errors.Is(err, errEnding) {
		t.Errorf("after the end: %v", err)
	}
}

// tcpInfo returns the kernel's data about a listener.
func tcpInfo(t *testing.T, l net.Listener) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// The kernel keeps as many connections waiting as Config.Backlog says.
func TestBacklog(t *testing.T) {
	s := idle(t)
	for _, backlog := range []int{0, 7, 1} {
		s.cfg.Backlog = backlog
		if _, err := s.Listen("127.0.0.1:0", 0); err != nil {
			t.Fatal(err)
		}
		// For a listener this field is its backlog.
		got := int(tcpInfo(t, s.listeners[len(s.listeners)-1]).Sacked)
		if backlog != 0 && got != backlog || got == 0 {
			t.Errorf("backlog %d, want %d", got, backlog)
		}
	}
}

// Accepted connections have the keepalive settings of Config.KeepAlive, or by default those that follow from
// DeadPeerAfter.
func TestKeepAlive(t *testing.T) {
	get := func(t *testing.T, r *rig, option, level int) (value int) {
		t.Helper()
		r.dial().Sync()
		r.server.onEachLoop(func(l *loop) bool {
			for c := range l.conns {
				var err error
				if value, err = unix.GetsockoptInt(c.FD, level, option); err != nil {
					t.Error(err)
				}
			}
			return true
		})
		return value
	}
	own := net.KeepAliveConfig{Enable: true, Idle: 11 * time.Second, Interval: 12 * time.Second, Count: 13}
	system := net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}
	for name, c := range map[string]struct {
		config Config
		on     int
		idle   int // 0: the system's
		count  int
	}{
		"off":          {Config{}, 0, 0, 0},
		"dead peers":   {Config{DeadPeerAfter: 90 * time.Second}, 1, 60, 3},
		"own":          {Config{KeepAlive: own}, 1, 11, 13},
		"own first":    {Config{KeepAlive: own, DeadPeerAfter: time.Hour}, 1, 11, 13},
		"the system's": {Config{KeepAlive: system, DeadPeerAfter: time.Hour}, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, loops(1), func(s *setup) { s.KeepAlive, s.DeadPeerAfter = c.config.KeepAlive, c.config.DeadPeerAfter })
			if on := get(t, r, unix.SO_KEEPALIVE, unix.SOL_SOCKET); on != c.on {
				t.Errorf("keepalive %d, want %d", on, c.on)
			}
			untouched, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer untouched.Close()
			for option, want := range map[int]int{unix.TCP_KEEPIDLE: c.idle, unix.TCP_KEEPCNT: c.count} {
				if want == 0 {
					raw, err := untouched.(syscall.Conn).SyscallConn()
					if err != nil {
						t.Fatal(err)
					}
					raw.Control(func(fd uintptr) { want, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) })
					if err != nil {
						t.Fatal(err)
					}
				}
				if got := get(t, r, option, unix.IPPROTO_TCP); got != want {
					t.Errorf("option %d is %d, want %d", option, got, want)
				}
			}
		})
	}
}

// A peer counts as gone when it has been silent for as long as allowed, and not later, within whole seconds.
func TestKeepAliveFor(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s 1s 1", 2 * time.Second: "1.333333334s 1s 1", 3 * time.Second: "2s 1s 1", 6 * time.Second: "4s 1s 2",
		9 * time.Second: "6s 1s 3", 90 * time.Second: "1m0s 10s 3", time.Hour: "40m0s 6m40s 3",
	} {
		k := keepAliveFor(d)
		if got := fmt.Sprintf("%v %v %d", k.Idle, k.Interval, k.Count); got != want || !k.Enable {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// Connections of an inherited listener have the same keepalive settings as those of the server's own.
func TestKeepAliveOfPassed(t *testing.T) {
	for _, c := range []struct{ after, idle int }{{0, 0}, {90, 60}} {
		opened, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := idle(t)
		s.cfg.DeadPeerAfter = time.Duration(c.after) * time.Second
		s.cfg.Passed = map[string][]net.Listener{"x": {opened}}
		if names, err := s.Listen("fd:x", 0); err != nil || len(names) != 1 || names[0] != opened.Addr().String() {
			t.Fatal(names, err)
		}
		if _, err := s.Listen("fd:y", 0); !errors.Is(err, ErrAddress) {
			t.Errorf("a name that was not passed: %v", err)
		}
		wire.Dial(t, opened.Addr().String())
		socket, err := s.listeners[0].Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		raw, err := socket.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			seconds, err2 := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
			if err != nil || err2 != nil || (on != 0) != (c.idle > 0) || on != 0 && seconds != c.idle {
				t.Errorf("dead peers after %d s: keepalive %d after %d s, want %d; %v %v", c.after, on, seconds, c.idle, err, err2)
			}
		})
	}
}

package reactor

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// tcpInfo returns the kernel's data about a listener or a connection.
func tcpInfo(tb testing.TB, socket any) (info *unix.TCPInfo) {
	tb.Helper()
	raw, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

// segments returns how many segments with data a TCP connection has received.
func segments(tb testing.TB, c *wire.Conn) int {
	tb.Helper()
	return int(tcpInfo(tb, c.Conn).Data_segs_in)
}

// Pipelined commands and packets are answered with one write.
func TestPipelinedAnswersInOneWrite(t *testing.T) {
	r := newRig(t, loops(1))
	c := r.dial()
	c.Sync()
	before := segments(t, c)
	var sent, answer []byte
	for range 60 {
		sent = codec.AppendRequest(append(sent, "version\n"...), codec.EchoReq, "x")
		answer = codec.AppendPacket(append(answer, "v1.2.3\n"...), codec.EchoRes, "x")
	}
	c.Raw(sent)
	wantBytes(t, c, answer)
	if n := segments(t, c) - before; n != 1 {
		t.Errorf("the answers came in %d pieces", n)
	}
	// Output that others cause in one turn of the loop is written together, too.
	worker := r.worker("f")
	var handles []string
	for range 20 {
		handles = append(handles, c.Submit(codec.SubmitJob, "f", "", ""))
	}
	for range handles {
		worker.Grab()
	}
	before = segments(t, c)
	sent, answer = nil, nil
	for _, h := range handles {
		sent = codec.AppendRequest(sent, codec.WorkComplete, h, "y")
		answer = codec.AppendPacket(answer, codec.WorkComplete, h, "y")
	}
	worker.Raw(sent)
	wantBytes(t, c, answer)
	if n := segments(t, c) - before; n != 1 {
		t.Errorf("%d results came in %d pieces", len(handles), n)
	}
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

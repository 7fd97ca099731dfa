package reactor

import (
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"gearloop/test/wire"
)

// The list contains what was added and not removed, each once, and every connection knows its index.
func TestUnheardList(t *testing.T) {
	s := idle(t)
	s.watcher.allow = time.Second
	l := newLoop(s, nil)
	u := &l.unheard
	in := map[*conn]bool{}
	conns := make([]*conn, 50)
	for i := range conns {
		conns[i] = &conn{loop: l}
		conns[i].Addr = (&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1 + i}).AddrPort()
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		c := conns[rng.IntN(len(conns))]
		if rng.IntN(2) == 0 {
			u.add(c)
			in[c] = true
		} else {
			u.remove(c)
			delete(in, c)
		}
		if len(u.conns) != len(in) || u.any.Load() != (len(in) > 0) {
			t.Fatalf("%d are listed, %v; want %d", len(u.conns), u.any.Load(), len(in))
		}
		for i, c := range u.conns {
			if !in[c] || c.unheard != i+1 {
				t.Fatalf("at place %d is a connection that believes to be at %d", i+1, c.unheard)
			}
		}
	}
	unix := &conn{loop: l}
	s.watcher.allow = 0
	u.add(unix)
	for _, c := range conns {
		if !in[c] {
			u.add(c)
		}
	}
	if unix.unheard != 0 || len(u.conns) != len(in) {
		t.Errorf("%d are listed without need", len(u.conns)-len(in))
	}
}

// The allowed silence is that of the keepalive settings, from either kind of option.
func TestSilenceAllowed(t *testing.T) {
	system := systemKeepAlive()
	for want, c := range map[time.Duration]Config{
		0:                 {},
		90 * time.Second:  {DeadPeerAfter: 90 * time.Second},
		16 * time.Second:  {DeadPeerAfter: time.Hour, KeepAlive: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3}},
		150 * time.Second: {KeepAlive: net.KeepAliveConfig{Enable: true}},
		system.Idle + time.Duration(system.Count)*system.Interval: {KeepAlive: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
	} {
		if got := c.silenceAllowed(); got != want {
			t.Errorf("%+v: %v, want %v", c.KeepAlive, got, want)
		}
	}
}

// A connection with unacknowledged output is listed.
func TestPeersThatAreSentSomethingAreUnheard(t *testing.T) {
	r := newTLSRig(t, false, loops(1), func(s *setup) { s.DeadPeerAfter = time.Hour })
	r.plain()
	for _, c := range []*wire.Conn{r.plain(), r.secure()} {
		c.Sync()
	}
	listed := 0
	r.server.onEachLoop(func(l *loop) bool { listed = len(l.unheard.conns); return true })
	if listed != 2 {
		t.Errorf("%d connections are listed, want 2", listed)
	}
}

// Many connections are examined in slices. Those whose peers have answered are removed.
func TestUnheardAreForgotten(t *testing.T) {
	r := newRig(t, loops(1), func(s *setup) { s.DeadPeerAfter = time.Second })
	const many = 2*deadTurn + 7
	for range many {
		r.dial().Sync()
	}
	wire.Await(t, "the list is empty and all are there", func() bool {
		return !r.server.onEachLoop(func(l *loop) bool { return len(l.unheard.conns) != 0 || len(l.conns) != many })
	})
}

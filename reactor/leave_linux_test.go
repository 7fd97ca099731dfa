package reactor

import (
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// TestCrowdIsPassed: a connection that had input lately does not wait until a crowd that has ended before it is
// read to its end.
func TestCrowdIsPassed(t *testing.T) {
	for name, loops := range map[string]int{"one loop": 1, "a host and its guests": 3} {
		t.Run(name, func(t *testing.T) { crowdIsPassed(t, loops) })
	}
}

func crowdIsPassed(t *testing.T, loops int) {
	r := newRig(t, lodgers(loops))
	// More than the two polls of a turn report, and than had input last.
	crowd := 2*lookEvents + loops*recentConns + lossesLook
	var others, active []*wire.Conn
	for range crowd {
		c := r.dial()
		c.Sync()
		others = append(others, c)
	}
	for range loops {
		active = append(active, r.dial()) // one on each loop
	}
	if r.calm(active...); loops == 1 {
		active[0].Sync()
	}
	all := r.server.allLoops()
	host := all[0]
	on(host, func() {
		theirs := map[string]*conn{}
		for _, l := range all {
			for c := range l.conns {
				theirs[c.Addr.String()] = c
			}
		}
		took := func(c *wire.Conn) *conn { return theirs[c.LocalAddr().String()] }
		for _, c := range others {
			c.Close()
			wire.Await(t, "the end is there", func() bool {
				state := []unix.PollFd{{Fd: int32(took(c).FD), Events: unix.POLLRDHUP}}
				n, _ := unix.Poll(state, 0)
				return n == 1
			})
		}
		for _, c := range active {
			c.Send(codec.EchoReq, "x")
			wire.Await(t, "the input is there", func() bool { return unreadBytes(took(c).FD) > 0 })
		}
		host.serveReady(host.pollNow())
		unseen := 0
		for _, c := range others {
			if s := took(c); !s.leaving && !s.closed {
				unseen++
			}
		}
		if unseen == 0 {
			t.Error("the whole crowd was seen in one turn")
		}
		for i, c := range active {
			if unreadBytes(took(c).FD) > 0 {
				t.Errorf("input of connection %d waits behind %d of the crowd", i, unseen)
			}
		}
	})
	for _, c := range active {
		c.Want(codec.EchoRes, "x")
	}
	wire.Await(t, "all are closed", func() bool { return r.sched.Count().Peers == loops })
}

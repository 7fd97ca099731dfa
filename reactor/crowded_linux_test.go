package reactor

import (
	"io"
	"strconv"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// A turn that has taken long accepts few connections, closes few, and reads and handles little of each; what is left is
// done in later turns.
func TestLateTurn(t *testing.T) {
	r := newRig(t, loops(1))
	const crowd, each = 3 * crowdedSockets, 400
	l := r.server.allLoops()[0]
	for range crowd {
		r.dial().Sync()
	}
	var input []byte
	for i := range each {
		input = codec.AppendRequest(input, codec.CanDo, "f"+strconv.Itoa(i))
	}
	busy := r.dial()
	busy.Sync()
	var its *conn
	on(l, func() {
		var others []*conn
		for c := range l.conns {
			if c.Addr.String() == busy.LocalAddr().String() {
				its = c
			} else {
				others = append(others, c)
			}
		}
		late := func() { l.handled, l.crowdedAt = 0, l.now }

		busy.Raw(input)
		wire.Await(t, "the input is there", func() bool { return unreadBytes(its.FD) == len(input) })
		late()
		if l.receive(its); l.handled > 2*crowdedItems || unreadBytes(its.FD) != len(input)-crowdedRead {
			t.Errorf("%d items are handled, %d of %d bytes unread", l.handled, unreadBytes(its.FD), len(input))
		}

		before := len(l.conns)
		for range crowd {
			r.dial()
		}
		late()
		l.burst = acceptTurn
		if l.acceptFrom(l.doors[0]); len(l.conns) != before+crowdedSockets {
			t.Errorf("%d connections are accepted", len(l.conns)-before)
		}

		late()
		for _, c := range others {
			if l.part(c, io.EOF); c.closed {
				t.Error("a connection is closed before its turn")
			}
		}
		before = len(l.conns)
		if l.closeLeaving(); len(l.conns) != before-crowdedSockets {
			t.Errorf("%d connections are closed", before-len(l.conns))
		}
	})
	busy.Sync()
	await.Until(t, "those that have ended are closed, the others accepted", func() bool {
		return r.sched.Count().Peers == 1+crowd
	})
	if n := r.sched.Count().Abilities; n != each {
		t.Errorf("%d functions are declared", n)
	}
}

// Much input makes the loop look at its clock again.
func TestMuchInputReadsTheClock(t *testing.T) {
	r := newRig(t, loops(1))
	l := r.server.allLoops()[0]
	on(l, func() {
		for _, items := range []int{readClockItems - 1, readClockItems} {
			l.begins, l.clocked, l.handled = 0, 100, 100+items
			l.now = l.turnAt
			l.begin()
			if read := l.now != l.turnAt; read != (items == readClockItems) {
				t.Errorf("after %d items the clock is read: %v", items, read)
			}
		}
	})
}

// Connections whose input waits take turns: little input does not wait behind all of another one's.
func TestWaitingInputTakesTurns(t *testing.T) {
	r := newRig(t, loops(1))
	a, b := r.dial(), r.dial()
	a.Sync()
	b.Sync()
	l := r.server.allLoops()[0]
	const each = 10 * waitingItems
	var input []byte
	for range each {
		input = codec.AppendRequest(input, codec.EchoReq, "x")
	}
	size := len(input) / each
	on(l, func() {
		for c := range l.conns {
			c.keep(input)
			c.steer()
		}
		for {
			l.goOn()
			least, most := each, 0
			for c := range l.conns {
				left := len(c.stash) / size
				least, most = min(least, left), max(most, left)
			}
			if most-least > waitingItems {
				t.Fatalf("%d items of one connection wait, %d of the other", most, least)
			}
			if most == 0 {
				break
			}
		}
	})
	for _, c := range []*wire.Conn{a, b} {
		for range each {
			c.Want(codec.EchoRes, "x")
		}
	}
}

// The turn of a host and its guests is crowded for all of them at once.
func TestGuestsAreLateWithTheirHost(t *testing.T) {
	_, _, host, guest := newHouse(t)
	on(host, func() {
		host.crowdedAt = host.now.Add(-time.Second)
		host.serveGuest(guest, func() {
			guest.begin()
			if !guest.isCrowded(guest.now) {
				t.Error("the guest's part of the turn begins anew")
			}
		})
	})
}

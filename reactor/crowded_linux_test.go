package reactor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// A turn that has taken long accepts few connections and closes as few.
func TestLateTurnLeavesSockets(t *testing.T) {
	r := newRig(t, loops(1))
	const crowd = 3 * crowdedSockets
	l := r.server.allLoops()[0]
	for range crowd {
		r.dial().Sync()
	}
	on(l, func() {
		var others []*conn
		for c := range l.conns {
			others = append(others, c)
		}
		late := func() { l.handled, l.crowdedAt = 0, l.now }
		for range crowd {
			r.dial()
		}
		l.burst = acceptTurn
		before := len(l.conns)
		for range looks {
			late()
			l.acceptFrom(l.doors[0])
		}
		if n := len(l.conns) - before; n != crowdedSockets {
			t.Errorf("accepted %d connections, want %d", n, crowdedSockets)
		}
		late()
		for _, c := range others {
			l.losses = 0
			if l.part(c, io.EOF); c.closed {
				t.Error("a late turn closed a connection at once")
			}
		}
		before = len(l.conns)
		if l.closeLeaving(); l.full || before-len(l.conns) != crowdedSockets {
			t.Errorf("closed %d connections, want %d; full: %v", before-len(l.conns), crowdedSockets, l.full)
		}
	})
	await.Until(t, "those that have ended are closed, the others accepted", func() bool {
		return r.sched.Count().Peers == crowd
	})
}

// A turn that has taken long reads and handles little of a connection, however large its packets are. The rest is handled
// in later turns.
func TestLateTurnReadsLittle(t *testing.T) {
	for _, size := range []int{0, 20, 100, 150, 300, 1500} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) { lateTurnReadsLittle(t, size) })
	}
}

func lateTurnReadsLittle(t *testing.T, size int) {
	r := newRig(t, loops(1))
	l := r.server.allLoops()[0]
	c := r.dial()
	c.Sync()
	its := connectionOf(t, l)
	data := strings.Repeat("x", size)
	const each = 40
	input := bytes.Repeat(codec.AppendRequest(nil, codec.EchoReq, data), each)
	on(l, func() {
		c.Raw(input)
		wire.Await(t, "the input is there", func() bool { return unreadBytes(its.FD) == len(input) })
		l.handled, l.crowdedAt = 0, l.now
		l.receive(its)
		if read := len(input) - unreadBytes(its.FD); l.handled > crowdedItems || len(its.stash) > crowdedRead ||
			read > crowdedItems*(codec.HeaderSize+size)+crowdedRead {
			t.Errorf("%d bytes are read, %d items handled, %d bytes wait", read, l.handled, len(its.stash))
		}
	})
	for range each {
		c.Want(codec.EchoRes, data)
	}
}

// A loop asks for fewer events while connections of its own or of its guests wait to be closed.
func TestAsksForFewWhileACrowdLeaves(t *testing.T) {
	_, _, host, guest := newHouse(t)
	for _, l := range []*loop{host, guest} {
		on(host, func() {
			host.ask()
			usual := host.asked
			l.leaving.push(&conn{closed: true})
			host.ask()
			if usual != lookEvents || host.asked != leavingEvents {
				t.Errorf("it asks for %d events, and for %d while connections leave", usual, host.asked)
			}
			l.leaving.pop()
		})
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
				t.Errorf("%d items of one connection wait, %d of the other", most, least)
				break
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

// Waiting input is left to the next turn once waitingTime is over.
func TestWaitingInputHasItsTime(t *testing.T) {
	var slow atomic.Bool
	r := newRig(t, loops(1), func(s *setup) {
		s.now = func() time.Time {
			if slow.Load() {
				time.Sleep(waitingTime)
			}
			return time.Now()
		}
	})
	c := r.dial()
	c.Sync()
	l := r.server.allLoops()[0]
	its := connectionOf(t, l)
	const each = 3 * waitingItems
	input := bytes.Repeat(codec.AppendRequest(nil, codec.EchoReq, "x"), each)
	on(l, func() {
		its.keep(input)
		its.steer()
		slow.Store(true)
		l.goOn()
		slow.Store(false)
		if left := len(its.stash) * each / len(input); left != each-waitingItems {
			t.Errorf("%d of %d items wait", left, each)
		}
	})
	for range each {
		c.Want(codec.EchoRes, "x")
	}
}

// When a host's turn is crowded, so is all that its guests do in it.
func TestGuestsAreLateWithTheirHost(t *testing.T) {
	_, _, host, guest := newHouse(t)
	on(host, func() {
		early := host.now.Add(-time.Second)
		host.crowdedAt = early
		host.serveGuest(guest, func() {
			guest.begin()
			if !guest.isCrowded(guest.now) {
				t.Error("the guest's part of the turn begins anew")
			}
		})
		guest.countTurn()
		shared := false
		guest.mail.post(message{kind: taskMessage, task: func() { shared = guest.crowdedAt.Equal(early) }})
		if host.finishHouse(false); !shared {
			t.Error("a guest's leftover work does not count as part of its host's turn")
		}
	})
}

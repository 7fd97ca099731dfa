package reactor

import (
	"context"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/sched"
	"gearloop/test/wire"
)

// A guest that is sent home in the middle of something, because its host or itself failed, does the rest there.
func TestGuestGoesHomeWithWork(t *testing.T) {
	for name, fails := range map[string]func(host, guest *loop){
		"its own fault": func(_, guest *loop) { guest.do(func() { panic("a fault") }) },
		"its host's fault": func(_, guest *loop) {
			guest.stirred = true // as if it had been served in this turn
			panic("a fault")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, peers, host, guest := newHouse(t, func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
			its := connectionOf(t, guest)
			peer, other := peers[0], peers[1]
			if its.Addr.String() != peer.LocalAddr().String() {
				peer, other = other, peer
			}
			host.do(func() {
				r.server.layout.running.Store(0)
				guest.doom(its)
				fails(host, guest)
			})
			peer.WantEnd()
			other.Sync()
			if n := r.server.counters.Panics.Swap(0); n != 1 {
				t.Errorf("%d internal faults", n)
			}
		})
	}
}

// A loop that lodges, or that gnet waits for, takes no guest: nobody would do that one's turns.
func TestGuestsHaveNoGuests(t *testing.T) {
	r := newRig(t, lodgers(4))
	all := r.server.allLoops()
	peers := map[*loop]*wire.Conn{}
	for range all {
		c := r.dial()
		c.Sync()
		for _, l := range all {
			on(l, func() {
				for its := range l.conns {
					if its.Addr.String() == c.LocalAddr().String() {
						peers[l] = c
					}
				}
			})
		}
	}
	for range all {
		for _, c := range peers {
			c.Sync()
		}
	}
	r.calm(peers[all[0]], peers[all[1]], peers[all[2]], peers[all[3]])
	first, second, fourth := all[0], all[1], all[3]
	on(first, func() {
		// The fourth is to lodge with the second, which has not gone home yet, and never does.
		r.server.layout.running.Store(2)
		fourth.do(func() {}) // it has a turn at home, and then looks where to lodge
		first.sendHome(fourth)
		for !second.mail.full.Load() {
			runtime.Gosched()
		}
		second.begin()
		r.server.layout.running.Store(1)
	})
	for range 3 {
		peers[fourth].Sync()
	}
	r.calm(peers[all[0]], peers[all[1]], peers[all[2]], peers[all[3]])
}

// Loops that have to return to gnet for each connection come and go.
func TestLodgingWhileGnetTakesIn(t *testing.T) {
	r := newRig(t, lodgers(4), func(s *setup) { s.portable = true })
	stop := r.restless()
	for range 300 {
		c := r.dial()
		c.Sync()
		c.Close()
	}
	stop()
	r.quiet()
}

// What fails while a guest's sockets are served ends neither its host's turn nor gnet's wake-up of the guest.
func TestGuestFailsWhileServed(t *testing.T) {
	r, peers, host, guest := newHouse(t, func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
	woken, served := make(chan struct{}), make(chan struct{})
	host.do(func() {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			t.Error(err)
		}
		unix.Close(ends[1])
		in := int32(ends[0])
		guest.byFD[in] = &conn{} // fails when it is closed
		if err := unix.EpollCtl(guest.poller, unix.EPOLL_CTL_ADD, ends[0], &unix.EpollEvent{Fd: in}); err != nil {
			t.Error(err)
		}
		if err := guest.events.Execute(context.Background(), runs(func() { close(woken) })); err != nil {
			t.Error(err)
		}
		host.crowdedAt = host.now.Add(time.Hour) // however long it takes
		host.serveGuest(guest, func() { guest.serveAll(guest.pollNow()) })
		delete(guest.byFD, in)
		unix.Close(ends[0])
		close(served)
	})
	for _, done := range []chan struct{}{served, woken} {
		select {
		case <-done:
		case <-time.After(wire.Limit):
			t.Fatal("the rest is not done")
		}
	}
	for _, c := range peers {
		c.Sync()
	}
	if n := r.server.counters.Panics.Swap(0); n != 1 {
		t.Errorf("%d internal faults", n)
	}
}

// runs is a gnet.Runnable.
type runs func()

func (f runs) Run(context.Context) error { f(); return nil }

// A host and its guests share the budget of a turn.
func TestGuestsShareTheTurn(t *testing.T) {
	r, peers, host, guest := newHouse(t)
	its := connectionOf(t, guest)
	peer := peers[0]
	if its.Addr.String() != peer.LocalAddr().String() {
		peer = peers[1]
	}
	const items = readItems / 8 // all of them in a turn that is not crowded
	var input []byte
	for i := range items {
		input = codec.AppendRequest(input, codec.CanDo, "f"+strconv.Itoa(i))
	}
	on(host, func() {
		handled := host.handled
		host.handled = crowdedTurn
		peer.Raw(input)
		wire.Await(t, "the input is there", func() bool { return unreadBytes(its.FD) == len(input) })
		host.serveGuest(guest, func() { guest.serveAll(guest.pollNow()) })
		if n := host.handled - crowdedTurn; n > 2*crowdedItems || !its.waits() {
			t.Errorf("%d items are handled in a crowded turn", n)
		}
		host.handled = handled
	})
	peer.Sync()
	if n := r.sched.Count().Abilities; n != items {
		t.Errorf("%d functions", n)
	}
}

// What a guest counts in a turn is not counted in the next one.
func TestGuestsTurnsEnd(t *testing.T) {
	_, _, host, guest := newHouse(t)
	on(host, func() { guest.stirred, guest.full, guest.losses = true, true, lossesTurn })
	wire.Await(t, "its next turn begins anew", func() (anew bool) {
		on(host, func() { anew = !guest.full && guest.losses == 0 })
		return anew
	})
}

// A loop that is refused writes at home what its last mail before that has put into the output.
func TestRefusedGuestWrites(t *testing.T) {
	r := newRig(t, loops(2))
	_, all := r.apart()
	host, guest := all[0], all[1]
	its := connectionOf(t, guest)
	r.server.layout.judged.Store(math.MaxInt64 / 2)
	on(host, func() { host.staying = false }) // as if it had returned to gnet
	on(guest, func() {
		guest.mail.postPacket(its, &sched.Packet{Type: codec.EchoRes}, []byte("x"), nil)
		r.server.layout.running.Store(1)
		guest.lodge()
		r.server.layout.running.Store(0)
		if len(guest.dirty) == 0 || !guest.pacer.due {
			t.Errorf("%d connections with output; there is another turn: %v", len(guest.dirty), guest.pacer.due)
		}
	})
	on(host, func() { host.staying = true })
}

// A guest whose new connection could not be brought is sent home although its host sleeps.
func TestHomesickWhileHostSleeps(t *testing.T) {
	r := newRig(t, loops(3))
	third := r.thirdLodges()
	host, other := r.server.allLoops()[0], r.server.allLoops()[1]
	wire.Await(t, "its host sleeps", func() bool { return host.state.Load() == asleep })
	on(other, func() {
		other.postTo(third, func() { third.homesick = true })
	})
	wire.Await(t, "it is at home", func() bool { return third.state.Load() != lodged })
}

// A connection that could not be brought is left unread by its loop alone.
func TestListenToWhatWasNotBrought(t *testing.T) {
	_, peers, host, guest := newHouse(t)
	its := connectionOf(t, guest)
	on(host, func() {
		guest.leaveUnwatched(its)
		guest.homesick = true
		guest.listen(its, false)
		guest.listen(its, true)
	})
	for _, c := range peers {
		c.Sync()
	}
}

// The clock of a guest that has had nothing but a wake-up in this turn is right when it gets output.
func TestGuestsClock(t *testing.T) {
	_, _, host, guest := newHouse(t)
	on(host, func() {
		guest.now, guest.turnAt = host.now.Add(-time.Hour), time.Time{}
		host.serveGuest(guest, func() {})
		if !host.reaches(guest) || guest.now != host.now {
			t.Errorf("it is %v behind", host.now.Sub(guest.now))
		}
	})
}

// A host and its guests close no more connections in a turn than a loop without guests.
func TestGuestsShareTheLosses(t *testing.T) {
	r, peers, host, guest := newHouse(t, func(s *setup) { s.guestsBring = 0 })
	its := connectionOf(t, guest)
	on(host, func() {
		host.losses, host.crowdedAt = lossesTurn, host.now.Add(time.Hour) // however long it takes
		host.serveGuest(guest, func() { guest.part(its, io.EOF) })
		if !its.leaving {
			t.Error("a guest closes more than its host may")
		}
		host.losses, guest.losses = 0, 0
		host.serveGuest(guest, func() { guest.losses = 5 })
		if host.losses != 5 {
			t.Errorf("%d of 5 are counted", host.losses)
		}
		for range lossesTurn {
			guest.leaving.push(&conn{closed: true})
		}
		guest.closeLeaving()
		if n := len(guest.leaving.items) - guest.leaving.begin; n != 1+lossesTurn-lossesTurn/2 {
			t.Errorf("%d of %d are left", n, 1+lossesTurn)
		}
	})
	r.peerOf(its, peers[:]).WantEnd()
}

// What fails in a slice does not keep the others of the turn from being done.
func TestSliceFails(t *testing.T) {
	r := newRig(t, loops(1), func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
	c := r.dial()
	c.Sync()
	l := r.server.allLoops()[0]
	its := connectionOf(t, l)
	on(l, func() {
		l.pushLater = append(l.pushLater, nil) // fails
		l.leaving.push(its)
		l.pacer.ask()
	})
	c.WantEnd()
	if n := r.server.counters.Panics.Swap(0); n != 1 {
		t.Errorf("%d internal faults", n)
	}
}

package reactor

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
	"gearloop/test/wire"
)

// apart returns a connection of each loop, and the loops.
func (r *rig) apart() (peers [2]*wire.Conn, loops []*loop) {
	r.tb.Helper()
	loops = r.server.allLoops()
	for i, l := range loops {
		peers[i] = r.dial()
		peers[i].Sync()
		l.do(func() {})
	}
	return peers, loops
}

// newHouse returns a server with two loops, one of which lodges with the other, and a connection of each.
func newHouse(t *testing.T, change ...func(*setup)) (r *rig, peers [2]*wire.Conn, host, guest *loop) {
	t.Helper()
	r = newRig(t, append([]func(*setup){lodgers(2)}, change...)...)
	peers, all := r.apart()
	r.calm(peers[:]...)
	return r, peers, all[0], all[1]
}

// connectionOf returns a connection of a loop.
func connectionOf(t *testing.T, l *loop) *conn {
	t.Helper()
	found := make(chan *conn, 1)
	l.do(func() {
		for c := range l.conns {
			found <- c
			return
		}
		found <- nil
	})
	c := <-found
	if c == nil {
		t.Fatal("the loop has no connection")
	}
	return c
}

// on runs a function on a loop and waits for it.
func on(l *loop, f func()) {
	done := make(chan struct{})
	l.do(func() { f(); close(done) })
	<-done
}

// A loop that posts mail for one that sleeps handles it. If that fails halfway, the loop itself does the
// rest. A loop that has just woken up handles its mail itself: then the test posts again.
func TestStandIn(t *testing.T) {
	r := newRig(t, loops(2), func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
	peers, all := r.apart()
	from, to := all[0], all[1]
	c := connectionOf(t, to)
	peer := peers[0]
	if peers[1].LocalAddr().String() == c.Addr.String() {
		peer = peers[1]
	}
	post := func(text string) {
		p := sched.Packet{Type: codec.EchoRes}
		to.mail.postPacket(c, &p, []byte(text), from)
	}
	sleeps := func() { wire.Await(t, "it sleeps", func() bool { return to.state.Load() == asleep }) }
	stoodIn := func() (n uint64) { on(to, func() { n = to.stats.StoodIn }); return n }

	wire.Await(t, "the other loop stands in, once for both", func() bool {
		before := stoodIn()
		sleeps()
		on(from, func() { post("one"); post("two") })
		peer.Want(codec.EchoRes, "one")
		peer.Want(codec.EchoRes, "two")
		return stoodIn() == before+1
	})

	wire.Await(t, "the other loop stands in although something fails", func() bool {
		before := stoodIn()
		sleeps()
		on(from, func() {
			to.mail.quietly(message{kind: taskMessage, task: func() { panic("a fault") }})
			post("three")
		})
		peer.Want(codec.EchoRes, "three")
		if n := r.server.counters.Panics.Swap(0); n != 1 {
			t.Errorf("%d internal faults", n)
		}
		return stoodIn() == before+1
	})

	// The last message fails: what those before it have put into the output is written.
	sleeps()
	on(from, func() {
		post("four")
		to.mail.quietly(message{kind: taskMessage, task: func() { panic("a fault") }})
	})
	peer.Want(codec.EchoRes, "four")
	if n := r.server.counters.Panics.Swap(0); n != 1 {
		t.Errorf("%d internal faults", n)
	}

	// What it can't do for it: to close a connection, and to do work in slices.
	sleeps()
	on(from, func() {
		to.mail.quietly(message{kind: doomMessage, conn: c})
		post("")
	})
	peer.WantEnd()

	// Mail that comes meanwhile.
	sleeps()
	done := make(chan struct{})
	on(from, func() {
		to.mail.quietly(message{kind: taskMessage, task: func() { to.do(func() { close(done) }) }})
		to.mail.ring(from)
	})
	select {
	case <-done:
	case <-time.After(wire.Limit):
		t.Error("what was posted while the other loop stood in is not found")
	}
}

// A loop that has stood in looks for new mail, and unlocks. What a third loop posts in between is not lost.
func TestMailAtTheEndOfStandingIn(t *testing.T) {
	r := newRig(t, loops(2))
	_, all := r.apart()
	from, to := all[0], all[1]
	wire.Await(t, "it sleeps", func() bool {
		if to.state.Load() == inGnet {
			on(to, func() {})
		}
		return to.state.Load() == asleep
	})
	done := make(chan struct{})
	to.away.Lock() // as the loop that has looked
	on(from, func() {
		from.postTo(to, func() { close(done) })
	})
	on(from, func() {}) // the turn in which it posted is over
	to.away.Unlock()
	select {
	case <-done:
	case <-time.After(wire.Limit):
		t.Error("the mail is not handled")
	}
}

// Loops that post to each other while they fall asleep, wake up and take in connections miss nothing.
func TestNoMailBetweenLoopsIsLost(t *testing.T) {
	t.Run("all run", func(t *testing.T) { noMailIsLost(t, newRig(t, loops(2))) })
	t.Run("they come and go", func(t *testing.T) {
		r := newRig(t, lodgers(4), func(s *setup) { s.guestsBring = 2 })
		stop := r.restless()
		noMailIsLost(t, r)
		stop()
	})
}

func noMailIsLost(t *testing.T, r *rig) {
	all := r.server.allLoops()
	postAgainAndAgain(t, r, 3, 2000, func(i int, done func()) *loop {
		from, to := all[i%len(all)], all[(i+1)%len(all)]
		from.do(func() { from.postTo(to, done) })
		return to
	})
}

// postAgainAndAgain has goroutines post one task after the other, so many each, while connections come and go. post
// posts a task that calls done, and returns the loop that is to do it.
func postAgainAndAgain(t *testing.T, r *rig, goroutines, tasks int, post func(i int, done func()) *loop) {
	stop := make(chan struct{})
	var others, posting sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c := wire.Dial(wire.Aside(t), r.addrs[0])
					c.Sync()
					c.Close()
				}
			}
		})
	}
	for g := range goroutines {
		posting.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for k := range tasks {
				done := make(chan struct{})
				l := post(g+k, func() { close(done) })
				select {
				case <-done:
				case <-time.After(wire.Limit):
					t.Errorf("a loop does not look at its mail; its state is %d", l.state.Load())
					return
				}
				if rng.IntN(4) == 0 {
					time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
				}
			}
		})
	}
	posting.Wait()
	close(stop)
	others.Wait()
}

// postTo posts a task as packets are posted: the loop sees to it at the end of its turn.
func (l *loop) postTo(to *loop, task func()) {
	to.mail.quietly(message{kind: taskMessage, task: task})
	to.mail.ring(l)
}

// quietly adds a message that nobody is told of.
func (m *mailbox) quietly(msg message) {
	m.mu.Lock()
	m.messages = append(m.messages, msg)
	m.mu.Unlock()
}

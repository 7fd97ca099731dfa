package reactor

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// Whatever is posted to a loop is handled, whether the loop sleeps, is awake or is in gnet, which registers
// and closes connections meanwhile.
func TestNoWakeUpIsLost(t *testing.T) {
	r := newRig(t, loops(2))
	postAgainAndAgain(t, r, 4, 4000, func(i int, done func()) *loop {
		l := r.server.allLoops()[i%2]
		l.do(done)
		return l
	})
}

// A loop waits by itself. gnet calls it only when it has registered a connection.
func TestLoopsStay(t *testing.T) {
	r := newRig(t, loops(1))
	l := r.server.allLoops()[0]
	client, worker := r.dial(), r.worker("f")
	client.Sync()
	for range 100 {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		worker.Send(codec.WorkComplete, h, "y")
		client.Want(codec.WorkComplete, h, "y")
	}
	wire.Await(t, "it sleeps", func() bool { return l.state.Load() == asleep })
	for range 100 {
		client.Sync()
		if l.state.Load() == inGnet {
			t.Fatal("it has gone back to gnet")
		}
	}
	// The loop returns after each new connection, and after one has ended in either way.
	for i := range 20 {
		c := r.dial()
		c.Sync()
		if i%2 == 0 {
			c.Close()
		} else {
			c.Reset()
		}
		// The loop may still be in gnet when the first packet arrives.
		wire.Await(t, "it sleeps again", func() bool { client.Sync(); return l.state.Load() == asleep })
	}
}

// The rest of a large packet and the packets behind it are read with one system call. They are answered in order.
func TestPayloadAndNextPacketInOneRead(t *testing.T) {
	r := newRig(t, loops(1))
	l := r.server.allLoops()[0]
	c := r.dial()
	c.Sync()
	const size, begun = 500 << 10, 400 << 10
	large := strings.Repeat("0123456789abcdef", size/16)
	packets := codec.AppendRequest(nil, codec.EchoReq, large)
	packets = codec.AppendRequest(packets, codec.EchoReq, "behind")
	packets = codec.AppendRequest(packets, codec.EchoReq, "last")
	c.Raw(packets[:begun])
	var server *conn
	await.Until(t, "the beginning is read", func() bool {
		has := make(chan bool)
		l.do(func() {
			for o := range l.conns {
				server = o
			}
			has <- server.fast != nil && server.fast.Size()-server.fast.Missing() == begun-codec.HeaderSize
		})
		return <-has
	})
	stopped, goOn, read := make(chan struct{}), make(chan struct{}), make(chan int)
	l.do(func() {
		close(stopped)
		<-goOn
		n, _, _ := server.readSome(readTurn)
		server.took(n)
		read <- n
	})
	<-stopped
	c.Raw(packets[begun:])
	await.Until(t, "the rest has arrived", func() bool { return unacknowledged(t, c) == 0 })
	close(goOn)
	if n := <-read; n != len(packets)-begun {
		t.Errorf("one read brought %d bytes of %d", n, len(packets)-begun)
	}
	c.Want(codec.EchoRes, large)
	c.Want(codec.EchoRes, "behind")
	c.Want(codec.EchoRes, "last")
}

// What waits until sockets take more is parked by the runtime and holds no processor. A goroutine in a blocking
// system call would have the runtime's monitor thread look after it every 20 µs.
func TestNobodyBlocksForWriting(t *testing.T) {
	newRig(t, loops(1))
	wire.Await(t, "it is parked", func() bool {
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "(*writable).run") {
				state, _, _ := strings.Cut(g, "\n")
				return strings.Contains(state, "[IO wait")
			}
		}
		return false
	})
}

// TestCrowdLeaves: of many connections that end at once a turn closes some, and next to none while more are ready
// than it serves; the others are not watched meanwhile, and are closed in later turns, before any that end then.
func TestCrowdLeaves(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprint("full=", full), func(t *testing.T) { crowdLeaves(t, full) })
	}
}

func crowdLeaves(t *testing.T, full bool) {
	r := newRig(t, loops(1))
	const crowd = 5*lossesTurn + 3
	for range crowd {
		r.dial().Sync()
	}
	l := r.server.allLoops()[0]
	if !l.canStay() {
		t.Fatal("the loop does not wait by itself")
	}
	type count struct{ closed, waiting int }
	counted := make(chan [2]count, 1)
	l.do(func() {
		l.full = full
		var all []*conn
		for c := range l.conns {
			all = append(all, c)
		}
		for _, c := range all {
			l.part(c, io.EOF)
		}
		counts := func() (n count) {
			for _, c := range all {
				switch {
				case c.closed:
					n.closed++
				case c.leaving:
					n.waiting++
				}
			}
			return n
		}
		atOnce := counts()
		l.closeLeaving()
		counted <- [2]count{atOnce, counts()}
	})
	got := <-counted
	atOnce, most := lossesTurn, lossesTurn
	if full {
		atOnce, most = 0, crowdedSockets
	}
	if got[0].closed > atOnce || got[0].closed+got[0].waiting != crowd {
		t.Errorf("at once: %+v of %d", got[0], crowd)
	}
	if n := got[1].closed - got[0].closed; n == 0 || n > most || got[1].closed+got[1].waiting != crowd {
		t.Errorf("%d more were closed then: %+v of %d", n, got[1], crowd)
	}
	wire.Await(t, "all are closed", func() bool { return r.sched.Count().Peers == 0 })
	r.dial().Sync()
}

// Slots are on their way while connections that have ended wait to be closed: no acceptors are needed.
func TestSlotsComeFromThoseThatLeave(t *testing.T) {
	const crowd = 3 * lossesTurn
	r := newRig(t, loops(1), func(s *setup) { s.MaxConnections = crowd + crowd/scarceSlots + 1 })
	for range crowd {
		r.dial().Sync()
	}
	l := r.server.allLoops()[0]
	relayed := make(chan bool)
	l.do(func() {
		if l.server.slots.takeFree() {
			t.Error("slots are not scarce")
		}
		l.full = true
		for c := range l.conns {
			l.part(c, io.EOF)
		}
		d := l.doors[0]
		l.acceptFrom(d)
		relayed <- d.relayed != nil
	})
	if <-relayed {
		t.Error("acceptors accept")
	}
	for range crowd {
		r.dial().Sync()
	}
}

// TestLargeWorkersLeave: of workers with many functions that end at once, a turn closes only as many as it has time
// for.
func TestLargeWorkersLeave(t *testing.T) {
	r := newRig(t, loops(1))
	const crowd, each, perCall, fit = lossesTurn, 600, 64, 5 // fit: workers for which the turn has budget left
	var input []byte
	for i := range each {
		input = codec.AppendRequest(input, codec.CanDo, "f"+strconv.Itoa(i))
	}
	for range crowd {
		c := r.dial()
		c.Raw(input)
		c.Sync()
	}
	l := r.server.allLoops()[0]
	type count struct{ closed, handled int }
	counted := make(chan count, 1)
	l.do(func() {
		l.handled, l.crowdedAt = crowdedTurn-fit*perCall, time.Time{} // however long it takes
		all := make([]*conn, 0, crowd)
		for c := range l.conns {
			all = append(all, c)
		}
		n := count{}
		for _, c := range all {
			if l.part(c, io.EOF); c.closed {
				n.closed++
			}
		}
		n.handled = l.handled
		counted <- n
	})
	if got := <-counted; got.closed != fit || got.handled > crowdedTurn+perCall {
		t.Errorf("in a turn %d of %d are closed, for %d", got.closed, crowd, got.handled)
	}
	wire.Await(t, "all are closed", func() bool { n := r.sched.Count(); return n.Peers == 0 && n.Abilities == 0 })
	r.dial().Sync()
}

// TestCrowdedTurn: when many connections have much input at once, the first of them use up most of the loop's turn, and
// the others get a little of it each. What is left is handled in later turns.
func TestCrowdedTurn(t *testing.T) {
	r := newRig(t, loops(1))
	const crowd, each = 40, 400
	var input []byte
	for i := range each {
		input = codec.AppendRequest(input, codec.CanDo, "f"+strconv.Itoa(i))
	}
	var conns []*wire.Conn
	for range crowd {
		c := r.dial()
		c.Sync()
		conns = append(conns, c)
	}
	l := r.server.allLoops()[0]
	type count struct{ handled, waiting int }
	counted := make(chan count, 1)
	l.do(func() {
		l.handled, l.crowdedAt = 0, time.Time{} // however long it takes
		var n count
		for c := range l.conns {
			c.receive(input)
			if c.waits() {
				n.waiting++
			}
		}
		n.handled = l.handled
		counted <- n
	})
	if got := <-counted; got.handled > crowdedTurn+each+crowd*crowdedItems || got.waiting < crowd/2 {
		t.Errorf("%d of %d items were handled, %d connections wait", got.handled, crowd*each, got.waiting)
	}
	for _, c := range conns {
		c.Sync() // is answered behind its input
	}
	for _, f := range []string{"f0", "f399"} {
		if stats, _ := r.sched.FunctionStats(f); stats.Workers != crowd {
			t.Errorf("%d workers can do %s", stats.Workers, f)
		}
	}
}

// Memory that was allocated for a read that brought nothing is charged like the rest of its payload.
func TestEmptyReadIsCharged(t *testing.T) {
	r := newRig(t, loops(1))
	l := r.server.allLoops()[0]
	c := r.dial()
	c.Sync()
	const size, begun = 4 << 20, 1 << 20
	packet := codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("0123456789abcdef", size/16))
	c.Raw(packet[:begun+codec.HeaderSize])
	var server *conn
	await.Until(t, "the beginning is read", func() bool {
		has := make(chan bool)
		l.do(func() {
			for o := range l.conns {
				server = o
			}
			has <- server.fast != nil && server.fast.Size()-server.fast.Missing() == begun
		})
		return <-has
	})
	type result struct{ n, charged, allocated int }
	read := make(chan result)
	l.do(func() {
		n, _, _ := server.readSome(readTurn)
		read <- result{n, server.charged, server.fast.Allocated()}
	})
	if got := <-read; got.n > 0 || got.charged != got.allocated {
		t.Errorf("%d bytes read; %d charged of %d", got.n, got.charged, got.allocated)
	}
	c.Raw(packet[begun+codec.HeaderSize:])
	c.Want(codec.EchoRes, string(packet[codec.HeaderSize:]))
}

// Mail that is handled before a connection's input may use the loop's buffer, as that of a connection which is taken in
// over TLS with a part of a large packet: nothing of the input may be in it yet.
func TestMailUsesTheBuffer(t *testing.T) {
	r := newRig(t, loops(1))
	c := r.dial()
	c.Sync()
	l := r.server.allLoops()[0]
	its := connectionOf(t, l)
	on(l, func() {
		request := codec.AppendRequest(nil, codec.EchoReq, "x")
		c.Raw(request)
		wire.Await(t, "the input is there", func() bool { return unreadBytes(its.FD) == len(request) })
		l.do(func() { clear(l.buffer[:]) })
		l.serve(its, unix.EPOLLIN)
	})
	c.Want(codec.EchoRes, "x")
}

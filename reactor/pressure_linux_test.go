package reactor

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// narrow gives a server so little memory that a few large packets use up what may be in transit. Pressure
// begins at 16 MiB.
func narrow(s *setup) { s.MaxMemory, s.Log = 64<<20, noLog() }

// watchTransit returns a function that returns the most bytes in transit since watchTransit was called.
func (r *rig) watchTransit(t *testing.T) func() int64 {
	var most atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	stop := sync.OnceFunc(func() {
		close(end)
		<-ended
	})
	t.Cleanup(stop)
	go func() {
		defer close(ended)
		for {
			most.Store(max(most.Load(), r.server.inTransit()))
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() int64 {
		stop()
		return most.Load()
	}
}

// busyPeers makes peers send large packets and read the answers as fast as they can, so many times each.
func busyPeers(t *testing.T, connect func() *wire.Conn, peers, rounds, size int) {
	t.Helper()
	var all sync.WaitGroup
	for p := range peers {
		c := connect()
		all.Go(func() {
			defer c.Close()
			data := fmt.Sprint(p) + strings.Repeat("x", size)
			for round := range rounds {
				c.Send(codec.EchoReq, data)
				if got := c.WantType(codec.EchoRes); len(got.Data) != len(data) {
					t.Errorf("peer %d, round %d: %d bytes of %d", p, round, len(got.Data), len(data))
				}
			}
		})
	}
	all.Wait()
}

// Peers that do not read have used up what may be in transit. They lose it. Later peers that read as fast as
// they can lose nothing.
func TestDeafPeersLose(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS=", secure), func(t *testing.T) {
			var r *rig
			var connect func() *wire.Conn
			if secure {
				s := newTLSRig(t, false, narrow)
				r, connect = s.rig, s.secure
			} else {
				r = newRig(t, narrow)
				connect = r.dial
			}
			most := r.watchTransit(t)
			deaf := []*wire.Conn{connect(), connect(), connect(), connect()}
			echo := codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("d", 14<<20))
			var sending sync.WaitGroup
			for _, c := range deaf {
				socketOf(c).SetReadBuffer(4 << 10)
				sending.Go(func() { c.Write(echo) }) // the last ones must wait
			}
			await.Until(t, "there is pressure", func() bool { return r.server.inTransit() > r.server.soft() })
			const busySize = 5 << 20
			busyPeers(t, connect, 6, 4, busySize)
			if n := r.server.counters.CutOff.Load(); n < 1 || n > int64(len(deaf)) {
				t.Errorf("%d peers were cut off, of %d that do not read", n, len(deaf))
			}
			if n := r.server.counters.NoMemory.Load(); n != 0 {
				t.Errorf("%d packets were refused", n)
			}
			// Each loop may count one packet twice for a moment: as input that is not yet released, and as output.
			twice := int64(len(r.server.allLoops()) * busySize)
			if n := most(); n > r.server.brim()+twice+1<<20 {
				t.Errorf("%d bytes were in transit, %d may be", n, r.server.brim())
			}
			for _, c := range deaf {
				c.Close()
			}
			sending.Wait()
			r.quiet()
			noPayload(t)
			await.Until(t, "nothing is booked", func() bool { return r.server.inTransit() == 0 })
			if n := r.server.pressure.heavies.Load(); n != 0 {
				t.Errorf("%d connections with much output are counted", n)
			}
		})
	}
}

// Peers that stopped in the middle of large packets lose them when others need the memory, and get an error.
func TestStalledUploadsLose(t *testing.T) {
	r := newRig(t, narrow)
	most := r.watchTransit(t)
	packet := codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("s", 15<<20))
	stalled := []*wire.Conn{r.dial(), r.dial()}
	for i, c := range stalled {
		c.Raw(packet[:len(packet)-1000])
		await.Until(t, "it is read", func() bool { return r.server.reading.Load() > int64(i+1)*14<<20 })
	}
	// Peers that happen to take turns need only their own room, so some rounds may pass without pressure.
	await.Until(t, "the stalled packets are refused", func() bool {
		busyPeers(t, r.dial, 6, 4, 5<<20)
		return r.server.counters.NoMemory.Load() >= int64(len(stalled))
	})
	for _, c := range stalled {
		c.WantError("queue_full")
		c.Close()
	}
	if n := r.server.counters.NoMemory.Load(); n != int64(len(stalled)) {
		t.Errorf("%d packets were refused, %d had stalled", n, len(stalled))
	}
	if n := r.server.counters.CutOff.Load(); n != 0 {
		t.Errorf("%d peers were cut off", n)
	}
	if n := most(); n > r.server.brim()+1<<20 {
		t.Errorf("%d bytes were in transit, %d may be", n, r.server.brim())
	}
	r.quiet()
	noPayload(t)
	await.Until(t, "nothing is booked", func() bool { return r.server.inTransit() == 0 })
}

// Headers announce large packets that never come. Each takes one chunk, and loses it as well.
func TestAnnouncementsLose(t *testing.T) {
	r := newRig(t, narrow)
	most := r.watchTransit(t)
	header := codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("s", 15<<20))[:codec.HeaderSize+1]
	var all []*wire.Conn
	for range 400 {
		c := r.dial()
		c.Raw(header)
		all = append(all, c)
	}
	await.Until(t, "there is pressure", func() bool { return r.server.inTransit() > r.server.soft() })
	busyPeers(t, r.dial, 2, 3, 5<<20)
	if n := most(); n > r.server.brim() {
		t.Errorf("%d bytes were in transit, %d may be", n, r.server.brim())
	}
	for _, c := range all {
		c.Close()
	}
	r.quiet()
	noPayload(t)
}

// Peers that send only the beginnings of large packets and lines use up the memory for these. They lose it,
// with TLS as well, and no other peer is refused because of them, whichever loops have whose connections.
func TestBeginningsLose(t *testing.T) {
	for _, secure := range []bool{false, true} {
		loops := []int{4, 1, 2, 8}[:sample.Of(4, 1)]
		if secure {
			loops = []int{1, 2}[:sample.Of(2, 1)] // handshakes take their time
		}
		for _, n := range loops {
			t.Run(fmt.Sprintf("TLS=%v,loops=%d", secure, n), func(t *testing.T) { beginningsLose(t, secure, n) })
		}
	}
}

func beginningsLose(t *testing.T, secure bool, n int) {
	var r *rig
	var connect func() *wire.Conn
	little := func(s *setup) { s.MaxMemory, s.Loops, s.Log = 8<<20, n, noLog() }
	if secure {
		s := newTLSRig(t, false, little)
		r, connect = s.rig, s.secure
	} else {
		r = newRig(t, little)
		connect = r.dial
	}
	most := r.watchTransit(t)
	var all []*wire.Conn
	begin := func(c *wire.Conn, text string) {
		c.Raw([]byte(text))
		all = append(all, c)
	}
	// The first loop has all connections with beginnings of packets, the last one those of the busy peers.
	r.await(n)
	loops := r.server.allLoops()
	busy := []*wire.Conn{r.connectTo(loops[n-1], connect), r.connectTo(loops[n-1], connect)}
	var slow []*wire.Conn
	for range 40 {
		slow = append(slow, r.connectTo(loops[0], connect))
	}
	for range 300 {
		begin(connect(), strings.Repeat("l", codec.MaxLine-1))
	}
	await.Until(t, "there is pressure", func() bool { return r.server.inTransit() > r.server.soft() })
	packet := string(codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("s", 1<<20)))
	for _, c := range slow {
		begin(c, packet[:50<<10])
	}
	await.Until(t, "beginnings hold what they may", func() bool { return r.server.counters.NoMemory.Load() > 0 })
	time.Sleep(beginTime) // from now on they have sent nothing for long enough
	busyPeers(t, func() *wire.Conn {
		c := busy[0]
		busy = busy[1:]
		return c
	}, 2, 3, 1<<20)
	if n := most(); n > r.server.brim() {
		t.Errorf("%d bytes were in transit, %d may be", n, r.server.brim())
	}
	for _, c := range all {
		c.Close()
	}
	r.quiet()
	noPayload(t)
	await.Until(t, "nothing is booked", func() bool {
		return r.server.inTransit() == 0 && r.server.pressure.crowd.held.Load() == 0
	})
}

// await waits until there are so many loops.
func (r *rig) await(loops int) {
	r.tb.Helper()
	await.Until(r.tb, "all loops have begun", func() bool { return len(r.server.allLoops()) == loops })
}

// connectTo opens a connection that a certain loop has.
func (r *rig) connectTo(l *loop, connect func() *wire.Conn) *wire.Conn {
	r.tb.Helper()
	var others []*wire.Conn
	for {
		c := connect()
		c.Sync()
		local := netip.MustParseAddrPort(socketOf(c).LocalAddr().String())
		found := make(chan bool)
		l.do(func() {
			has := false
			for candidate := range l.conns {
				has = has || candidate.Addr == local
			}
			found <- has
		})
		if <-found {
			for _, c := range others {
				c.Close()
			}
			return c
		}
		others = append(others, c) // until it is closed, other loops have fewer connections
	}
}

// A packet for which there can be no room is refused when its header arrives. The peer gets the error
// although it sends the whole packet first.
func TestPacketLargerThanMemory(t *testing.T) {
	r := newRig(t, narrow)
	c := r.dial()
	c.Send(codec.EchoReq, strings.Repeat("x", 17<<20))
	c.WantError("queue_full")
	c.WantEnd()
	if n := r.server.inTransit(); n != 0 {
		t.Errorf("%d bytes are in transit", n)
	}
	c = r.dial()
	c.Send(codec.EchoReq, strings.Repeat("x", 16<<20))
	c.WantType(codec.EchoRes)
}

// A peer that stopped in the middle of a packet long ago is disconnected, whether others wait or not. One
// that continues is not.
func TestSweepOfStalledUploads(t *testing.T) {
	r := newRig(t, loops(1), func(s *setup) { s.Log = noLog() })
	l := r.server.allLoops()[0]
	packet := codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("s", 1<<20))
	slow, stalled, line := r.dial(), r.dial(), r.dial()
	slow.Raw(packet[:1000])
	stalled.Raw(packet[:1000])
	line.Raw([]byte(strings.Repeat("l", 2*longLine)))
	await.Until(t, "all have begun", func() bool { return r.server.reading.Load() == 2*256<<10+2*longLine })
	var horizon time.Duration
	done := make(chan struct{})
	l.do(func() { horizon = l.uptime(); close(done) })
	<-done
	slow.Raw(packet[1000 : 500<<10])
	await.Until(t, "one goes on", func() bool { return r.server.reading.Load() > 3*256<<10 })
	l.do(func() { l.sweep(horizon + 1) })
	stalled.WantEnd()
	line.WantEnd()
	slow.Raw(packet[500<<10:])
	slow.WantType(codec.EchoRes)
	if n := r.server.counters.Stalled.Load(); n != 2 {
		t.Errorf("%d connections ended, want 2", n)
	}
}

// The lists are ordered by the last progress, the longest ago first, whatever happens to their entries.
func TestStallsAreInOrder(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		var lists [2]stalls
		all := make([]stall, 20)
		now := time.Duration(1)
		for range 400 {
			now += time.Duration(rnd.IntN(3))
			e := &all[rnd.IntN(len(all))]
			switch rnd.IntN(4) {
			case 0:
				since, listed := e.since, e.list != nil
				lists[rnd.IntN(2)].put(e, now, rnd.IntN(10<<20))
				if listed && e.since != since || !listed && e.since != now {
					t.Fatalf("seed %d: since %v, was %v, now %v", seed, e.since, since, now)
				}
			case 1:
				e.remove()
			default:
				owes, since := e.owes, e.since
				n := rnd.IntN(200 << 10)
				e.progress(n, now, 1<<20)
				if e.list != nil && n > 0 && (n >= owes) != (e.since == now && e.owes == toProgress(1<<20)) && since != now {
					t.Fatalf("seed %d: %d of %d bytes: since %v, now %v", seed, n, owes, e.since, now)
				}
			}
			for i := range lists {
				var want, got []*stall
				for k := range all {
					if all[k].list == &lists[i] {
						want = append(want, &all[k])
					}
				}
				last := time.Duration(0)
				for e := lists[i].first; e != nil; e = e.next {
					if e.since < last || e.next == nil && lists[i].last != e {
						t.Fatalf("seed %d: out of order, or the wrong end", seed)
					}
					last = e.since
					got = append(got, e)
				}
				slices.SortFunc(got, func(a, b *stall) int { return slices.Index(want, a) - slices.Index(want, b) })
				oldest := int64(0)
				if lists[i].first != nil {
					oldest = int64(lists[i].first.since)
				}
				if !slices.Equal(got, want) || lists[i].oldest.Load() != oldest {
					t.Fatalf("seed %d: %d listed, want %d", seed, len(got), len(want))
				}
			}
		}
	}
}

// The head stops when nothing of its packet has come for a while, however often that is looked at meanwhile: each
// connection that begins to wait has it looked at.
func TestHeadStopsByTime(t *testing.T) {
	now := time.Now()
	s := &Server{cfg: Config{now: func() time.Time { return now }}}
	s.clock, s.begun = newClock(s), now
	p := newPressure(s)
	p.head.Store(new(conn))
	wait := func(d time.Duration, want bool) {
		t.Helper()
		now = now.Add(d)
		for range 100 {
			if got := p.headStops(); got != want {
				t.Fatalf("after %v: %v", now.Sub(s.begun), got)
			}
		}
	}
	wait(time.Second, false) // it is new
	wait(headPause-1, false)
	wait(1, true)
	p.headRead.Add(1)
	wait(time.Minute, false)
	wait(headPause, true)
}

// Of peers that do not read, as many lose their output at a time as may, not only the first.
func TestRelievesSeveralAtATime(t *testing.T) {
	r := newRig(t, loops(1), func(s *setup) { s.SocketBuffer, s.Log = 64<<10, noLog() })
	const size = 1 << 20
	var peers []*wire.Conn
	for range relieveTurn + 2 {
		c := r.dial()
		deafen(c, size)
		peers = append(peers, c)
	}
	l := r.server.allLoops()[0]
	await.Until(t, "their output waits", func() bool {
		waiting := 0
		on(l, func() {
			for c := range l.conns {
				if c.blocked && c.waiting() > assuredSize {
					waiting++
				}
			}
		})
		return waiting == len(peers)
	})
	on(l, func() {
		l.now = l.now.Add(2 * stallTime)
		l.relieve(1<<40, false)
		doomed := 0
		for c := range l.conns {
			if c.doomed {
				doomed++
			}
		}
		if doomed != relieveTurn {
			t.Errorf("%d of %d peers lose their output, %d may at a time", doomed, len(peers), relieveTurn)
		}
		if n := int(r.server.pressure.heavies.Load()); n != len(peers)-doomed {
			t.Errorf("%d connections with much output are counted", n)
		}
	})
	if n := r.server.counters.CutOff.Load(); n != relieveTurn {
		t.Errorf("%d are counted", n)
	}
}

package reactor

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// brimRig is a server whose brim is 12 MiB: it is under pressure from 4 MiB on, and reads packets of that size. Its
// clock stands still, so that no peer is slow.
func brimRig(t *testing.T, n int, change ...func(*setup)) *rig {
	now := time.Now()
	return newRig(t, append(change, loops(n), func(s *setup) {
		s.MaxMemory, s.Log, s.now = 16<<20, noLog(), func() time.Time { return now }
	})...)
}

// onLoops runs a test with one, two and four loops.
func onLoops(t *testing.T, test func(t *testing.T, n int)) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprint("loops=", n), func(t *testing.T) { test(t, n) })
	}
}

// ballast stands for output that slow peers read: it is in transit, and here never cut off.
type ballast struct {
	r     *rig
	bytes int64
}

func (b *ballast) set(bytes int64) {
	b.r.server.reading.Add(bytes - b.bytes)
	b.bytes = bytes
}

// largeEcho is a request with so many bytes of data.
func largeEcho(bytes int) []byte {
	return codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("e", bytes))
}

// Slow readers let go of room up to the brim little by little. It goes to the packet that is read, not to a part of
// each one that waits: otherwise parts of packets fill it up to the brim, and no packet is completed any more.
func TestRoomCompletesAPacket(t *testing.T) {
	onLoops(t, func(t *testing.T, n int) {
		r := brimRig(t, n)
		s := r.server
		slow := ballast{r: r}
		slow.set(s.brim() - 512<<10)
		const peers = 6
		var served atomic.Int32
		var all sync.WaitGroup
		packet := largeEcho(4<<20 - 100)
		for range peers {
			c := r.dial()
			all.Go(func() {
				c.Write(packet)
				c.WantType(codec.EchoRes)
				served.Add(1)
				c.Close()
			})
		}
		await.Until(t, "all wait", func() bool { return s.pressure.crowd.count.Load() == peers })
		for slow.bytes > 0 {
			slow.set(max(slow.bytes-512<<10, 0))
			await.Until(t, "the room is taken, or all are served", func() bool {
				return s.inTransit() >= s.brim() || served.Load() == peers
			})
		}
		await.Until(t, "all are served", func() bool { return served.Load() == peers })
		all.Wait()
		if n := s.counters.NoMemory.Load() + s.counters.CutOff.Load() + s.counters.Stalled.Load(); n > 0 {
			t.Errorf("%d peers lost their packets", n)
		}
	})
}

// readFrom returns how many bytes of a connection the server has read.
func (r *rig) readFrom(c *wire.Conn) int {
	local := netip.MustParseAddrPort(socketOf(c).LocalAddr().String())
	found := make(chan int)
	for _, l := range r.server.allLoops() {
		l.do(func() {
			n := 0
			for candidate := range l.conns {
				if candidate.Addr == local {
					n = int(candidate.bytesIn)
				}
			}
			found <- n
		})
	}
	sum := 0
	for range r.server.allLoops() {
		sum += <-found
	}
	return sum
}

// Parts of packets that wait fill the room, so that none can be completed. As many as must lose, those that have
// waited longest, but not the one that goes on next.
func TestPartsOfPacketsLose(t *testing.T) {
	onLoops(t, func(t *testing.T, n int) {
		r := brimRig(t, n)
		s := r.server
		packet := largeEcho(4<<20 - 100)
		part := len(packet) - 1100<<10 // with what is reserved for more at most 3.4 MiB
		// Loops that read at the same time may pass a bound together. Here this is made to happen.
		other := ballast{r: r}
		other.set(-s.brim())
		var all []*wire.Conn
		for range 4 {
			c := r.dial()
			c.Raw(packet[:part])
			await.Until(t, "its part is read", func() bool { return r.readFrom(c) == part })
			all = append(all, c)
		}
		other.set(2 << 20)
		for i, c := range all {
			c.Raw(packet[part : part+1])
			await.Until(t, "it waits", func() bool {
				return s.pressure.crowd.count.Load() == int32(i+1) || s.counters.NoMemory.Load() > 0
			})
		}
		other.set(0)
		all[1].WantError("queue_full")
		for i, c := range all {
			if i != 1 {
				c.Raw(packet[part+1:])
				c.WantType(codec.EchoRes)
			}
			c.Close()
		}
		if n := s.counters.NoMemory.Load() + s.counters.Stalled.Load(); n != 1 {
			t.Errorf("%d peers lost their packets", n)
		}
		r.quiet()
		noPayload(t)
		if n := s.inTransit() + s.pressure.crowd.held.Load() + s.pressure.crowd.parts; n != 0 {
			t.Errorf("%d bytes are still booked", n)
		}
	})
}

// A peer that sends one large packet after the other leaves room for others between two of them, although slow
// readers hold so much that packets are read one at a time.
func TestLargePacketsTakeTurns(t *testing.T) {
	onLoops(t, func(t *testing.T, n int) {
		r := brimRig(t, n)
		s := r.server
		slow := ballast{r: r}
		slow.set(s.soft() + 1)
		defer slow.set(0)
		busy, other := r.dial(), r.dial()
		// Several at once, as the server must never find the socket empty between two of them.
		packet := codec.AppendRequest(nil, codec.SubmitJobBg, "f", "the same job", strings.Repeat("a", 256<<10))
		packets := bytes.Repeat(packet, 128)
		const most = 1000
		var answered atomic.Int64
		var over atomic.Bool
		var all sync.WaitGroup
		all.Go(func() {
			for !over.Load() {
				busy.Write(packets)
			}
			busy.CloseWrite()
		})
		all.Go(func() {
			for {
				if _, err := busy.Receive(); err != nil {
					return
				}
				answered.Add(1)
			}
		})
		await.Until(t, "one sends packets all the time", func() bool { return answered.Load() > 4 })
		before := answered.Load()
		var served atomic.Bool
		all.Go(func() {
			other.Send(codec.EchoReq, strings.Repeat("e", 1<<20))
			other.WantType(codec.EchoRes)
			served.Store(true)
		})
		await.Until(t, "the other one is served", func() bool { return served.Load() || answered.Load()-before > most })
		if n := answered.Load() - before; n > most {
			t.Errorf("%d packets of one peer were read while another one waited with one", n)
		}
		over.Store(true)
		all.Wait()
		w := r.worker("f")
		h, _ := w.Grab()
		w.Send(codec.WorkComplete, h, "")
		await.Until(t, "the job has ended", func() bool { return r.sched.Count().Running == 0 })
		noPayload(t)
	})
}

// A peer whose answers wait is not read on, however much room there is for its packets: its answers would take that,
// up to the brim, and then it would be cut off although it reads.
func TestAnswersLeaveRoom(t *testing.T) {
	r := brimRig(t, 1, func(s *setup) { s.SocketBuffer = 64 << 10 })
	s := r.server
	slow := ballast{r: r}
	defer slow.set(0)
	reads, c := r.dial(), r.dial()
	reads.Sync()
	deafen(c, 2<<20)
	await.Until(t, "its answer waits", func() bool { return s.buffered() > 1<<20 })
	slow.set(s.hard() + 1)
	result := make(chan [2]bool)
	s.allLoops()[0].do(func() {
		var waits [2]bool // without answers that wait, with
		for c := range s.allLoops()[0].conns {
			s.pressure.head.Store(c)
			i := 0
			if c.waiting() > 0 {
				i = 1
			}
			waits[i] = c.mustWait(1 << 20)
		}
		s.pressure.head.Store(nil)
		result <- waits
	})
	if got := <-result; got != [2]bool{false, true} {
		t.Errorf("without answers that wait and with: must wait %v", got)
	}
	c.Close()
	noPayload(t)
}

// When there is room again, nobody waits: not even a peer of whose packet too little has come for it to go on under
// pressure. It may be unable to send more before something is read.
func TestNobodyWaitsWithoutPressure(t *testing.T) {
	onLoops(t, func(t *testing.T, n int) {
		r := brimRig(t, n)
		s := r.server
		slow := ballast{r: r}
		slow.set(s.soft() + 1)
		const size = 2 << 20
		packet := largeEcho(size)
		r.dial().Raw(packet[:40<<10])
		await.Until(t, "the first one is read", func() bool { return s.pressure.head.Load() != nil })
		c := r.dial()
		c.Raw(packet[:readySize-1])
		await.Until(t, "the second one waits", func() bool { return s.pressure.crowd.held.Load() > 0 })
		slow.set(0)
		await.Until(t, "nobody waits", func() bool { return s.pressure.crowd.count.Load() == 0 })
		c.Raw(packet[readySize-1:])
		if p := c.WantType(codec.EchoRes); len(p.Data) != size {
			t.Errorf("%d bytes", len(p.Data))
		}
	})
}

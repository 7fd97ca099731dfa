package reactor

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
	"gearloop/test/collect"
	"gearloop/test/wire"
)

func watched(s *setup) { s.watch = true }

// sum returns what all loops count together, once each has told of itself after now.
func (r *rig) sum() (sum LoopStats) {
	r.tb.Helper()
	for _, l := range r.server.allLoops() {
		done := make(chan struct{})
		l.do(func() {
			l.stamped(l.now)
			close(done)
		})
		<-done
	}
	sum.Errors = map[string]uint64{}
	for _, l := range r.server.Loops() {
		sum.Connections += l.Connections
		sum.TLS += l.TLS
		sum.Buffered += l.Buffered
		sum.Turns += l.Turns
		sum.Reads += l.Reads
		sum.Packets += l.Packets
		sum.Lines += l.Lines
		sum.Writes += l.Writes
		sum.MailItems += l.MailItems
		sum.BytesIn += l.BytesIn
		sum.BytesOut += l.BytesOut
		sum.Lag.Merge(&l.Lag)
		sum.Turn.Merge(&l.Turn)
		for t := range l.Sent {
			sum.Sent[t] += l.Sent[t]
			sum.Received[t] += l.Received[t]
		}
		for code, n := range l.Errors {
			sum.Errors[code] += n
		}
		for reason, n := range l.Closed {
			sum.Closed[reason] += n
		}
	}
	return sum
}

// Loops count each packet, byte and connection once, over TLS too, whichever counter is written first.
func TestLoopsCount(t *testing.T) {
	for name, address := range map[string]string{"plain": "127.0.0.1:0", "unix": "unix:" + t.TempDir() + "/s"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, watched, func(s *setup) { s.listen = []string{address} })
			c, w := r.dial(), r.worker("f")
			const jobs = 20
			in := 2*codec.HeaderSize + len("f") + len("sync") // of the worker, so far
			for range jobs {
				c.Send(codec.SubmitJob, "f", "", "12345")
				c.WantType(codec.JobCreated)
				w.Send(codec.GrabJob)
				handle := w.WantType(codec.JobAssign).Args(3)[0]
				w.Send(codec.WorkComplete, handle, "ok")
				c.WantType(codec.WorkComplete)
				in += 3*codec.HeaderSize + len("f\x00\x0012345") + len(handle+"\x00ok")
			}
			c.Send(codec.Type(99))
			c.WantType(codec.Error)
			in += codec.HeaderSize
			c.Table("status")
			in += len("status\n")
			sum := r.sum()
			for typ, want := range map[codec.Type]uint64{codec.SubmitJob: jobs, codec.GrabJob: jobs, codec.WorkComplete: jobs, codec.CanDo: 1, codec.EchoReq: 1, 0: 1} {
				if got := sum.Received[typ]; got != want {
					t.Errorf("%d of %v received, want %d", got, typ, want)
				}
			}
			for typ, want := range map[codec.Type]uint64{codec.JobCreated: jobs, codec.JobAssign: jobs, codec.WorkComplete: jobs, codec.EchoRes: 1, codec.Error: 1} {
				if got := sum.Sent[typ]; got != want {
					t.Errorf("%d of %v sent, want %d", got, typ, want)
				}
			}
			var errors uint64
			for _, n := range sum.Errors {
				errors += n
			}
			if sum.Packets != 3*jobs+3 || sum.Lines != 1 || errors != 1 || sum.Connections != 2 {
				t.Errorf("%d packets, %d lines, errors %v, %d connections", sum.Packets, sum.Lines, sum.Errors, sum.Connections)
			}
			if want := uint64(in); sum.BytesIn != want || sum.BytesOut == 0 || sum.Writes == 0 || sum.Reads == 0 || sum.Turns == 0 {
				t.Errorf("%d bytes in, want %d; %+v", sum.BytesIn, want, sum)
			}
			if doors := r.server.Doors(); len(doors) != 1 || doors[0].Accepted != 2 {
				t.Errorf("%+v", doors)
			}
		})
	}
}

// Each closed connection is counted under its reason.
func TestCloseReasons(t *testing.T) {
	r := newRig(t, watched, loops(1), func(s *setup) { s.MaxPacket = 4096 })
	reason := func(want closeReason, end func(c *wire.Conn)) {
		t.Helper()
		before := r.sum().Closed[want]
		c := r.dial()
		c.Sync()
		end(c)
		wire.Await(t, "the end is counted as "+closeReasonNames[want], func() bool { return r.sum().Closed[want] == before+1 })
		r.quiet()
	}
	reason(closedByPeer, func(c *wire.Conn) { c.Close() })
	reason(closedByPeer, func(c *wire.Conn) { c.Reset() })
	reason(closedBadPacket, func(c *wire.Conn) { c.Raw([]byte("\x00XXXxxxxxxxx")); c.Close() })
	reason(closedTooLarge, func(c *wire.Conn) { c.Raw([]byte("\x00REQ\x00\x00\x00\x07\x7f\x00\x00\x00")); c.Close() })
	reason(closedByAdmin, func(c *wire.Conn) { r.server.Disconnect(collect.Rows(r.sched.WalkPeers())[0].Peer) })
}

// ConnStats are the connection's own, and contain nothing of one that has ended.
func TestInspect(t *testing.T) {
	r := newRig(t, watched)
	var conns []*wire.Conn
	for i := range 3 * inspectTurn {
		c := r.dial()
		for range i % 3 {
			c.Sync()
		}
		conns = append(conns, c)
	}
	wire.Await(t, "all are connected", func() bool { return len(collect.Rows(r.sched.WalkPeers())) == len(conns) })
	var peers []*sched.Peer
	for _, p := range collect.Rows(r.sched.WalkPeers()) {
		peers = append(peers, p.Peer)
	}
	ids := map[uint64]bool{}
	for i, st := range r.server.Inspect(peers, wire.Limit) {
		ids[st.ID] = true
		if st.ID != ID(peers[i]) || st.Listener != r.addrs[0] || st.TLS || time.Since(st.Since) > 2*wire.Limit ||
			st.BytesIn%16 != 0 || st.BytesIn != st.BytesOut {
			t.Fatalf("%+v", st)
		}
	}
	if len(ids) != len(conns) || ids[0] {
		t.Errorf("%d ids of %d connections", len(ids), len(conns))
	}
	for _, c := range conns {
		c.Close()
	}
	r.quiet()
	for _, st := range r.server.Inspect(peers, wire.Limit) {
		if st != (ConnStats{}) {
			t.Fatalf("of a connection that has ended: %+v", st)
		}
	}
}

// A loop that does not answer is found and gets no further stamps. It is healthy again when it continues.
func TestStuck(t *testing.T) {
	var ahead atomic.Int64
	r := newRig(t, watched, loops(2), func(s *setup) {
		s.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	wire.Await(t, "both loops answer", func() bool { return len(r.server.Loops()) == 2 })
	if stuck := r.server.Stuck(); stuck > wire.Limit {
		t.Errorf("stuck for %v", stuck)
	}
	l := r.server.allLoops()[0]
	begun, block := make(chan struct{}), make(chan struct{})
	l.do(func() {
		close(begun)
		<-block
	})
	<-begun
	wire.Await(t, "a stamp waits", func() bool { // the stamp behind the task that blocks
		l.mail.mu.Lock()
		defer l.mail.mu.Unlock()
		return len(l.mail.messages) > 0
	})
	ahead.Add(int64(time.Hour))
	if stuck := r.server.Stuck(); stuck < time.Hour {
		t.Errorf("stuck for %v only", stuck)
	}
	answers := r.server.stamps.answers.Load()
	wire.Await(t, "the other loop goes on answering", func() bool { return r.server.stamps.answers.Load() > answers+1 })
	l.mail.mu.Lock()
	if n := len(l.mail.messages); n != 1 {
		t.Errorf("%d messages wait for a loop that does not answer", n)
	}
	l.mail.mu.Unlock()
	close(block)
	wire.Await(t, "the loop is well again", func() bool { return r.server.Stuck() < time.Hour })
	if lag := r.sum().Lag; lag.Count() == 0 || time.Duration(lag.Sum) < time.Hour {
		t.Errorf("the lag was %v", time.Duration(lag.Sum))
	}
}

// The number of different ERROR codes is bounded, whoever invents them.
func TestErrorCodesAreBounded(t *testing.T) {
	var st LoopStats
	for i := range 10 * maxErrorCodes {
		st.countError(fmt.Appendf(nil, "code%d\x00text", i))
	}
	if len(st.Errors) > maxErrorCodes+1 || st.Errors["other"] != 9*maxErrorCodes || st.Errors["code0"] != 1 {
		t.Errorf("%d codes, %d others", len(st.Errors), st.Errors["other"])
	}
}

// The phases follow each other.
func TestPhases(t *testing.T) {
	r := newRig(t)
	phases := []Phase{r.server.Phase()}
	r.server.Drain()
	phases = append(phases, r.server.Phase())
	r.server.Shutdown()
	if phases = append(phases, r.server.Phase()); !slices.Equal(phases, []Phase{Running, Draining, Ending}) {
		t.Errorf("%v", phases)
	}
	if loops := r.server.Loops(); loops != nil || r.server.Stuck() != 0 {
		t.Errorf("somebody watches: %v", loops)
	}
}

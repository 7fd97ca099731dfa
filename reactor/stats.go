package reactor

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/codec"
	"gearloop/internal/histogram"
	"gearloop/sched"
)

// packetTypes is how many numbers of packets are counted apart; 0 is for those that are not Gearman's.
const packetTypes = int(codec.StatusResUnique) + 1

// maxErrorCodes bounds the codes of ERROR packets that are counted apart.
const maxErrorCodes = 64

// timedTurns is of how many turns one is timed: reading the clock costs as much as two packets.
const timedTurns = 16

// stampEvery is how often each loop is asked for its counters, and how long that takes is measured.
const stampEvery = time.Second

// LoopStats is what one event loop has done since the start. All counters only go up.
type LoopStats struct {
	Connections int
	TLS         int   // of these connections
	Buffered    int64 // bytes of output not written yet

	Turns       uint64 // batches of events: all that was ready was read, and what came of it written
	Reads       uint64 // connections that were read in turns
	Packets     uint64 // whole packets
	Lines       uint64 // text commands
	Writes      uint64 // calls to the system that write
	MailItems   uint64 // messages from other loops and goroutines
	MailBatches uint64 // times that the mailbox was emptied
	BytesIn     uint64 // as they came from sockets
	BytesOut    uint64 // as they went to sockets

	Received, Sent [packetTypes]uint64 // packets by type; 0: of no known type
	Errors         map[string]uint64   // ERROR packets by code
	Closed         [closeReasons]uint64

	Turn histogram.Histogram // how long turns took, one in timedTurns of them (histogram.Turns)
	Lag  histogram.Histogram // how long stamps lay in the mailbox (histogram.Turns)

	LastLag time.Duration // of the last stamp
	At      time.Time     // when this was taken
}

// closeReason is why a connection ended.
type closeReason uint8

const (
	closedByPeer closeReason = iota
	closedDead
	closedNotReading
	closedBadPacket
	closedTooLarge
	closedNoMemory
	closedStalled
	closedByServer
	closedTLS
	closedByAdmin
	closedInternal
	closedNoRight
	closeReasons = iota
)

var closeReasonNames = [closeReasons]string{
	"peer", "dead_peer", "slow_reader", "bad_packet", "too_large", "memory", "stalled", "drain", "tls", "admin", "internal", "acl",
}

// CloseReasons are the names of LoopStats.Closed.
func CloseReasons() []string { return closeReasonNames[:] }

// typeIndex returns where a type of packet is counted.
func typeIndex(t codec.Type) int {
	if int(t) < packetTypes {
		return int(t)
	}
	return 0
}

// countSent counts a packet with these arguments, of an ERROR all of them.
func (st *LoopStats) countSent(t codec.Type, args []byte) {
	if st.Sent[typeIndex(t)]++; t == codec.Error {
		st.countError(args)
	}
}

// countError counts an ERROR packet by its code, which its arguments begin with.
func (st *LoopStats) countError(args []byte) {
	code, _, _ := bytes.Cut(args, []byte{0})
	if st.Errors == nil {
		st.Errors = map[string]uint64{}
	}
	if _, known := st.Errors[string(code)]; !known && len(st.Errors) >= maxErrorCodes {
		code = []byte("other")
	}
	st.Errors[string(code)]++
}

// startTurn notes when a turn has begun.
func (l *loop) startTurn() {
	if l.turnAt.IsZero() {
		l.turnAt = l.now
	}
}

// endTurn counts a turn, and times some.
func (l *loop) endTurn() {
	l.stats.Turns++
	if l.stats.Turns%l.server.timedTurns == 0 && !l.turnAt.IsZero() {
		took := int64(l.server.clock.read().Sub(l.turnAt))
		l.stats.Turn.Add(histogram.Turns.In(took), took)
	}
	l.turnAt = time.Time{}
}

// stamped takes a stamp out of the mailbox that was put there at a moment, and publishes the loop's counters.
func (l *loop) stamped(posted time.Time) {
	now := l.server.clock.read()
	lag := max(now.Sub(posted), 0)
	l.stats.Lag.Add(histogram.Turns.In(int64(lag)), int64(lag))
	st := l.stats
	st.LastLag, st.At, st.Connections, st.Buffered = lag, now, len(l.conns), l.buffered.Load()
	st.Errors = make(map[string]uint64, len(l.stats.Errors))
	for code, n := range l.stats.Errors {
		st.Errors[code] = n
	}
	l.published.Store(&st)
}

// stamps asks each loop once a second for its counters. It exists only while somebody watches.
type stamps struct {
	done  chan struct{}
	ended sync.WaitGroup
	mu    sync.Mutex
	since time.Time // since when it goes on

	answers atomic.Int64 // stamps that loops have taken, for tests
}

// Watch has the server keep an eye on its loops, for Loops and Stuck. It must be called before Serve.
func (s *Server) Watch() { s.stamps = &stamps{done: make(chan struct{})} }

func (w *stamps) start(s *Server) {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.since = s.clock.read()
	w.mu.Unlock()
	w.ended.Go(func() { w.run(s) })
}

func (w *stamps) stop() {
	if w != nil {
		close(w.done)
		w.ended.Wait()
	}
}

func (w *stamps) run(s *Server) {
	tick := time.NewTicker(stampEvery)
	defer tick.Stop()
	waiting := map[*loop]*atomic.Bool{} // whether a loop's last stamp is still in its mailbox
	for {
		for _, l := range s.allLoops() {
			out := waiting[l]
			if out == nil {
				out = &atomic.Bool{}
				waiting[l] = out
			}
			if out.Load() {
				continue // it is late; a second one would say no more
			}
			out.Store(true)
			at := s.clock.read()
			l.do(func() {
				l.stamped(at)
				out.Store(false)
				w.answers.Add(1)
			})
		}
		select {
		case <-tick.C:
		case <-w.done:
			return
		}
	}
}

// Loops returns what each event loop has told of itself last, a second ago at the most unless it is busy; empty
// without Watch and before Serve.
func (s *Server) Loops() (all []LoopStats) {
	for _, l := range s.allLoops() {
		if st := l.published.Load(); st != nil {
			all = append(all, *st)
		}
	}
	return all
}

// Stuck returns for how long the loop that has not answered for longest has not done so; 0 without Watch and
// before Serve.
func (s *Server) Stuck() (longest time.Duration) {
	w := s.stamps
	if w == nil {
		return 0
	}
	w.mu.Lock()
	since := w.since
	w.mu.Unlock()
	if since.IsZero() || s.ended.Load() {
		return 0
	}
	now := s.clock.read()
	for _, l := range s.allLoops() {
		at := since
		if st := l.published.Load(); st != nil {
			at = st.At
		}
		longest = max(longest, now.Sub(at))
	}
	return longest
}

// Phase is where a server is in its life.
type Phase uint8

// The phases, in order.
const (
	Starting Phase = iota // it does not accept yet
	Running
	Draining // it accepts no more, and waits for jobs
	Ending   // it waits for nothing any more
)

// Phase returns where the server is in its life.
func (s *Server) Phase() Phase {
	switch {
	case closed(s.forced):
		return Ending
	case closed(s.ending):
		return Draining
	case s.running.Load():
		return Running
	}
	return Starting
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Memory returns what the server keeps beside the scheduler's objects, in bytes: data of packets that are not whole yet,
// and output of all connections that is not written.
func (s *Server) Memory() (reading, output int64) { return s.reading.Load(), s.buffered() }

// Connections returns how many connections there are, and how many there may be (0 before Serve).
func (s *Server) Connections() (now, limit int) {
	return int(s.connections.Load()), int(s.limit.Load())
}

// HalfClosed returns how many connections whose peers send no more are still written to.
func (s *Server) HalfClosed() int { return s.halfClosed.count() }

// Doors returns the addresses that the server listens on.
func (s *Server) Doors() (all []DoorStats) {
	for _, d := range s.doors {
		all = append(all, DoorStats{d.address, d.kind, d.accepted.Load()})
	}
	return all
}

// DoorStats tells of an address that the server listens on.
type DoorStats struct {
	Address  string // without scheme
	Kind     string // tcp, tls or unix
	Accepted int64  // connections since the start
}

// door is what is kept of a listener beside itself.
type door struct {
	address, kind string
	accepted      atomic.Int64
}

// ConnStats is what a loop tells of one of its connections.
type ConnStats struct {
	ID       uint64
	Loop     int
	Listener string // its address; "" for one from inside the process
	TLS      bool
	Subject  string // of its certificate, if it has shown one
	Since    time.Time
	BytesIn  uint64
	BytesOut uint64
	Buffered int // bytes of output not written yet

	Work      sched.PeerWork
	Listening int // submissions of which it was not sent the end of the job
}

// ID returns the number of a connection, which no other has in the life of the process. The peer must have come
// from the scheduler.
func ID(p *sched.Peer) uint64 { return p.User.(*conn).id }

// inspectTurn is of how many connections a loop tells before others have their turn.
const inspectTurn = 128

// Inspect asks the loops for their connections, which must have come from the scheduler. Those that have ended, and
// those of loops that do not answer within patience, are zero.
func (s *Server) Inspect(peers []*sched.Peer, patience time.Duration) []ConnStats {
	byLoop := map[*loop][]int{}
	for i, p := range peers {
		l := p.User.(*conn).loop
		byLoop[l] = append(byLoop[l], i)
	}
	type found struct {
		indices []int
		stats   []ConnStats
	}
	results := make(chan found, len(peers)+1) // a loop that is late finds room
	parts := 0
	for i, l := range s.allLoops() {
		for indices := byLoop[l]; len(indices) > 0; {
			part := indices[:min(len(indices), inspectTurn)]
			indices = indices[len(part):]
			parts++
			l.do(func() {
				f := found{part, make([]ConnStats, len(part))}
				for k, at := range part {
					f.stats[k] = peers[at].User.(*conn).connStats(i)
				}
				results <- f
			})
		}
	}
	all := make([]ConnStats, len(peers))
	late := time.NewTimer(patience)
	defer late.Stop()
	for range parts {
		select {
		case f := <-results:
			for k, at := range f.indices {
				all[at] = f.stats[k]
			}
		case <-late.C:
			return all
		}
	}
	return all
}

// connStats tells of a connection, on its loop.
func (c *conn) connStats(loop int) (st ConnStats) {
	if c.closed {
		return st
	}
	st = ConnStats{ID: c.id, Loop: loop, Since: time.Unix(0, c.since), BytesIn: c.bytesIn, BytesOut: c.bytesOut, Buffered: c.waiting()}
	st.Work = c.loop.server.cfg.Sched.PeerWork(&c.Peer)
	st.Listening = int(max(0, int64(st.Work.Submitted)-int64(c.ends)))
	if c.from != nil {
		st.Listener = c.from.address
	}
	if t := c.tls; t != nil && t.session != nil {
		st.TLS = true
		st.Buffered += t.pending()
		if chains := t.session.ConnectionState().VerifiedChains; len(chains) > 0 {
			st.Subject = chains[0][0].Subject.String()
		}
	}
	return st
}

// Disconnect has a connection closed, which must have come from the scheduler: what its peer has sent is dropped.
func (s *Server) Disconnect(p *sched.Peer) {
	c := p.User.(*conn)
	c.loop.do(func() {
		c.reason = closedByAdmin
		c.loop.doom(c)
	})
}

package reactor

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/codec"
	"gearloop/internal/histogram"
)

// packetTypes is the number of counted packet types; index 0 is for unknown ones.
const packetTypes = int(codec.StatusResUnique) + 1

// maxErrorCodes bounds the codes of ERROR packets that are counted separately.
const maxErrorCodes = 64

// One of timedTurns turns is timed, because reading the clock costs as much as two packets.
const timedTurns = 16

// stampEvery is how often each loop is asked for its counters, and its delay measured.
const stampEvery = time.Second

// LoopStats are the statistics of one event loop since the start. Counters only increase.
type LoopStats struct {
	Running     bool // it runs by itself: it does not lodge with another loop
	Connections int
	TLS         int   // the TLS ones among Connections
	Buffered    int64 // bytes of unwritten output

	Turns       uint64 // batches of events: read everything that is ready, write the output
	Reads       uint64 // connections read in turns
	Packets     uint64 // complete packets
	Lines       uint64 // text commands
	Writes      uint64 // system calls that write
	MailItems   uint64 // messages from other loops and goroutines
	MailBatches uint64 // times the mailbox was emptied
	StoodIn     uint64 // times of those when another loop did so, while this one slept
	BytesIn     uint64 // read from sockets, TLS included
	BytesOut    uint64 // written to sockets, TLS included

	Received, Sent [packetTypes]uint64 // packets by type; 0: unknown
	Errors         map[string]uint64   // ERROR packets by code
	Closed         [closeReasons]uint64

	Turn histogram.Histogram // durations of turns, one of timedTurns (histogram.Turns)
	Lag  histogram.Histogram // how long stamps were in the mailbox (histogram.Turns)

	LastLag time.Duration // delay of the last stamp
	At      time.Time     // when these were taken
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

// CloseReasons returns the names for the indices of LoopStats.Closed.
func CloseReasons() []string { return closeReasonNames[:] }

// typeIndex returns the index at which a packet type is counted.
func typeIndex(t codec.Type) int {
	if int(t) < packetTypes {
		return int(t)
	}
	return 0
}

// countSent counts a sent packet. args must be complete for an ERROR.
func (st *LoopStats) countSent(t codec.Type, args []byte) {
	if st.Sent[typeIndex(t)]++; t == codec.Error {
		st.countError(args)
	}
}

// countError counts an ERROR packet by its code, the first argument.
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

// startTurn records the beginning of a turn.
func (l *loop) startTurn() {
	if l.turnAt.IsZero() {
		l.turnAt = l.now
		if l.crowdedAt.IsZero() {
			l.crowdedAt = l.now.Add(crowdedTime)
		}
	}
}

// endTurn ends a turn, and sees to the mail that was posted in it.
func (l *loop) endTurn() {
	l.hurryStore() // if end has ended the turn
	l.deliver()
	l.countTurn()
}

// countTurn counts a turn, and times some.
func (l *loop) countTurn() {
	l.stats.Turns++
	if l.stats.Turns%l.server.timedTurns == 0 && !l.turnAt.IsZero() {
		took := int64(l.server.clock.read().Sub(l.turnAt))
		l.stats.Turn.Add(histogram.Turns.In(took), took)
		if l.state.Load() != lodged { // else it is in its host's turn
			l.worked.Add(took * int64(l.server.timedTurns))
		}
	}
	l.turnAt, l.crowdedAt = time.Time{}, time.Time{}
	l.handled, l.clocked = 0, 0
}

// stamped handles a stamp that was posted at that moment, and publishes the loop's counters.
func (l *loop) stamped(posted time.Time) {
	now := l.server.clock.read()
	lag := max(now.Sub(posted), 0)
	l.stats.Lag.Add(histogram.Turns.In(int64(lag)), int64(lag))
	st := l.stats
	st.Running = l.state.Load() != lodged
	st.LastLag, st.At, st.Connections, st.Buffered = lag, now, len(l.conns), l.buffered.Load()
	st.Errors = make(map[string]uint64, len(l.stats.Errors))
	for code, n := range l.stats.Errors {
		st.Errors[code] = n
	}
	l.published.Store(&st)
}

// stamps asks each loop for its counters once a second. It exists only after Watch.
type stamps struct {
	done  chan struct{}
	ended sync.WaitGroup
	mu    sync.Mutex
	since time.Time // when it began

	answers atomic.Int64 // stamps that loops have handled, for tests
}

// Watch enables Loops and Stuck. It must be called before Serve.
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
				continue // it is late; a second stamp would add nothing
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

// Loops returns the latest statistics of each event loop, at most a second old unless the loop is busy; empty
// without Watch and before Serve.
func (s *Server) Loops() (all []LoopStats) {
	for _, l := range s.allLoops() {
		if st := l.published.Load(); st != nil {
			all = append(all, *st)
		}
	}
	return all
}

// Stuck returns for how long the slowest loop has not answered; 0 without Watch and before Serve.
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

// Phase is a phase in the life of a server.
type Phase uint8

// The phases, in order.
const (
	Starting Phase = iota // it does not accept yet
	Running
	Draining // it accepts no more connections, and waits for jobs
	Ending   // it waits for nothing
)

// Phase returns the server's current phase.
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

// Memory returns what the server holds besides the scheduler's objects, in bytes: data of incomplete packets,
// and unwritten output.
func (s *Server) Memory() (reading, output int64) { return s.reading.Load(), s.buffered() }

// Connections returns the number of connections and their limit (0 before Serve).
func (s *Server) Connections() (now, limit int) {
	return int(s.connections.Load()), int(s.limit.Load())
}

// HalfClosed returns how many connections get output although their peers have shut down their sending side.
func (s *Server) HalfClosed() int { return s.halfClosed.count() }

// Doors returns the addresses that the server listens on.
func (s *Server) Doors() (all []DoorStats) {
	for _, d := range s.doors {
		all = append(all, DoorStats{d.address, d.kind, d.accepted.Load()})
	}
	return all
}

// DoorStats describe an address that the server listens on.
type DoorStats struct {
	Address  string // without scheme
	Kind     string // tcp, tls or unix
	Accepted int64  // accepted connections since the start
}

// door belongs to a listener.
type door struct {
	address, kind string
	accepted      atomic.Int64
}

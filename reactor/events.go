package reactor

import (
	"math"
	"time"

	"gearloop/sched"
	"gearloop/store"
)

// Server forwards the store's events to the scheduler and carries out their effects. All these calls come
// from the store's goroutine, one at a time.
var (
	_ store.Events       = (*Server)(nil)
	_ store.BulkReceipts = (*Server)(nil)
)

// Opened implements store.Events.
func (s *Server) Opened(run uint64) { s.cfg.Sched.Opened(run) }

// StoredAll implements store.BulkReceipts.
func (s *Server) StoredAll(receipts []store.Receipt) { s.cfg.Sched.StoredAll(receipts) }

// Lease implements store.Events.
func (s *Server) Lease(until time.Time) {
	s.leased.Store(!until.Equal(store.Never))
	s.deliver(func(now time.Time, fx *sched.Effects) { s.cfg.Sched.Lease(until, now, fx) })
}

// readLeased reads the clock again if stored jobs may be handed out only until a lease ends. The loop calls it after
// each read from a socket. Otherwise a process that is stopped in the middle of a turn and continued later would
// check the requests that came meanwhile against the time before the stop, and hand out jobs that another broker has
// taken over.
func (l *loop) readLeased() {
	if l.server.leased.Load() {
		l.now = l.server.clock.read()
	}
}

// Adopt implements store.Events.
func (s *Server) Adopt(jobs []store.Job) (room bool) {
	s.deliver(func(now time.Time, fx *sched.Effects) { room = s.cfg.Sched.Adopt(jobs, now, fx) })
	return room
}

// Disowned implements store.Events.
func (s *Server) Disowned() { s.deliver(s.cfg.Sched.Disowned) }

// Flushed implements store.Events: it has the submitters of the jobs for which Stored was called answered, by the
// loop of one of them. So the store can begin the next batch at once, and answers to connections of that loop
// need no mail. A few answers are handled here: the loop is woken when they are ready.
func (s *Server) Flushed() {
	submitter, n := s.cfg.Sched.Gather()
	if submitter != nil {
		s.answering = submitter.User.(*conn).loop
	}
	if s.answering == nil || n <= fewAnswers || s.ended.Load() {
		s.deliver(func(time.Time, *sched.Effects) {})
		return
	}
	s.answering.settleSoon()
}

// hurryStore has the store write the jobs of this turn. It is called before the turn's output is written, so that
// the store's goroutine can work on another processor meanwhile.
func (l *loop) hurryStore() {
	if l.hurry {
		l.hurry = false
		l.server.cfg.Sched.Hurry()
	}
}

const (
	// settleTurn is how many of the store's answers a loop handles at a time, some hundred nanoseconds each.
	settleTurn = 1000
	// fewAnswers is how many the store's goroutine handles itself. One client with one job in flight waits 2 to 5 %
	// less so.
	fewAnswers = 4
)

// settleSoon makes the loop handle the store's answers, unless a loop is about to. Any goroutine may call it.
func (l *loop) settleSoon() {
	if !l.server.settler.Swap(true) {
		l.do(l.settle)
	}
}

// settle handles answers of the store.
func (l *loop) settle() {
	l.server.settler.Store(false) // answers that come from now on may be missed
	more := true                  // after a fault, too
	defer func() {
		if more {
			l.settleSoon()
		}
	}()
	more = l.server.cfg.Sched.SettleSome(settleTurn, l.now, &l.fx)
	l.carry(nil)
}

// settleRest handles the answers that loops have left when they ended.
func (s *Server) settleRest() {
	var fx sched.Effects
	s.cfg.Sched.SettleSome(math.MaxInt, s.clock.read(), &fx)
	s.carry(&fx, nil, nil)
}

// deliver makes a call about an event. What the store answered before the event comes first.
func (s *Server) deliver(call func(time.Time, *sched.Effects)) {
	now := s.clock.read()
	s.cfg.Sched.Settle(now, &s.settling)
	call(now, &s.settling)
	s.carry(&s.settling, nil, nil)
}

// Act calls the scheduler for a request that came in no packet, such as an operator's, and carries out the
// effects. It repeats the call while Effects.Again asks for that.
func (s *Server) Act(call func(now time.Time, fx *sched.Effects)) {
	var fx sched.Effects
	for state := any(nil); ; {
		fx.State = state
		call(s.clock.read(), &fx)
		again := fx.Again
		state = fx.State
		s.carry(&fx, nil, nil)
		if !again {
			return
		}
	}
}

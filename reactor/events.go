package reactor

import (
	"time"

	"gearloop/sched"
	"gearloop/store"
)

// Server passes on to the scheduler what its store tells, and carries out what that causes. All these calls
// come from the store's goroutine, one at a time.
var _ store.Events = (*Server)(nil)

// Opened implements store.Events.
func (s *Server) Opened(run uint64) { s.cfg.Sched.Opened(run) }

// Lease implements store.Events.
func (s *Server) Lease(until time.Time) {
	s.deliver(func(now time.Time, fx *sched.Effects) { s.cfg.Sched.Lease(until, now, fx) })
}

// Adopt implements store.Events.
func (s *Server) Adopt(jobs []store.Job) (room bool) {
	s.deliver(func(now time.Time, fx *sched.Effects) { room = s.cfg.Sched.Adopt(jobs, now, fx) })
	return room
}

// Disowned implements store.Events.
func (s *Server) Disowned() { s.deliver(s.cfg.Sched.Disowned) }

// Flushed implements store.Events: those whose jobs the store has dealt with are answered.
func (s *Server) Flushed() { s.deliver(s.cfg.Sched.Settle) }

func (s *Server) deliver(call func(time.Time, *sched.Effects)) {
	call(s.clock.read(), &s.settling)
	s.carry(&s.settling, nil, nil)
}

// Act carries out a call of the scheduler that no packet asks for, such as an operator's, again as long as
// the scheduler wants it (Effects.Again).
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

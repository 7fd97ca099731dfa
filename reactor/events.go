package reactor

import (
	"time"

	"gearloop/sched"
	"gearloop/store"
)

// Server forwards the store's events to the scheduler and carries out their effects. All these calls come
// from the store's goroutine, one at a time.
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

// Flushed implements store.Events: it answers the submitters of the jobs for which Stored was called.
func (s *Server) Flushed() { s.deliver(s.cfg.Sched.Settle) }

func (s *Server) deliver(call func(time.Time, *sched.Effects)) {
	call(s.clock.read(), &s.settling)
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

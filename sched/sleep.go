package sched

import (
	"time"

	"gearloop/codec"
)

// sleep answers PRE_SLEEP: the worker waits for a NOOP, which comes at once if a job waits.
func (s *Sched) sleep(p *Peer, now time.Time, fx *Effects) {
	s.Review(p, now, fx)
	at := s.moment(now)
	p.asks(at)
	p.state.Store(sleeping)
	worked := p.jobsDone > 0
	fx.Work += len(p.abilities) / workAbilities
	locked := 0
	for _, a := range p.abilities {
		// Nothing to do for a function in whose list it still stands and that has no job. The order
		// matters: a submission counts its job, then takes the entry out, then wakes; so whoever
		// sees the entry and no job is woken by what comes.
		if !worked && a.listed.Load() {
			s.step()
			if !a.fn.isReady() {
				continue
			}
		}
		s.step()
		if locked++; locked%workLocks == 0 {
			fx.Work++
		}
		if !a.list(worked) {
			if p.wake(at) {
				fx.send(p, codec.Noop)
			}
			return
		}
	}
	p.jobsDone = 0
	if s.dialect.SleepEndsLimits && !p.limitAt.IsZero() {
		p.endLimits(fx)
	}
}

// listAsleep puts a worker that sleeps already among the sleepers of one more function. A job that waits
// is no reason to wake it, only one that comes.
func (a *ability) listAsleep(now time.Time, fx *Effects) {
	fn := a.fn
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	fn.sleepers.pushBack(a)
	if fn.isReady() {
		fn.armWake(now, fx)
	}
}

// list puts a worker among the sleepers of a function: in front if it did work lately, so that
// those who are not needed may really sleep. It returns false when a job waits.
func (a *ability) list(worked bool) bool {
	fn := a.fn
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	if fn.isReady() {
		return false
	}
	if worked && a.listed.Load() {
		fn.sleepers.remove(a)
	}
	switch {
	case worked:
		fn.sleepers.pushFront(a)
	case !a.listed.Load():
		fn.sleepers.pushBack(a)
	}
	return true
}

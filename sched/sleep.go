package sched

import (
	"time"

	"gearloop/codec"
)

// sleep handles PRE_SLEEP: the worker waits for a NOOP, which is sent at once if a job waits.
func (s *Sched) sleep(p *Peer, now time.Time, fx *Effects) {
	s.Review(p, now, fx)
	at := s.moment(now)
	p.asks(at)
	if fn := p.caller.Load(); fn != nil {
		s.leaves(fn, p, now, fx)
	}
	p.sleeps = true
	p.state.Store(sleeping)
	worked := p.jobsDone > 0
	fx.Work += len(p.abilities) / workAbilities
	locked := 0
	for _, a := range p.abilities {
		// Nothing to do for a function that still lists it and has no job. The order matters: a submission counts
		// its job, then removes the entry, then wakes; so a worker that sees its entry and no job will be woken.
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
		if !a.list(worked, at, fx) {
			if p.drowsy != nil {
				s.leaves(p.drowsy, p, now, fx)
			}
			return
		}
	}
	if p.drowsy != nil {
		s.leaves(p.drowsy, p, now, fx)
	}
	p.jobsDone = 0
	if s.dialect.SleepEndsLimits && !p.limitAt.IsZero() {
		p.endLimits(fx)
	}
}

// listAsleep adds a sleeping worker to the sleepers of one more function. Only a job that arrives later wakes
// it, not one that waits already.
func (a *ability) listAsleep(now time.Time, fx *Effects) {
	fn := a.fn
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	fn.sleepers.pushBack(a)
	if fn.isReady() {
		fn.armWake(now, fx)
	}
}

// list adds a worker to the sleepers of a function: in front if it worked recently, so that workers that are
// not needed stay asleep. If a job waits, it wakes the worker and returns false.
func (a *ability) list(worked bool, at moment, fx *Effects) bool {
	fn := a.fn
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	p := a.peer
	awaited := p.drowsy == fn
	if awaited {
		p.drowsy = nil
		fn.called = max(fn.called-1, 0)
	}
	if fn.isReady() {
		if p.wake(at) {
			fx.send(p, codec.Noop)
			if awaited {
				fn.expect(p) // now for the job
			}
		}
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

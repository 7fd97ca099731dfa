package sched

import "time"

// Of a large number of sleepers a function wakes only as many as it has jobs waiting, because each of them
// costs two packets in each direction, and all but the fastest ask in vain. It counts the workers it has
// called and that have not come yet: a worker comes when it asks for a job, goes to sleep, gives the function
// up or disconnects. One that takes a job of another function, or none, is replaced at once if its job still
// waits. One that does nothing is given up when the wake timer fires, and others are woken.
//
// called may be too low, when a worker comes after it was given up: then one more is woken than necessary. It
// may be too high until the timer fires, which is set whenever a job waits and others sleep.
//
// A worker that was told that there is no job counts as well (expectSleep), until it sleeps.

// FewSleepers is the usual Config.Herd: so few sleepers cost next to nothing, and are woken as the reference
// servers do, because programs may rely on it.
const FewSleepers = 16

// isHerd reports whether so many sleep that they are woken by need.
func (fn *function) isHerd() bool { return fn.herd.Load() }

// expect counts a worker as on its way. The shard is locked.
func (fn *function) expect(p *Peer) {
	fn.called++
	p.caller.Store(fn)
}

// expectSleep counts a worker that has got no job: it looks at its functions once more when it goes to sleep,
// so nobody needs to be woken for a job that arrives before. Only a worker counts that did a job of the
// function and that sleeps when there is none; one that asks at times of its own would hold up jobs.
func (s *Sched) expectSleep(p *Peer) {
	fn := p.last
	if fn == nil || !fn.isHerd() || !p.sleeps || p.jobsDone == 0 || p.state.Load() != awake {
		return
	}
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	fn.called++
	p.drowsy = fn // not caller: another function may wake it before it has looked at this one
}

// call wakes sleepers for the waiting jobs for which nobody was called yet, and surplus more. The shard is
// locked.
func (fn *function) call(surplus int, now time.Time, fx *Effects) {
	if n := fn.queued() - int(fn.called) + surplus; n > 0 {
		fn.wakeAnd(n, true, now, fx)
	} else {
		fn.armWake(now, fx)
	}
}

// came notes that a worker has come, or sleeps, if the function counts on it, and reports whether it did. The
// shard is locked. Only the worker's own goroutine may call it.
func (fn *function) came(p *Peer) (counted bool) {
	if p.drowsy == fn {
		p.drowsy, counted = nil, true
		fn.called = max(fn.called-1, 0)
	}
	if p.caller.Load() == fn {
		p.caller.Store(nil)
		counted = true
		fn.called = max(fn.called-1, 0)
	}
	return counted
}

// comes notes that a worker that was called has come, and took no job of the function that called it: another
// one is woken if that job still waits. Only the worker's own goroutine may call it.
func (s *Sched) comes(p *Peer, now time.Time, fx *Effects) {
	if fn := p.caller.Load(); fn != nil {
		s.leaves(fn, p, now, fx)
	}
	if p.drowsy != nil {
		s.leaves(p.drowsy, p, now, fx)
	}
}

// leaves is comes for one function.
func (s *Sched) leaves(fn *function, p *Peer, now time.Time, fx *Effects) {
	s.step()
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	fn.came(p)
	fn.callAgain(now, fx)
}

// callAgain wakes a sleeper in place of one that came for a job and does not take it. The shard is locked.
func (fn *function) callAgain(now time.Time, fx *Effects) {
	switch {
	case !fn.isReady():
	case fn.isHerd():
		fn.call(0, now, fx)
	case fn.queued() > int(fn.called):
		fn.wake(fn.shard.sched.cfg.Wakeup, now, fx)
	}
}

// maxSurplus keeps surplus from overflowing.
const maxSurplus = 1 << 20

// giveUp stops waiting for the workers that were called, because the wake timer has fired, and returns how
// many to wake beside one for each job: twice as many each time, until a job is handed out. So a job that
// waits behind thousands of workers that do not answer waits for a second, not for minutes. The shard is
// locked.
func (fn *function) giveUp() int {
	surplus := fn.surplus
	fn.called, fn.surplus = 0, min(max(1, 2*surplus), maxSurplus)
	return int(surplus)
}

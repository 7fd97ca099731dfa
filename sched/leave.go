package sched

import (
	"time"

	"gearloop/internal/dialect"
)

// Disconnect says that a peer's connection has ended: its jobs have lost their worker, what it
// waited for nobody waits for any more. It is the last call that may name the peer as the caller.
func (s *Sched) Disconnect(p *Peer, now time.Time, fx *Effects) {
	p.state.Store(gone)
	s.peersMu.Lock()
	delete(s.peers, p)
	s.peersMu.Unlock()
	for len(p.doing) > 0 {
		s.step()
		s.lose(p, p.doing[len(p.doing)-1], true, now, fx)
	}
	s.resetAbilities(p)
	p.late = nil
	if !p.limitAt.IsZero() {
		fx.arm(&p.limit, time.Time{})
	}
}

// lose takes a job away from its worker, which has vanished or run out of time: it fails, or goes back
// to the end of its queue for another worker.
func (s *Sched) lose(p *Peer, j *Job, vanished bool, now time.Time, fx *Effects) {
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	p.stopDoing(j)
	if s.frozen.Load() && j.keeping != notKept {
		return // the store has it for the next start
	}
	how := s.dialect.TimedOut
	if vanished {
		how = s.whenLost(j)
	}
	j.retries++
	switch {
	case !j.wanted():
		sh.forget(j)
		return
	case how == dialect.LostFails || s.cfg.JobRetries > 0 && int(j.retries) >= s.cfg.JobRetries:
		j.fail(fx)
		sh.forget(j)
		return
	}
	if j.keeping != notKept {
		s.store.Retry(j.ref, j.retries)
	}
	j.fn.running--
	sh.running--
	j.worker, j.excepted = nil, false
	if x := j.extra; x != nil {
		x.deadline, x.hasStatus, x.numerator, x.denominator = time.Time{}, false, "", ""
	}
	j.fn.enqueue(j, false)
	j.fn.wakeSleepers(now, fx)
}

// whenLost returns what becomes of a job whose worker's connection has ended. One that is stored was
// promised to be done. Its shard is locked.
func (s *Sched) whenLost(j *Job) dialect.Lost {
	if j.keeping != notKept {
		return dialect.LostRequeues
	}
	return s.dialect.LostJob
}

// dropJobs takes the jobs of a function that the worker does not do any more away from it, where
// the dialect has it so; nil is all functions.
func (s *Sched) dropJobs(p *Peer, fn *function, now time.Time, fx *Effects) {
	if !s.dialect.DropRequeues {
		return
	}
	for i := 0; i < len(p.doing); {
		if j := p.doing[i]; fn == nil || j.fn == fn {
			s.step()
			s.lose(p, j, true, now, fx) // takes it out of doing, another is in its place
		} else {
			i++
		}
	}
}

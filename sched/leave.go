package sched

import (
	"math"
	"time"
)

// Disconnect says that a peer's connection has ended: its jobs have lost their worker, what it
// waited for nobody waits for any more. It is the last call that may name the peer as the caller, but for those that
// it asks for with Effects.Again.
func (s *Sched) Disconnect(p *Peer, now time.Time, fx *Effects) {
	if p.state.Swap(gone) != gone { // else the call is made again
		p.leftWith = len(p.doing)
	}
	s.peersMu.Lock()
	delete(s.peers, p)
	s.peersMu.Unlock()
	for limit := fx.Work + callJobs; len(p.doing) > 0; {
		if fx.Work >= limit {
			fx.Again = true
			return
		}
		s.step()
		s.lose(p, p.doing[len(p.doing)-1], WorkerLost, now, fx)
		fx.Work++
	}
	if s.leaveJobs(p, fx) {
		fx.Again = true
		return
	}
	s.resetAbilities(p, now, fx)
	p.late = nil
	if !p.limitAt.IsZero() {
		fx.arm(&p.limit, time.Time{})
	}
}

// lose takes a job away from its worker, which will not finish it: it fails, or another worker gets it. why is
// WorkerLost, Timeout or Exception.
func (s *Sched) lose(p *Peer, j *job, why Outcome, now time.Time, fx *Effects) {
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	switch {
	case j.state == abandoned:
		sh.fail(j, why, now, fx)
		return
	case s.frozen.Load() && j.keeping != notKept:
		sh.move(j, shelved) // the store has it for the next start
		return
	case (j.isUndelivered() || j.recalled) && !j.isBare():
		sh.putBack(j, now, fx) // this worker never had it, or an operator wants another to do it
		return
	}
	if j.retries < math.MaxUint16 {
		j.retries++
	}
	if !j.fn.policy().again(j, why) {
		sh.fail(j, why, now, fx)
		return
	}
	if j.keeping != notKept {
		s.store.Retry(j.ref, j.retries)
	}
	sh.putBack(j, now, fx)
}

// dropJobs takes the jobs of a function that the worker does not do any more away from it, where
// the dialect has it so; nil is all functions.
func (s *Sched) dropJobs(p *Peer, fn *function, now time.Time, fx *Effects) {
	if s.dialect.DropRequeues {
		s.dropWorth(math.MaxInt, p, fn, now, fx)
	}
}

// dropSome begins with that if it may be too much for one call; true: it was.
func (s *Sched) dropSome(p *Peer, fn *function, now time.Time, fx *Effects) bool {
	return s.dialect.DropRequeues && len(p.doing) > callJobs && !s.dropWorth(callJobs, p, fn, now, fx)
}

// dropWorth takes jobs of a function, nil for all functions, away from a worker, until that cost so much (Effects.Work),
// and reports whether it took all.
func (s *Sched) dropWorth(work int, p *Peer, fn *function, now time.Time, fx *Effects) bool {
	fx.Work += len(p.doing) / workDoing
	limit := fx.Work + min(work, math.MaxInt-fx.Work)
	for i := 0; i < len(p.doing); {
		switch j := p.doing[i]; {
		case fn != nil && j.fn != fn:
			i++
		case fx.Work >= limit:
			return false
		default:
			s.step()
			s.lose(p, j, WorkerLost, now, fx) // takes it out of doing, another is in its place
			fx.Work++
		}
	}
	return true
}

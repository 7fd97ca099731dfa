package sched

import (
	"math"
	"time"

	"gearloop/internal/slim"
	"gearloop/store"
)

// Disconnect handles the end of a peer's connection: its jobs lose their worker, and what it waited for is no
// longer wanted. It is the last call that may name the peer as the caller, apart from repetitions that
// Effects.Again asks for.
func (s *Sched) Disconnect(p *Peer, now time.Time, fx *Effects) {
	if p.state.Swap(gone) != gone { // not a repetition
		p.leftWith = len(p.doing)
	}
	s.peersMu.Lock()
	delete(s.peers, p)
	s.peers = slim.Map(s.peers, &s.mostPeers)
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
	if s.leaveJobs(p, fx) || !s.dropAbilities(p, now, fx) {
		fx.Again = true
		return
	}
	p.late = nil
	if !p.limitAt.IsZero() {
		fx.arm(&p.limit, time.Time{})
	}
}

// lose takes a job from its worker, which will not finish it: the job fails or goes to another worker. why is
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
	case (j.isUndelivered() || j.isRecalled()) && !j.isBare():
		sh.putBack(j, now, fx) // not delivered yet, or an operator wants another worker to do it
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
		s.store.Update(j.ref, j.retries, store.Priority(j.priority))
	}
	sh.putBack(j, now, fx)
}

// dropJobs takes the jobs of a function that a worker no longer does from it, if the dialect says so; nil
// means all functions.
func (s *Sched) dropJobs(p *Peer, fn *function, now time.Time, fx *Effects) {
	if s.dialect.DropRequeues {
		s.dropWorth(math.MaxInt, p, fn, now, fx)
	}
}

// dropSome does the first part of dropJobs if there is too much for one call. It returns true if so.
func (s *Sched) dropSome(p *Peer, fn *function, now time.Time, fx *Effects) bool {
	return s.dialect.DropRequeues && len(p.doing) > callJobs && !s.dropWorth(callJobs, p, fn, now, fx)
}

// dropWorth takes jobs of a function (nil: of all) from a worker until their cost (Effects.Work) reaches
// work, and reports whether it took all.
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
			s.lose(p, j, WorkerLost, now, fx) // removes it from doing and moves another into its place
			fx.Work++
		}
	}
	return true
}

package sched

import "time"

// Disconnect says that a peer's connection has ended: its jobs have lost their worker, what it
// waited for nobody waits for any more. It is the last call that may name the peer as the caller.
func (s *Sched) Disconnect(p *Peer, now time.Time, fx *Effects) {
	p.state.Store(gone)
	s.peersMu.Lock()
	delete(s.peers, p)
	s.peersMu.Unlock()
	for len(p.doing) > 0 {
		s.step()
		s.loseWorker(p, p.doing[len(p.doing)-1], fx)
	}
	s.resetAbilities(p)
	p.late = nil
	if !p.limitAt.IsZero() {
		fx.arm(&p.limit, time.Time{})
	}
}

// loseWorker ends a job whose worker's connection has ended.
func (s *Sched) loseWorker(p *Peer, j *Job, fx *Effects) {
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	p.stopDoing(j)
	j.fail(fx)
	sh.forget(j)
}

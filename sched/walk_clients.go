package sched

import (
	"cmp"
	"unsafe"
)

// ClientInfo is a connection, or a job that it listens to.
type ClientInfo struct {
	Peer  *Peer
	IsJob bool
	Job   JobInfo
}

// listening says that a peer listens to a job.
type listening struct {
	fd     int
	peer   *Peer
	number uint64 // of the job
}

// audience is the listeners of a job.
type audience struct {
	number uint64
	first  *Peer
	rest   []*Peer
}

// ClientWalk goes through all connections, by descriptor, and for each through the jobs that it listens to,
// in no particular order; a job appears as often as the connection submitted it. The first steps find
// nothing.
type ClientWalk struct {
	effort
	sched   *Sched
	jobs    *JobWalk   // nil: all are gathered
	wide    []audience // jobs with many listeners
	listens runs[listening]
	peers   *PeerWalk
	peer    *Peer // the one whose jobs come next
}

// WalkClients returns a walk through the connections and the jobs that they listen to.
func (s *Sched) WalkClients() *ClientWalk {
	w := &ClientWalk{sched: s, jobs: s.WalkJobs(), peers: s.WalkPeers()}
	w.listens.compare = func(a, b listening) int { return cmp.Compare(a.fd, b.fd) }
	return w
}

// Next takes a step.
func (w *ClientWalk) Next(dst []ClientInfo) (_ []ClientInfo, more bool) {
	switch {
	case w.jobs != nil || len(w.wide) > 0:
		w.gather()
		return dst, true
	case !w.peers.found:
		w.peers.gather()
		w.effort = w.peers.effort
		return dst, true
	}
	for w.effort = 0; w.effort < walkPeers; w.effort++ {
		if at, ok := w.listens.first(); ok && w.peer != nil && at.fd <= w.peer.FD {
			w.listens.drop()
			if at.peer == w.peer { // not one that had this descriptor, or a lower one, before
				dst = w.sched.appendListening(dst, at)
			}
			continue
		}
		p, ok := w.peers.next()
		if !ok {
			return dst, false
		}
		if w.peer = p; p != nil {
			dst = append(dst, ClientInfo{Peer: p})
		}
	}
	return dst, true
}

// gather collects the listeners of some of the jobs. A job with many listeners is left to gatherWide.
func (w *ClientWalk) gather() {
	if len(w.wide) > 0 {
		w.gatherWide()
		return
	}
	var found []listening
	looked := 0
	more := w.jobs.step(func(j *job) {
		if j.isWide() {
			w.wide = append(w.wide, audience{j.number, j.listener, j.extra.listeners})
			return
		}
		looked += j.listeners()
		j.eachListener(func(p *Peer) { found = append(found, listening{p.FD, p, j.number}) })
	})
	w.listens.add(found)
	w.effort = w.jobs.effort + effort(looked)
	if !more {
		w.jobs = nil
	}
}

// gatherWide collects some listeners of a job with many.
func (w *ClientWalk) gatherWide() {
	job := &w.wide[len(w.wide)-1]
	n := min(walkListeners, len(job.rest))
	found := make([]listening, 0, n+1)
	for _, p := range append(job.rest[:n:n], job.first) {
		if p != nil && !p.Gone() {
			found = append(found, listening{p.FD, p, job.number})
		}
	}
	job.rest, job.first = job.rest[n:], nil
	if len(job.rest) == 0 {
		w.wide = w.wide[:len(w.wide)-1]
	}
	w.listens.add(found)
	w.effort = effort(n + 1)
}

// appendListening appends a job that a peer listens to, if it still exists.
func (s *Sched) appendListening(dst []ClientInfo, at listening) []ClientInfo {
	sh := s.shardOfJob(at.number)
	sh.lock()
	if j := sh.jobs.get(at.number); j != nil {
		dst = append(dst, ClientInfo{at.peer, true, j.info()})
	}
	sh.mu.Unlock()
	s.step()
	return dst
}

// Size is the memory, in bytes, of the order of connections and of what they listen to.
func (w *ClientWalk) Size() int {
	return w.listens.size() + w.peers.Size() + cap(w.wide)*int(unsafe.Sizeof(audience{}))
}

// CountWalk counts the scheduler's objects.
type CountWalk struct {
	effort
	sched  *Sched
	peers  mapSteps
	begun  bool
	counts Counts
}

// WalkCounts returns a walk that counts.
func (s *Sched) WalkCounts() *CountWalk { return &CountWalk{sched: s} }

// Next takes a step. The last one returns the counts.
func (w *CountWalk) Next() (c Counts, more bool) {
	if !w.begun {
		w.begun = true
		w.countShards()
	}
	var peers [walkPeers]*Peer
	n := w.sched.somePeers(&w.peers, func(i int, p *Peer) { peers[i] = p })
	for _, p := range peers[:n] {
		if !p.Gone() {
			w.counts.Peers++
		}
		if p.state.Load() == sleeping {
			w.counts.Sleepers++
		}
		p.mu.Lock()
		if len(p.abilities) > 0 {
			w.counts.Workers++
		}
		p.mu.Unlock()
	}
	w.effort = effort(n)
	return w.counts, n == len(peers)
}

// countShards adds what the shards know.
func (w *CountWalk) countShards() {
	c := &w.counts
	w.sched.eachShard(func(sh *shard) {
		c.Functions += len(sh.functions)
		c.Queued += sh.queued
		c.Running += sh.running
		c.Delayed += len(sh.delayed)
		c.Storing += sh.storing
		c.Unique += len(sh.uniques)
		c.Memory += sh.memory
		c.Abilities += sh.abilities
		c.Listeners += sh.listeners
	})
}

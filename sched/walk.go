package sched

import (
	"cmp"
	"reflect"
	"strings"
)

// Sizes of a step of a walk. Each takes 20 to 50 µs with cold caches.
const (
	walkJobs          = 2 * pageJobs // jobs
	walkListeners     = 512          // of a job with many listeners
	walkPages         = 32           // pages of jobs, most of them nearly empty
	walkFunctions     = 128
	walkOwn           = 64 // functions with numbers of their own, each up to 2 KB
	walkPeers         = 128
	walkAbilities     = 4096 // of all peers of a step, except one that has more
	retainedAbilities = 64   // of a peer, for which Next retains the capacity
)

// effort is the number of objects that the last step of a walk examined.
type effort int

// Looked returns the number of objects that the last step examined.
func (e effort) Looked() int { return int(e) }

// mapSteps iterates over a map in steps. Between steps, and only then, the map may change: Go's rules for
// changes during a range apply.
type mapSteps struct {
	iter  reflect.MapIter
	over  reflect.Value // what it iterates over
	begun bool
}

// next advances to the next entry of m, which must be the same map each time or its copy (package slim), and
// reports whether there is one; after the last, another map may follow.
func (it *mapSteps) next(m any) bool {
	now := reflect.ValueOf(m)
	if !it.begun {
		it.iter.Reset(now)
		it.over = now
	}
	for it.begun = it.iter.Next(); it.begun; it.begun = it.iter.Next() {
		if now.UnsafePointer() == it.over.UnsafePointer() {
			return true
		}
		// m is a copy, and what was removed from that is still in the map it was made from.
		if value := now.MapIndex(it.iter.Key()); value.IsValid() && value.Equal(it.iter.Value()) {
			return true
		}
	}
	return false
}

// JobWalk goes through all jobs, in no particular order. See the package comment on walks.
type JobWalk struct {
	effort
	sched *Sched
	shard int
	pages mapSteps
}

// WalkJobs returns a walk through all jobs.
func (s *Sched) WalkJobs() *JobWalk { return &JobWalk{sched: s} }

// Next takes a step.
func (w *JobWalk) Next(dst []JobInfo) (_ []JobInfo, more bool) {
	more = w.step(func(j *job) { dst = append(dst, j.info()) })
	return dst, more
}

// step calls f for some jobs, with their shard locked.
func (w *JobWalk) step(f func(*job)) (more bool) {
	jobs, pages := 0, 0
	enough := func() bool { return jobs+pageJobs > walkJobs || pages == walkPages }
	for w.shard < shardCount && !enough() {
		sh := &w.sched.shards[w.shard]
		sh.lock()
		for !enough() {
			if !w.pages.next(sh.jobs.pages) {
				w.shard++
				break
			}
			page := w.pages.iter.Value().Interface().(*jobPage)
			for _, j := range page.jobs {
				if j != nil {
					f(j)
				}
			}
			pages++
			jobs += page.used
		}
		sh.mu.Unlock()
		w.sched.step()
	}
	w.effort = effort(jobs + pages)
	return w.shard < shardCount
}

// Size is 0.
func (w *JobWalk) Size() int { return 0 }

// FunctionWalk goes through the functions that have a worker or a job, or that are pinned, by name. The first
// steps find nothing.
type FunctionWalk struct {
	effort
	sched     *Sched
	shard     int
	functions mapSteps
	names     runs[*function]
}

// WalkFunctions returns a walk through the functions.
func (s *Sched) WalkFunctions() *FunctionWalk {
	w := &FunctionWalk{sched: s}
	w.names.compare = func(a, b *function) int { return strings.Compare(a.name, b.name) }
	return w
}

// Next takes a step.
func (w *FunctionWalk) Next(dst []FunctionInfo) (_ []FunctionInfo, more bool) {
	more = w.step(func(fn *function) { dst = append(dst, fn.info()) })
	return dst, more
}

// step calls f for some functions, with their shard locked.
func (w *FunctionWalk) step(f func(*function)) (more bool) {
	if w.shard < shardCount {
		w.gather()
		return true
	}
	for w.effort = 0; w.effort < walkFunctions; w.effort++ {
		fn, ok := w.names.first()
		if !ok {
			return false
		}
		w.names.drop()
		fn.shard.lock()
		if fn.shard.functions[fn.name] == fn && fn.shown() {
			f(fn)
		}
		fn.shard.mu.Unlock()
		w.sched.step()
	}
	return true
}

// gather collects some of the functions.
func (w *FunctionWalk) gather() {
	var found [walkFunctions]*function
	n := 0
	for w.shard < shardCount && n < len(found) {
		sh := &w.sched.shards[w.shard]
		sh.lock()
		for n < len(found) {
			if !w.functions.next(sh.functions) {
				w.shard++
				break
			}
			found[n] = w.functions.iter.Value().Interface().(*function)
			n++
		}
		sh.mu.Unlock()
		w.sched.step()
	}
	w.names.add(found[:n])
	w.effort = effort(n)
}

// Size is the memory of the functions' order, in bytes.
func (w *FunctionWalk) Size() int { return w.names.size() }

// peerAt is a peer and its descriptor.
type peerAt struct {
	fd   int
	peer *Peer
}

// PeerWalk goes through all connections, by descriptor. The first steps find nothing.
type PeerWalk struct {
	effort
	sched *Sched
	peers mapSteps
	found bool // all peers are gathered
	order runs[peerAt]
}

// WalkPeers returns a walk through the connections.
func (s *Sched) WalkPeers() *PeerWalk {
	w := &PeerWalk{sched: s}
	w.order.compare = func(a, b peerAt) int { return cmp.Compare(a.fd, b.fd) }
	return w
}

// Next takes a step.
func (w *PeerWalk) Next(dst []PeerInfo) (_ []PeerInfo, more bool) {
	if !w.found {
		w.gather()
		return dst, true
	}
	abilities := 0
	for w.effort = 0; w.effort < walkPeers && abilities < walkAbilities; w.effort++ {
		p, ok := w.next()
		if !ok {
			return dst, false
		}
		if p == nil {
			continue
		}
		var able Abilities
		if n := len(dst); n < cap(dst) && cap(dst[:n+1][n].Abilities) <= retainedAbilities {
			able = dst[:n+1][n].Abilities[:0]
		}
		p.mu.Lock()
		able = append(able, p.abilities...)
		dst = append(dst, PeerInfo{p, p.FD, p.Addr, p.clientID, able})
		p.mu.Unlock()
		abilities += len(able)
	}
	return dst, true
}

// next returns the next connection, nil if it has ended; false if none is left. All must be gathered.
func (w *PeerWalk) next() (p *Peer, ok bool) {
	at, ok := w.order.first()
	if !ok {
		return nil, false
	}
	w.order.drop()
	if at.peer.Gone() {
		return nil, true
	}
	return at.peer, true
}

// gather collects some of the connections.
func (w *PeerWalk) gather() {
	var found [walkPeers]peerAt
	n := w.sched.somePeers(&w.peers, func(i int, p *Peer) { found[i].peer = p })
	for i := range found[:n] {
		found[i].fd = found[i].peer.FD
	}
	w.order.add(found[:n])
	w.found = n < len(found)
	w.effort = effort(n)
}

// somePeers visits the next walkPeers connections, in no particular order, and returns how many there were:
// fewer if they were the last.
func (s *Sched) somePeers(steps *mapSteps, f func(i int, p *Peer)) (n int) {
	s.peersMu.Lock()
	for n < walkPeers && steps.next(s.peers) {
		f(n, steps.iter.Key().Interface().(*Peer))
		n++
	}
	s.peersMu.Unlock()
	s.step()
	return n
}

// Size is the memory of the connections' order, in bytes.
func (w *PeerWalk) Size() int { return w.order.size() }

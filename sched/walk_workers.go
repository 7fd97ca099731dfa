package sched

// WorkerCount is how many of a function's workers sleep, and how many have a job, of whichever function.
type WorkerCount struct{ Asleep, Busy int }

// WorkerWalk counts the workers of all functions. Functions have no counters of this kind: each would be
// written by every worker that goes to sleep, for each of its functions. Of walks see the package comment.
type WorkerWalk struct {
	effort
	sched  *Sched
	peers  mapSteps
	found  []*Peer // to be looked at
	whole  bool    // no more are found
	counts map[*function]WorkerCount
}

// WalkWorkers begins to count the workers of all functions.
func (s *Sched) WalkWorkers() *WorkerWalk {
	return &WorkerWalk{sched: s, counts: map[*function]WorkerCount{}}
}

// Next takes a step.
func (w *WorkerWalk) Next() (more bool) {
	w.effort = 0
	if len(w.found) == 0 && !w.whole {
		var found [walkPeers]*Peer
		n := w.sched.somePeers(&w.peers, func(i int, p *Peer) { found[i] = p })
		w.whole = n < len(found)
		w.found = append(w.found[:0], found[:n]...)
		w.effort = effort(n)
	}
	abilities := 0
	for len(w.found) > 0 && abilities < walkAbilities {
		p := w.found[len(w.found)-1]
		w.found = w.found[:len(w.found)-1]
		sleeps := p.state.Load() == sleeping
		j, unlock := w.sched.inHand(p)
		busy := j != nil
		if busy {
			unlock()
		}
		if !sleeps && !busy {
			continue
		}
		p.mu.Lock()
		abilities += len(p.abilities)
		for _, a := range p.abilities {
			n := w.counts[a.fn]
			if sleeps {
				n.Asleep++
			}
			if busy {
				n.Busy++
			}
			w.counts[a.fn] = n
		}
		p.mu.Unlock()
	}
	w.effort += effort(abilities / 8)
	return len(w.found) > 0 || !w.whole
}

// Counts returns what was counted, by function. Functions none of whose workers sleeps or has a job are
// missing.
func (w *WorkerWalk) Counts() map[string]WorkerCount {
	all := make(map[string]WorkerCount, len(w.counts))
	for fn, n := range w.counts {
		before := all[fn.name] // of one that was forgotten and is known again
		all[fn.name] = WorkerCount{before.Asleep + n.Asleep, before.Busy + n.Busy}
	}
	return all
}

// Size is what the counts take.
func (w *WorkerWalk) Size() int { return 48 * len(w.counts) }

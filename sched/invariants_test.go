package sched

import (
	"errors"
	"fmt"

	"gearloop/store"
)

// view is what is needed in addition to the structure itself to check it.
type view struct {
	// busy peers are inside a call, possibly a Disconnect that has already removed them from the scheduler's
	// list.
	busy map[*Peer]bool
	// deaf reports whether a sleeper registered a function only after its PRE_SLEEP, so that nobody owes it a
	// NOOP for that function. nil: none did.
	deaf func(p *Peer, function string) bool
	// store is the scheduler's store; nil: none.
	store *fakeStore
}

// faults collects what is wrong.
type faults []error

func (f *faults) addf(format string, a ...any) { *f = append(*f, fmt.Errorf(format, a...)) }

func (f *faults) unless(ok bool, format string, a ...any) {
	if !ok {
		f.addf(format, a...)
	}
}

// census is what was counted in the shards, to be compared with the peers.
type census struct {
	abilities map[*function]int
	listed    map[*ability]bool
	running   map[*job]bool
	drawn     int64
	steered   int
}

// checkInvariants goes through the whole structure and returns contradictions. No peer's goroutine may be
// running; peers that are stopped inside a call are busy.
func (s *Sched) checkInvariants(v view) error {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		defer s.shards[i].mu.Unlock()
	}
	var f faults
	c := census{map[*function]int{}, map[*ability]bool{}, map[*job]bool{}, 0, 0}
	for i := range s.shards {
		s.shards[i].check(&f, &c, v)
	}
	f.unless(int(s.steered.Load()) == c.steered, "%d functions have settings, counted %d", s.steered.Load(), c.steered)
	if b := s.budget; b.max > 0 {
		f.unless(b.used.Load() == c.drawn, "budget: %d used, shards have drawn %d", b.used.Load(), c.drawn)
		// Jobs that must not be lost are accepted even without memory.
		f.unless(b.used.Load() <= b.max || v.store != nil, "budget: %d used of %d", b.used.Load(), b.max)
	}

	if b := s.budget; b.max > 0 {
		n := int64(0)
		for i := range s.shards {
			for _, fn := range s.shards[i].functions {
				n += int64(fn.abilities) * costAbility
				if fn.paid == forWorkers {
					n += int64(costFunction + len(fn.name))
				}
			}
		}
		f.unless(b.workers.Load() == n, "budget: %d used by workers, they have %d", b.workers.Load(), n)
	}
	if v.store != nil {
		s.checkStore(v.store, &f)
	}

	peers := map[*Peer]bool{}
	for p := range s.peers {
		peers[p] = true
		f.unless(!p.Gone() || v.busy[p], "a peer that is gone is still listed")
	}
	for p := range v.busy {
		peers[p] = true
	}
	able, maybe, asleep := map[*function]int{}, map[*function]int{}, map[*function]int{}
	for p := range peers {
		for _, a := range p.abilities {
			f.unless(a.peer == p, "%s: ability of another peer", a.fn.name)
			if v.busy[p] {
				maybe[a.fn]++
			} else {
				able[a.fn]++
			}
		}
		p.check(&f, &c, v, asleep)
	}
	for a := range c.listed {
		f.addf("%s: a sleeper whose peer has no such ability", a.fn.name)
	}
	for fn, n := range c.abilities {
		f.unless(able[fn] <= n && n <= able[fn]+maybe[fn], "%s: abilities is %d, peers have %d to %d", fn.name, n, able[fn], able[fn]+maybe[fn])
		again := s.cfg.Wakeup > 0 || s.cfg.Wakeup < 0 && !s.dialect.AbilityHears
		if again && s.cfg.WakeupDelay >= 0 && fn.queued() > 0 && !fn.isPaused() && asleep[fn] > 0 {
			f.unless(fn.wakeArmed, "%s: %d queued, %d asleep, and no wake-up is on its way", fn.name, fn.queued(), asleep[fn])
		}
	}
	for j := range c.running {
		f.addf("job %d: runs, but its worker does not know", j.number)
	}
	return errors.Join(f...)
}

// check goes through a shard.
func (sh *shard) check(f *faults, c *census, v view) {
	memory := int64(0)
	queuedHere, runningHere, delayedHere, uniqueHere, abilitiesHere, listenersHere := 0, 0, 0, 0, 0, 0
	storingHere, safeHere, shelvedHere, shelvedJobs := 0, 0, 0, 0
	seen := map[*job]bool{} // in a queue
	for name, fn := range sh.functions {
		f.unless(fn.name == name && fn.shard == sh && sh.sched.shardOf([]byte(name)) == sh, "%q: in the wrong place", name)
		f.unless(fn.jobs > 0 || fn.abilities > 0 || fn.maxQueue != unbounded || fn.pinned || fn.steer != nil, "%s: is idle and was not dropped", name)
		memory += int64(costFunction+len(name)) + int64(fn.abilities)*costAbility
		c.abilities[fn] = fn.abilities
		abilitiesHere += fn.abilities
		n := 0
		for pr := range fn.queues {
			var last *job
			for j := fn.queues[pr].head; j != nil; last, j = j, j.next {
				n++
				f.unless(!seen[j], "job %d: is in two queues", j.number)
				f.unless(j.prev == last, "job %d: wrong link back", j.number)
				f.unless(j.state == queued && int(j.priority) == pr && j.fn == fn, "job %d: in the wrong queue", j.number)
				f.unless(sh.jobs.get(j.number) == j, "job %d: queued and unknown", j.number)
				if seen[j] {
					break
				}
				seen[j] = true
			}
			f.unless(fn.queues[pr].tail == last, "%s: wrong tail", name)
		}
		f.unless(fn.queued() == n, "%s: queued is %d, counted %d", name, fn.queued(), n)
		for pr := range fn.queues {
			bit := fn.ready.Load()>>pr&1 == 1
			f.unless(bit == (fn.waiting[pr] > 0 && !fn.isPaused()), "%s: ready is %b, waiting %v, paused: %v", name, fn.ready.Load(), fn.waiting, fn.isPaused())
		}
		for pr := range fn.shelf {
			n := 0
			for j := fn.shelf[pr].head; j != nil; j = j.next {
				n++
				f.unless(j.state == shelved && int(j.priority) == pr && j.fn == fn, "job %d: on the wrong shelf", j.number)
			}
			f.unless(int(fn.aside[pr]) == n, "%s: %d on a shelf, counted %d", name, fn.aside[pr], n)
			shelvedHere += n
		}
		_, listed := sh.shelves[fn]
		f.unless(listed == (fn.aside != [Priorities]int32{}), "%s: listed as one with shelves: %v, %v on them", name, listed, fn.aside)
		queuedHere += n
		fn.checkSleepers(f, c, v)
	}
	for fn := range sh.shelves {
		f.unless(sh.functions[fn.name] == fn, "%s: forgotten, with jobs on its shelves", fn.name)
	}
	steeredHere := 0
	for _, fn := range sh.functions {
		if fn.steer != nil {
			steeredHere++
			f.unless(fn.steer.paused != nil || fn.steer.closed != nil, "%s: nothing is set on it", fn.name)
		}
	}
	c.steered += steeredHere
	jobs, runs, later := map[*function]int{}, map[*function]int{}, map[*function]int{}
	for j := range sh.jobs.all() {
		number := j.number
		jobs[j.fn]++
		listenersHere += j.listeners()
		left, gone := 0, 0
		for _, p := range j.rest().listeners {
			if p.left.Load() {
				left++
			}
			if p.Gone() {
				gone++
			}
		}
		x := j.rest()
		f.unless(left <= x.gone && x.gone <= gone || j.state == abandoned, "job %d: %d listeners are counted out, %d to %d are gone", number, x.gone, left, gone)
		f.unless(j.number == number && sh.sched.shardOfJob(number) == sh, "job %d: in the wrong shard", number)
		f.unless(store.RunOf(number) != sh.sequence>>store.CountBits || (number-1)>>store.ShardBits < sh.sequence, "job %d: wrong number", number)
		f.unless(sh.functions[j.fn.name] == j.fn, "job %d: its function is not the one of that name", number)
		cost := costJob + len(j.unique) + len(j.rest().reducer) + j.argument().Footprint() + j.listeners()*costListener +
			len(j.rest().waiters)*costWaiter
		if j.unique != "" {
			cost += costUnique
		}
		memory += int64(cost)
		// A cancelled job stays while its worker has it.
		f.unless(j.background || j.listeners() > 0 || j.onWorker(), "job %d: nobody ever wanted it", number)
		if j.unique != "" {
			uniqueHere++
			f.unless(sh.uniques[uniqueKey{j.fn, j.unique}] == j, "job %d: not the one of its unique id", number)
		}
		f.unless((j.state == queued) == seen[j], "job %d: state is %v, in a queue: %v", number, j.state, seen[j])
		f.unless(j.state == queued || j.state == shelved || j.prev == nil && j.next == nil, "job %d: links of a queue it is not in", number)
		f.unless(j.where != onDisk || j.argument().Len() == 0 && (j.keeping == kept || j.onWorker()),
			"job %d: its argument is nowhere", number)
		switch j.state {
		case queued:
			if j.keeping == kept {
				safeHere++
			}
		case storing:
			storingHere++
			f.unless(j.worker != nil, "job %d: nobody waits for it to be stored", number)
		case delayed:
			delayedHere++
			later[j.fn]++
			ok := j.rest().heapIndex >= 0 && j.rest().heapIndex < len(sh.delayed) && sh.delayed[j.rest().heapIndex] == j
			f.unless(ok, "job %d: not in its place among the delayed", number)
		case running, abandoned:
			runningHere++
			runs[j.fn]++
			c.running[j] = true
		case shelved:
			shelvedJobs++
			f.unless(j.keeping != notKept, "job %d: on a shelf and not stored", number)
		case fresh, ended:
			f.addf("job %d: is known, and its state is %v", number, j.state)
		}
	}
	for _, fn := range sh.functions {
		f.unless(fn.jobs == jobs[fn], "%s: jobs is %d, counted %d", fn.name, fn.jobs, jobs[fn])
		counted := int(fn.later[high] + fn.later[normal] + fn.later[low])
		f.unless(counted == later[fn], "%s: later is %v, counted %d", fn.name, fn.later, later[fn])
		f.unless(fn.running == runs[fn], "%s: running is %d, counted %d", fn.name, fn.running, runs[fn])
	}
	sh.checkCounters(f)
	sh.checkSlabs(f)
	f.unless(sh.queued == queuedHere, "shard %d: queued is %d, counted %d", sh.index, sh.queued, queuedHere)
	f.unless(sh.storing == storingHere, "shard %d: storing is %d, counted %d", sh.index, sh.storing, storingHere)
	f.unless(sh.safe == safeHere, "shard %d: safe is %d, counted %d", sh.index, sh.safe, safeHere)
	f.unless(sh.shelved == shelvedHere && shelvedHere == shelvedJobs, "shard %d: shelved is %d, on shelves are %d, counted %d", sh.index, sh.shelved, shelvedHere, shelvedJobs)
	f.unless(sh.running == runningHere, "shard %d: running is %d, counted %d", sh.index, sh.running, runningHere)
	f.unless(len(sh.delayed) == delayedHere, "shard %d: %d in the heap, %d delayed", sh.index, len(sh.delayed), delayedHere)
	for i := range sh.delayed {
		f.unless(i == 0 || !sh.delayed.Less(i, (i-1)/2), "shard %d: heap out of order at %d", sh.index, i)
	}
	f.unless(sh.abilities == abilitiesHere, "shard %d: abilities is %d, counted %d", sh.index, sh.abilities, abilitiesHere)
	f.unless(sh.listeners == listenersHere, "shard %d: listeners is %d, counted %d", sh.index, sh.listeners, listenersHere)
	sh.checkUniques(f, uniqueHere)
	f.unless(sh.memory == memory, "shard %d: %d bytes charged, its parts have %d", sh.index, sh.memory, memory)
	if b := sh.sched.budget; b.max > 0 {
		f.unless(sh.credit >= 0 && sh.credit <= 2*b.lease, "shard %d: credit is %d, the lease %d", sh.index, sh.credit, b.lease)
		c.drawn += sh.credit + sh.memory
	}
}

// checkSlabs compares the slabs with their jobs.
func (sh *shard) checkSlabs(f *faults) {
	used := map[*slab]int{}
	var held [jobSizes]int
	for j := range sh.jobs.all() {
		if s := j.slab(); s != nil {
			if used[s]++; used[s] == 1 {
				held[s.size()]++
			}
		}
	}
	listed := map[*slab]bool{}
	for size, s := range sh.slabs {
		empty := 0
		for before := (*slab)(nil); s != nil; before, s = s, s.next {
			listed[s] = true
			used[s] += 0
			if used[s] == 0 {
				empty++
			}
			f.unless(s.size() == size && s.prev == before,
				"shard %d: a slab for jobs of size %d is out of place among those for %d", sh.index, s.size(), size)
			for at := s.spare; at != 0; {
				j := s.at(at)
				f.unless(j.fn == nil && j.offset == at,
					"shard %d: a spare job at %d has offset %d and function %v", sh.index, at, j.offset, j.fn)
				if at = 0; j.next != nil {
					at = j.next.offset
				}
			}
			f.unless(s.fresh == 0 || *s.at(s.fresh) == job{}, "shard %d: a fresh job was changed", sh.index)
		}
		f.unless(empty <= 1, "shard %d: %d slabs without jobs for size %d", sh.index, empty, size)
		f.unless(sh.slabsHeld[size] == held[size]+empty,
			"shard %d: %d slabs for size %d, counted %d", sh.index, held[size]+empty, size, sh.slabsHeld[size])
	}
	for s, n := range used {
		f.unless(int(s.used) == n, "shard %d: a slab counts %d jobs and has %d", sh.index, s.used, n)
		f.unless(listed[s] == !s.isFull(),
			"shard %d: a slab is listed: %v, is full: %v", sh.index, listed[s], s.isFull())
		f.unless(n > 0 || !s.lost, "shard %d: a slab is kept with lost jobs alone", sh.index)
	}
}

// checkCounters compares the cumulative counters with the jobs that have ended and that exist.
func (sh *shard) checkCounters(f *faults) {
	c := &Counters{}
	sh.addTo(c)
	there := uint64(0)
	onWorker := uint64(0)
	for j := range sh.jobs.all() {
		if j.state != abandoned {
			there++
		}
		if j.onWorker() {
			onWorker++
		}
	}
	over := uint64(0)
	for _, n := range c.Ended {
		over += n
	}
	f.unless(c.Foreground+c.Background+c.Adopted == c.Coalesced+over+there, "shard %d: %+v, and %d jobs are there", sh.index, *c, there)
	f.unless(c.HandedOut >= c.PutBack+onWorker, "shard %d: %+v, and %d jobs are handed out", sh.index, *c, onWorker)
	var ofOwn Counters
	for _, o := range sh.own {
		if o.counters != nil {
			ofOwn.Add(o.counters)
		}
	}
	f.unless(sh.owned == ofOwn, "shard %d: functions with numbers of their own count %+v, the shard %+v", sh.index, ofOwn, sh.owned)
	var ofFunctions Counters
	for _, fn := range sh.functions {
		if fn.counters != nil {
			ofFunctions.Add(fn.counters)
		}
	}
	for o, n := range ofFunctions.Ended {
		f.unless(n <= c.Ended[o], "shard %d: functions count %d of %v, the shard %d", sh.index, n, Outcome(o), c.Ended[o])
	}
}

// checkUniques compares the two maps of unique ids with each other.
func (sh *shard) checkUniques(f *faults, jobs int) {
	f.unless(len(sh.uniques) == jobs, "shard %d: %d unique ids, %d jobs with one", sh.index, len(sh.uniques), jobs)
	n := 0
	for key, head := range sh.sameUnique {
		f.unless(head != nil && head.rest().prevSame == nil, "unique %q: wrong head", key)
		for j := head; j != nil && n <= jobs; j = j.rest().nextSame {
			n++
			f.unless(j.unique == key && sh.jobs.get(j.number) == j, "unique %q: chain has job %d of %q", key, j.number, j.unique)
			f.unless(j.rest().nextSame == nil || j.rest().nextSame.rest().prevSame == j, "unique %q: wrong link back", key)
		}
	}
	f.unless(n == jobs, "shard %d: %d jobs in chains of unique ids, %d with one", sh.index, n, jobs)
}

// checkSleepers goes through a function's list.
func (fn *function) checkSleepers(f *faults, c *census, v view) {
	var last *ability
	for a := fn.sleepers.head; a != nil; last, a = a, a.next {
		f.unless(a.fn == fn && a.listed.Load() && a.prev == last, "%s: wrong entry among the sleepers", fn.name)
		if c.listed[a] {
			f.addf("%s: a sleeper stands twice", fn.name)
			break
		}
		c.listed[a] = true
	}
	f.unless(fn.sleepers.tail == last, "%s: wrong tail of the sleepers", fn.name)
	n, asleep := 0, 0
	for a := fn.sleepers.head; a != nil && n <= fn.sleepers.n; a = a.next {
		if n++; !v.busy[a.peer] && a.peer.state.Load() == sleeping {
			asleep++
		}
	}
	f.unless(n == fn.sleepers.n, "%s: %d entries among the sleepers, %d counted", fn.name, n, fn.sleepers.n)
	f.unless(fn.called >= 0, "%s: %d workers were called", fn.name, fn.called)
	if cfg := &fn.shard.sched.cfg; (cfg.Herd > 0 || cfg.Wakeup > 0 && cfg.WakeupDelay >= 0) && fn.isReady() && !fn.shard.returning {
		f.unless(asleep == 0 || fn.wakeArmed, "%s: jobs wait, %d workers sleep, and no timer will wake them", fn.name, asleep)
	}
}

// check checks a peer's own state, and removes from the census what it finds there.
func (p *Peer) check(f *faults, c *census, v view, asleep map[*function]int) {
	busy := v.busy[p]
	f.unless(p.byName == nil || len(p.byName) == len(p.abilities), "a peer has %d abilities, %d by name", len(p.abilities), len(p.byName))
	names := map[string]bool{}
	for _, a := range p.abilities {
		f.unless(!names[a.fn.name], "%s: declared twice by one peer", a.fn.name)
		names[a.fn.name] = true
		f.unless(p.byName == nil || p.byName[a.fn.name] == a, "%s: not found by name", a.fn.name)
		f.unless(a.listed.Load() == c.listed[a], "%s: listed is %v, in the list: %v", a.fn.name, a.listed.Load(), c.listed[a])
		delete(c.listed, a)
		f.unless(busy || a.fn.shard.functions[a.fn.name] == a.fn, "%s: an ability of a function that was dropped", a.fn.name)
		waits := p.push && len(p.doing)+len(p.late) > 0 // for its own result; then it is given a job or put to sleep
		if !busy && !waits && p.state.Load() == sleeping && (v.deaf == nil || !v.deaf(p, a.fn.name)) {
			asleep[a.fn]++
			f.unless(a.listed.Load(), "%s: a worker sleeps and is not among the sleepers", a.fn.name)
		}
	}
	excepted, limited := 0, 0
	for i, j := range p.doing {
		if j.excepted {
			excepted++
		}
		f.unless(j.onWorker() && j.worker == p && int(j.position) == i && c.running[j], "job %d: its worker wrongly believes to have it", j.number)
		delete(c.running, j)
		if x := j.rest(); !x.deadline.IsZero() {
			f.unless(x.limitIndex < len(p.limits) && p.limits[x.limitIndex] == j, "job %d: not in its place among the limits", j.number)
			limited++
		}
		if !busy && !j.rest().deadline.IsZero() {
			f.unless(!p.limitAt.IsZero() && !p.limitAt.After(j.rest().deadline), "job %d: no timer for its limit", j.number)
		}
	}
	f.unless(len(p.limits) == limited, "a peer has %d limits, counted %d", len(p.limits), limited)
	for i := range p.limits {
		f.unless(i == 0 || !p.limits.Less(i, (i-1)/2), "limits out of order at %d", i)
	}
	f.unless(p.excepted == excepted, "a peer has %d jobs with an exception, counted %d", p.excepted, excepted)
}

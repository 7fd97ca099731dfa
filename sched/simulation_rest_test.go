package sched

import (
	"maps"
	"slices"

	"gearloop/codec"
)

// noneLate checks that nothing was due before now.
func (m *sim) noneLate() {
	for _, j := range m.m.jobs {
		if at := j.deadline; j.state == running && !at.IsZero() && at.Before(m.now) {
			failf("%s runs on after its limit", j.handle)
		}
		if j.state == delayed && j.due.Before(m.now) {
			failf("%s was due at %v and was not queued", j.handle, j.due)
		}
	}
}

// explain checks the explanations of why jobs wait. Nobody holds a lock; busy peers are inside a call.
func (m *sim) explain(v view) {
	m.s.cfg.Step = nil // the others stand still
	defer func() { m.s.cfg.Step = m.step }()
	for _, j := range m.m.jobs {
		reasons, ok := m.s.ExplainJob(j.handle, m.now)
		if !ok || len(reasons) == 0 {
			failf("%s: is known: %v, and why it waits is not", j.handle, ok)
		}
		for i, r := range reasons {
			if i > 0 && reasons[i-1].Cause >= r.Cause {
				failf("%s: %v is told after %v", j.handle, r.Cause, reasons[i-1].Cause)
			}
			if !m.holds(v, j, r) {
				failf("%s (%s, %v): %v does not hold: %+v", j.handle, j.function, j.state, r.Cause, r)
			}
		}
		if j.state == queued && !m.m.isPaused(j.function) && reasons[len(reasons)-1].Cause == CauseBehind {
			failf("%s: what its workers do is not told", j.handle)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(m.m.all())) {
		reasons, ok := m.s.ExplainFunction(f, m.now)
		waits := slices.ContainsFunc(m.m.jobs, func(j *modelJob) bool {
			return j.function == f && (j.state == queued || j.state == delayed)
		})
		nothing := slices.ContainsFunc(reasons, func(r Reason) bool { return r.Cause == CauseNothing })
		if !ok || len(reasons) == 0 || waits == nothing {
			failf("%s: is known: %v, has jobs that wait: %v, and what is told is %+v", f, ok, waits, reasons)
		}
	}
}

// holds reports whether a reason holds for a job.
func (m *sim) holds(v view, j *modelJob, r Reason) bool {
	able, inCall, have, asleep := 0, 0, 0, 0
	for _, p := range m.m.peers {
		if p.ability(j.function) == nil {
			continue
		}
		switch state := p.real.state.Load(); {
		case v.busy[p.real]:
			inCall++
			continue
		case p.gone:
			continue
		case state == sleeping:
			asleep++
		case slices.ContainsFunc(m.m.jobs, func(o *modelJob) bool { return o.onWorker(p) }):
			have++
		}
		able++
	}
	within := func(n int) bool { return n <= r.Count && r.Count <= n+inCall }
	switch r.Cause {
	case CausePaused:
		return m.m.isPaused(j.function) && r.Until.Equal(m.m.paused[j.function])
	case CauseDelayed:
		return j.state == delayed && r.Until.Equal(j.due)
	case CauseBehind:
		return j.state == queued && r.Count == slices.Index(m.m.queue(j.function), j)
	case CauseNoWorkers:
		return j.state == queued && able == 0
	case CauseAllBusy:
		o := m.m.byHandle(string(m.s.AppendHandle(nil, r.Job)))
		return j.state == queued && have == able && within(have) && o != nil && o.worker.real == r.Peer && o.function == r.Function
	case CauseAsleep:
		return j.state == queued && within(asleep)
	case CauseWoken, CauseNotAsking:
		p := m.m.byPeer[r.Peer]
		return j.state == queued && r.Count <= able-have-asleep+inCall && (p.slumber == up || v.busy[r.Peer]) && p.ability(j.function) != nil
	case CauseUnwanted:
		return !j.wanted() && j.state != abandoned
	case CauseRunning:
		return (j.state == running || j.state == abandoned) && r.Peer == j.worker.real && r.Until.Equal(j.deadline) &&
			r.GivenUp == (j.state == abandoned)
	}
	return false // nothing else can be without a store
}

// all returns the functions that have jobs.
func (m *model) all() map[string]bool {
	functions := map[string]bool{}
	for _, j := range m.jobs {
		functions[j.function] = true
	}
	return functions
}

// atRest is called when nobody has anything to do: nothing may be left undone.
func (m *sim) atRest() {
	m.checkNow(1)
	cfg := &m.s.cfg
	for _, j := range m.m.jobs {
		switch {
		case j.state == queued && j.wanted() && !m.m.isPaused(j.function) && cfg.Wakeup != 0 && cfg.WakeupDelay >= 0:
			if all := m.m.asleep(j.function); len(all) > 0 {
				failf("%s of %s waits, and %s sleeps", j.handle, j.function, all[0].name)
			}
		case j.recalled:
			failf("%s was to be taken back, and its worker still has it", j.handle)
		case j.state == running && !j.deadline.IsZero(), j.state == delayed:
			failf("%s was to be ended or queued by a timer, and none is set", j.handle)
		case j.state == abandoned && j.waiting() > 0:
			failf("%s was cancelled, and those who listen were not told", j.handle)
		}
	}
	for i := range m.s.shards {
		for _, fn := range m.s.shards[i].functions {
			if fn.wakeArmed {
				failf("%s: more are to be woken, and no timer is set", fn.name)
			}
		}
	}
	for _, a := range m.actors {
		if a.peer == nil {
			continue
		}
		left := map[string]int{}
		for _, j := range m.m.jobs {
			for _, p := range j.listeners {
				if p == a.model {
					left[j.handle]++
				}
			}
		}
		for h, n := range a.open {
			if left[h] != n {
				failf("%s waits for %d ends of %s, there are %d to come", a.name, n, h, left[h])
			}
		}
	}
}

// drain does everything that is left; then nothing may exist.
func (m *sim) drain() {
	for _, a := range m.actors {
		if a.peer != nil {
			failf("%s is still there", a.name)
		}
	}
	a := &actor{sim: m, name: "last"}
	a.run = func() {
		for _, f := range slices.Sorted(maps.Keys(m.m.paused)) {
			a.resume(f)
		}
		for _, f := range slices.Sorted(maps.Keys(m.m.closed)) {
			a.calls(&call{kind: callSet}, func(fx *Effects) { m.s.OpenFunction(f, fx) })
			delete(m.m.closed, f)
		}
		for _, f := range slices.Sorted(maps.Keys(m.m.bound)) {
			a.calls(&call{kind: callBound}, func(*Effects) { m.s.SetMaxQueue(f, bounds(-1)) })
			delete(m.m.bound, f)
		}
		for len(m.m.jobs) > 0 {
			a.connect()
			a.send(codec.CanDo, m.m.jobs[0].function)
			if len(a.model.abilities) == 0 {
				failf("no memory is left, and no worker is let in to empty the queues")
			}
			for len(m.m.jobs) > 0 {
				a.send(codec.GrabJob)
				if len(a.jobs) == 0 {
					break
				}
				a.send(codec.WorkComplete, a.jobs[0], "")
				a.jobs = nil
			}
			a.vanish()
			if i := m.nextTimer(); i >= 0 && m.timers[i].At.After(m.now) {
				m.now = m.timers[i].At
				a.rest(nil)
			}
		}
	}
	m.start(a)
	m.play()
	if c := m.s.Count(); c != (Counts{}) {
		failf("not all is gone: %+v", c)
	}
	credit := int64(0)
	for i := range m.s.shards {
		sh := &m.s.shards[i]
		credit += sh.credit
		if n := sh.jobs.count + len(sh.uniques) + len(sh.sameUnique) + len(sh.functions); n > 0 {
			failf("shard %d is not empty", i)
		}
	}
	if used := m.s.budget.used.Load(); m.s.budget.max > 0 && used != credit || used > m.s.budget.max/4 {
		failf("nothing is left, and %d of the budget are in use", used)
	}
	m.checkNow(1)
}

package sched

import (
	"maps"
	"slices"

	"gearloop/codec"
)

// noneLate checks that nothing was to happen before now.
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

// atRest is called when nobody has anything to do: nothing may be left undone.
func (m *sim) atRest() {
	m.checkNow(1)
	cfg := &m.s.cfg
	for _, j := range m.m.jobs {
		switch {
		case j.state == queued && j.wanted() && cfg.Wakeup != 0 && cfg.WakeupDelay >= 0:
			if all := m.m.asleep(j.function); len(all) > 0 {
				failf("%s of %s waits, and %s sleeps", j.handle, j.function, all[0].name)
			}
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

// drain has everything done that is left, and then nothing may be left.
func (m *sim) drain() {
	for _, a := range m.actors {
		if a.peer != nil {
			failf("%s is still there", a.name)
		}
	}
	a := &actor{sim: m, name: "last"}
	a.run = func() {
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

package sched

import (
	"slices"

	"gearloop/codec"
)

// lines is the part of the model for calls that do not interleave: it predicts which workers a call wakes, in
// which order, and which job it hands out.
type lines struct {
	m     *model
	order map[string][]*modelPeer // the sleepers of a function, those to be woken first in front
	noops []*modelPeer            // due in the call under way
	sent  []*modelPeer            // sent in it
	job   *modelJob               // to be handed out
}

// predict computes what a call must do.
func (l *lines) predict(c *call) {
	l.noops, l.sent, l.job = nil, nil, nil
	m, p := l.m, c.by
	switch {
	case c.kind == callWake && m.isQueued(c.args[0]):
		l.wake(c.args[0])
	case c.kind == callTell, c.kind == callDisconnect && p.isRecalled(m), c.kind == callLimit:
		for _, a := range p.abilities {
			if a.dropping {
				l.order[a.function] = slices.DeleteFunc(l.order[a.function], func(o *modelPeer) bool { return o == p })
			}
		}
		for _, j := range m.jobs {
			if j.recalled && j.onWorker(p) && (c.kind != callLimit || !j.deadline.IsZero() && !j.deadline.After(c.now)) {
				l.wake(j.function)
			}
		}
	case c.kind == callRelease:
		due := slices.DeleteFunc(slices.Clone(m.jobs), func(j *modelJob) bool {
			return j.state != delayed || j.real.fn.shard != c.shard || j.due.After(c.now)
		})
		slices.SortStableFunc(due, func(a, b *modelJob) int { return a.due.Compare(b.due) })
		for _, j := range due {
			l.wake(j.function)
		}
	case c.kind == callDisconnect, c.kind == callPacket && (c.typ == codec.ResetAbilities || c.typ == codec.CantDo):
		for _, a := range p.abilities {
			if a.dropping {
				l.order[a.function] = slices.DeleteFunc(l.order[a.function], func(o *modelPeer) bool { return o == p })
			}
		}
	case c.submits() && c.job.bad == "":
		old := m.same(c.job.function, c.job.key)
		bound, bounded := m.bound[c.job.function]
		if old == nil && (!bounded || bound > 0) && c.job.due.IsZero() || old != nil && old.state != delayed {
			l.wake(c.job.function)
		}
	case c.pulls():
		l.job = l.next(p)
	case c.kind == callPacket && c.typ == codec.PreSleep:
		l.sleep(p)
	}
}

// wake wakes the first sleepers of a function, and forgets those before them that are awake.
func (l *lines) wake(function string) {
	limit := l.m.s.cfg.Wakeup
	for len(l.order[function]) > 0 {
		p := l.order[function][0]
		asleep := p.slumber == down && !slices.Contains(l.noops, p)
		if asleep && limit == 0 {
			return
		}
		l.order[function] = l.order[function][1:]
		if asleep {
			l.noops = append(l.noops, p)
			limit--
		}
	}
}

// sleep puts a worker into the lines of its functions, as far as none has a job.
func (l *lines) sleep(p *modelPeer) {
	worked := p.worked || slices.ContainsFunc(l.m.jobs, func(j *modelJob) bool {
		return j.excepted && j.state == running && j.worker == p // it ends before
	})
	for _, a := range p.abilities {
		if l.m.isQueued(a.function) {
			l.noops = append(l.noops, p)
			return
		}
		line := l.order[a.function]
		switch {
		case worked:
			line = slices.DeleteFunc(line, func(o *modelPeer) bool { return o == p })
			line = slices.Insert(line, 0, p)
		case !slices.Contains(line, p):
			line = append(line, p)
		}
		l.order[a.function] = line
	}
}

// next returns the job that a worker's GRAB_JOB must get.
func (l *lines) next(p *modelPeer) *modelJob {
	n := len(p.abilities)
	for i := range n {
		for _, j := range l.m.queue(p.abilities[(p.turn+1+i)%n].function) {
			if j.wanted() {
				return j
			}
		}
	}
	return nil
}

// woke notes a NOOP.
func (l *lines) woke(p *modelPeer) { l.sent = append(l.sent, p) }

// compare compares the prediction with what happened.
func (l *lines) compare(c *call) {
	if c.pushes(l.m) {
		// A job or a sleep, which the other rules see to.
		if c.by.real.state.Load() == sleeping {
			l.sleep(c.by)
		}
		return
	}
	if !slices.Equal(l.noops, l.sent) {
		failf("woken were %s, should be %s", names(l.sent), names(l.noops))
	}
	if c.assigned != l.job {
		failf("the wrong job, or none, was handed out")
	}
}

func names(peers []*modelPeer) (all []string) {
	for _, p := range peers {
		all = append(all, p.name)
	}
	return all
}

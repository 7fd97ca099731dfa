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

	// Of more sleepers than Config.Herd.
	caller  map[*modelPeer]*function // who woke a worker that has not come yet
	called  map[*function]int        // how many such there are
	surplus map[*function]int        // how many more the next timer wakes
	last    map[*modelPeer]*function // of its last job
	sleeps  map[*modelPeer]bool      // said PRE_SLEEP
	drowsy  map[*modelPeer]bool      // is expected to sleep, not to come for a job
	more    map[string]int           // jobs that the call under way has put into a queue
	past    bool                     // the call has been made: who was sent a NOOP slept before
}

func newLines(m *model) *lines {
	return &lines{
		m: m, order: map[string][]*modelPeer{}, caller: map[*modelPeer]*function{}, called: map[*function]int{}, surplus: map[*function]int{},
		last: map[*modelPeer]*function{}, sleeps: map[*modelPeer]bool{}, drowsy: map[*modelPeer]bool{},
	}
}

// real returns the function of a name; nil: there is none.
func (l *lines) real(function string) *function {
	return l.m.s.shardOf([]byte(function)).functions[function]
}

// predict computes what a call must do.
func (l *lines) predict(c *call) {
	l.noops, l.sent, l.job, l.more = nil, nil, nil, map[string]int{}
	m, p := l.m, c.by
	switch {
	case c.kind == callWake:
		if fn := l.real(c.args[0]); fn == c.fn {
			l.tick(fn)
		}
	case c.kind == callTell, c.kind == callDisconnect && p.isRecalled(m), c.kind == callLimit:
		for _, j := range m.jobs {
			if j.recalled && j.onWorker(p) && (c.kind != callLimit || !j.deadline.IsZero() && !j.deadline.After(c.now)) {
				l.more[j.function]++
				l.wake(j.function)
			}
		}
		l.drop(p)
	case c.kind == callRelease:
		due := slices.DeleteFunc(slices.Clone(m.jobs), func(j *modelJob) bool {
			return j.state != delayed || j.real.fn.shard != c.shard || j.due.After(c.now)
		})
		slices.SortStableFunc(due, func(a, b *modelJob) int { return a.due.Compare(b.due) })
		for _, j := range due {
			l.more[j.function]++
			l.wake(j.function)
		}
	case c.kind == callDisconnect, c.kind == callPacket && (c.typ == codec.ResetAbilities || c.typ == codec.CantDo):
		l.drop(p)
	case c.submits() && c.job.bad == "":
		old := m.same(c.job.function, c.job.key)
		bound, bounded := m.bound[c.job.function]
		if old == nil && (!bounded || bound > 0) && c.job.due.IsZero() || old != nil && old.state != delayed {
			if n := len(m.queue(c.job.function)); old == nil && (!bounded || n < bound) {
				l.more[c.job.function]++
			} else if old == nil {
				l.more[c.job.function] = bound - n // others had to go
			}
			l.wake(c.job.function)
		}
	case c.pulls():
		var passed []string
		l.job, passed = l.next(p)
		for _, f := range passed {
			l.more[f] = -len(m.queue(f)) // nobody wanted them
		}
		l.comes(p, l.job)
		switch fn := l.last[p]; {
		case l.job != nil:
			l.last[p] = l.real(l.job.function)
			delete(l.surplus, l.last[p])
		case fn != nil && l.isHerd(fn.name) && l.sleeps[p] && l.worked(p) && p.slumber == up:
			l.expect(p, fn)
			l.drowsy[p] = true
		}
	case c.kind == callPush && !p.gone && !c.pushes(m):
		l.comes(p, nil) // it has a job in hand
	case c.kind == callPacket && c.typ == codec.PreSleep:
		if !l.drowsy[p] {
			l.comes(p, nil)
		}
		l.sleep(p)
	}
}

// drop removes a worker from the lines of the functions that it gives up, and has others called in its place.
func (l *lines) drop(p *modelPeer) {
	for _, a := range p.abilities {
		if !a.dropping {
			continue
		}
		l.order[a.function] = slices.DeleteFunc(l.order[a.function], func(o *modelPeer) bool { return o == p })
		if fn := l.last[p]; fn != nil && fn.name == a.function {
			delete(l.last, p)
		}
		if fn := l.caller[p]; fn != nil && fn.name == a.function {
			l.comes(p, nil)
		}
	}
}

// queued returns how many jobs of a function wait at this point of the call.
func (l *lines) queued(function string) int { return len(l.m.queue(function)) + l.more[function] }

func (l *lines) isHerd(function string) bool {
	herd := l.m.s.cfg.Herd
	return herd > 0 && len(l.order[function]) > herd
}

// expect counts a worker as on its way to a function.
func (l *lines) expect(p *modelPeer, fn *function) {
	l.caller[p] = fn
	l.called[fn]++
}

// came counts a worker that has come.
func (l *lines) came(p *modelPeer) {
	fn := l.caller[p]
	delete(l.caller, p)
	delete(l.drowsy, p)
	l.called[fn] = max(0, l.called[fn]-1)
}

// comes notes that a worker has come, to take a job or nil.
func (l *lines) comes(p *modelPeer, takes *modelJob) {
	fn := l.caller[p]
	if fn == nil {
		return
	}
	l.came(p)
	if takes != nil && takes.function == fn.name || l.queued(fn.name) <= 0 {
		return
	}
	if l.isHerd(fn.name) || l.queued(fn.name) > l.called[fn] {
		l.wake(fn.name)
	}
}

// tick gives up those who were called and have not come, and wakes others.
func (l *lines) tick(fn *function) {
	surplus := l.surplus[fn]
	l.called[fn], l.surplus[fn] = 0, max(1, 2*surplus)
	switch {
	case !l.m.isQueued(fn.name):
	case l.isHerd(fn.name):
		l.call(fn, surplus)
	default:
		l.wake(fn.name)
	}
}

// wake wakes sleepers of a function: as many as are woken for each job or, of a herd, as are needed.
func (l *lines) wake(function string) {
	if l.isHerd(function) {
		l.call(l.real(function), 0)
		return
	}
	limit := l.m.s.cfg.Wakeup
	for len(l.order[function]) > 0 {
		p := l.order[function][0]
		if l.asleep(p) && limit == 0 {
			return
		}
		l.order[function] = l.order[function][1:]
		if l.asleep(p) {
			l.noops = append(l.noops, p)
			limit--
		}
	}
}

// asleep reports whether a worker in a line still sleeps.
func (l *lines) asleep(p *modelPeer) bool {
	down := p.slumber == down || l.past && slices.Contains(l.sent, p)
	return down && !p.gone && !slices.Contains(l.noops, p)
}

// call wakes as many as there are jobs for which nobody was called, and surplus more.
func (l *lines) call(fn *function, surplus int) {
	for n := l.queued(fn.name) + surplus - l.called[fn]; n > 0 && len(l.order[fn.name]) > 0; {
		p := l.order[fn.name][0]
		l.order[fn.name] = l.order[fn.name][1:]
		if l.asleep(p) {
			l.noops = append(l.noops, p)
			l.expect(p, fn)
			n--
		}
	}
}

// worked reports whether a job of the worker has ended since it slept, or ends before it does.
func (l *lines) worked(p *modelPeer) bool {
	return p.worked || slices.ContainsFunc(l.m.jobs, func(j *modelJob) bool {
		return j.excepted && j.state == running && j.worker == p // it ends before
	})
}

// sleep puts a worker into the lines of its functions, as far as none has a job.
func (l *lines) sleep(p *modelPeer) {
	worked := l.worked(p)
	l.sleeps[p] = true
	for _, a := range p.abilities {
		fn := l.caller[p]
		awaited := l.drowsy[p] && fn.name == a.function
		if awaited {
			l.came(p)
		}
		if l.m.isQueued(a.function) {
			l.noops = append(l.noops, p)
			if awaited {
				l.expect(p, fn)
			}
			break
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
	if l.drowsy[p] {
		l.comes(p, nil)
	}
}

// next returns the job that a worker's GRAB_JOB must get, and the functions of which nobody wants the jobs
// that are in front of it.
func (l *lines) next(p *modelPeer) (next *modelJob, unwanted []string) {
	n := len(p.abilities)
	for i := range n {
		f := p.abilities[(p.turn+1+i)%n].function
		for _, j := range l.m.queue(f) {
			if j.wanted() {
				return j, unwanted
			}
		}
		unwanted = append(unwanted, f)
	}
	return nil, unwanted
}

// woke notes a NOOP.
func (l *lines) woke(p *modelPeer) { l.sent = append(l.sent, p) }

// compare compares the prediction with what happened.
func (l *lines) compare(c *call) {
	if c.pushes(l.m) {
		// A job or a sleep, which the other rules see to.
		l.more, l.past = map[string]int{}, true
		defer func() { l.past = false }()
		if c.assigned != nil {
			l.last[c.by] = l.real(c.assigned.function)
			delete(l.surplus, l.last[c.by])
		}
		if c.assigned != nil || !l.drowsy[c.by] {
			l.comes(c.by, c.assigned)
		}
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

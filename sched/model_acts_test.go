package sched

import (
	"errors"

	"gearloop/internal/dialect"
)

// The part of the model for what operators do with jobs.

// acts reports whether the call may apply an act to a job. Cancel gives a running job up.
func (c *call) acts(j *modelJob, act Act) bool {
	switch c.kind {
	case callCancel:
		return c.args[0] == j.handle && (act == CancelJob || act == GiveUpJob)
	case callAct:
		return c.args[0] == j.handle && act == c.act
	case callBulk:
		return c.args[0] == j.function && act == c.act
	}
	return false
}

// priorityOf returns the priority that an act gives a job, Priorities for none.
func priorityOf(act Act) priority {
	if act < ToHigh {
		return priority(Priorities)
	}
	return priority(act - ToHigh)
}

// has reports whether the peer has the job of a handle.
func (p *modelPeer) has(m *model, handle string) bool {
	j := m.byHandle(handle)
	return j != nil && j.onWorker(p)
}

// isRecalled reports whether a job of the peer is to be taken back.
func (p *modelPeer) isRecalled(m *model) bool {
	for _, j := range m.jobs {
		if j.recalled && j.onWorker(p) {
			return true
		}
	}
	return false
}

// expect checks the result of Do for a job in the model, or nil for one that is not, before its effects are
// checked.
func (m *model) expect(c *call, j *modelJob, changed bool, err error) {
	var want error
	wantChanged := true
	switch {
	case j == nil:
		want = ErrNoJob
	case j.state == abandoned && c.act == GiveUpJob:
		wantChanged = false
	case j.state == abandoned:
		want = ErrGivenUp
	case !actStates[c.act].has(j.state):
		want = ErrJobState
	case c.act == TakeBackJob && j.arg != "" && m.s.policy.timedOut == dialect.LostFails && !m.s.cfg.KeepArguments:
		want = ErrNoArgument
	case c.act == TakeBackJob:
		wantChanged = !j.recalled
	case c.act == MoveToFront:
		wantChanged = false
		for _, o := range m.queue(j.function) {
			wantChanged = wantChanged || o != j && o.priority == j.priority && m.before(o, j)
		}
	case c.act >= ToHigh:
		wantChanged = j.priority != priorityOf(c.act)
	}
	if wantChanged = wantChanged && want == nil; changed != wantChanged || !errors.Is(err, want) {
		failf("%v: changed %v, %v; should be %v, %v", c.act, changed, err, wantChanged, want)
	}
	if changed {
		c.acted = j
	}
}

// acted records what a call has done to jobs without changing their state.
func (m *model) acted(c *call) {
	if j := c.acted; j != nil {
		c.acted = nil
		switch c.act {
		case TakeBackJob:
			j.recalled, j.cancelled = true, m.moment
		case MoveToFront:
			j.enqueue(m, true)
		}
	}
	for _, j := range m.jobs {
		if j.real.isRecalled() != j.recalled {
			failf("%s is to be taken back: %v, should be: %v", j.handle, j.real.isRecalled(), j.recalled)
		}
		to := j.real.priority
		if to == j.priority {
			continue
		}
		if !c.acts(j, ToHigh+Act(to)) {
			failf("%s has priority %d, nobody gave it that", j.handle, to)
		}
		if j.priority = to; j.state == queued {
			j.enqueue(m, false)
		}
	}
}

// bulk begins a walk through the jobs of a function.
func (m *model) bulk(c *call) {
	for _, j := range m.jobs {
		if j.function == c.args[0] && actStates[c.act].has(j.state) && j.priority != priorityOf(c.act) {
			c.meant = append(c.meant, j)
		}
	}
}

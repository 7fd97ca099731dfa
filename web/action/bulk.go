package action

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"gearloop/api"
	"gearloop/sched"
	"gearloop/web/guard"
)

// acts are the actions on jobs by their names in the API, but for priority.
var acts = map[string]sched.Act{
	"cancel": sched.CancelJob, "give_up": sched.GiveUpJob, "take_back": sched.TakeBackJob, "front": sched.MoveToFront,
}

// actOf returns what an operation does with each job.
func actOf(action, priority string) (sched.Act, error) {
	if action == "priority" {
		return ToPriority(priority)
	}
	act, ok := acts[action]
	switch {
	case !ok:
		return 0, guard.NewProblem(http.StatusBadRequest,
			fmt.Sprintf("action is %q: it must be cancel, give_up, take_back, front or priority", action))
	case priority != "":
		return 0, guard.NewProblem(http.StatusBadRequest, "priority is for the action priority only; to choose jobs by theirs set it in filter")
	}
	return act, nil
}

// Bulk is an action on all jobs that a filter matches, frozen in time: jobs submitted after AsOf are not touched. Nothing
// happens but in Step; who does not call it any more has stopped it. It may be used by one goroutine at a time.
type Bulk struct {
	actions *Actions
	walk    *sched.BulkWalk
	op      api.Operation
	asOf    time.Time
}

// NewBulk checks an operation: Action with Priority, Filter, AsOf (absent: now) and DryRun count; what the server fills
// in does not. Jobs in a state that the action is not for do not match: cancel is for jobs that no worker has, give_up
// and take_back are for running ones, front is for waiting ones, priority for those that no worker has. With DryRun the
// jobs are counted and nothing is done. Errors are *api.Problem; whether the count was confirmed is for the caller to
// check.
func (a *Actions) NewBulk(op *api.Operation) (*Bulk, error) {
	act, err := actOf(op.Action, op.Priority)
	if err != nil {
		return nil, err
	}
	b := &Bulk{actions: a, op: *op, asOf: a.asOf()}
	if op.AsOf != nil {
		b.asOf = *op.AsOf
	}
	meant, err := a.cfg.Source.Meant(&op.Filter, b.asOf)
	if err != nil {
		return nil, guard.NewProblem(http.StatusBadRequest, err.Error())
	}
	b.walk = a.walk(act, meant, op.DryRun)
	return b, nil
}

// asOf is the present, as the times of jobs tell it.
func (a *Actions) asOf() time.Time { return a.cfg.Source.Sched().TimeOfJobs(a.cfg.Now()) }

// walk begins a walk that has done nothing yet.
func (a *Actions) walk(act sched.Act, meant sched.Meant, count bool) *sched.BulkWalk {
	if count {
		return a.cfg.Source.Sched().CountJobs(act, meant)
	}
	return a.cfg.Source.Sched().Bulk(act, meant)
}

// bulkTime is how long a Step goes on.
const bulkTime = 2 * time.Millisecond

// Step looks at some jobs, for some milliseconds, and acts on those that match; more: there are further ones. Event loops
// are served meanwhile, and the caller should let others have their turn between steps (runtime.Gosched).
func (b *Bulk) Step() (more bool) {
	began := time.Now()
	for more = true; more && time.Since(began) < bulkTime; {
		b.actions.cfg.Source.Reactor().Act(func(now time.Time, fx *sched.Effects) { more = b.walk.Next(now, fx) })
	}
	return more
}

// AsOf is the moment in which the operation is frozen.
func (b *Bulk) AsOf() time.Time { return b.asOf }

// Counts returns how many jobs matched until now, how many of these were changed, and how many were looked at.
func (b *Bulk) Counts() (matched, changed, looked int) {
	return b.walk.Matched(), b.walk.Changed(), b.walk.Looked()
}

// Note writes what the operation has done into the audit log, once it is over or stopped. err is why it was refused, nil
// if it was not; it is returned.
func (b *Bulk) Note(who guard.Who, err error) error {
	return b.actions.noteCount(who, "bulk "+b.op.Action, b.target(), b.op.Reason, b.walk.Changed(), err)
}

// target names the jobs that are meant.
func (b *Bulk) target() string {
	return cmp.Or(api.Join(b.op.Filter.Function, b.op.Filter.FunctionBase64), "*")
}

// Purge ends the jobs of a function that wait, those that were submitted until now: those who listen to them hear
// WORK_FAIL, and they leave the store. Jobs that are delayed or run stay. With in.DryRun they are counted. It goes on in
// steps until all are done or ctx is; n is how many it has ended or counted until then.
func (a *Actions) Purge(ctx context.Context, who guard.Who, function string, in *api.Purge) (n int, asOf time.Time, err error) {
	asOf = a.asOf()
	if in.AsOf != nil {
		asOf = *in.AsOf
	}
	b := &Bulk{actions: a, walk: a.walk(sched.CancelJob, sched.Meant{
		AsOf: asOf, Function: function,
		Quick: func(_ string, _ int, state string) bool { return sched.MoveToFront.For(state) }, // it waits
	}, in.DryRun)}
	for b.Step() {
		if ctx.Err() != nil {
			err = guard.NewProblem(http.StatusServiceUnavailable, "stopped before all was done: whoever asked for it has gone")
			break
		}
		runtime.Gosched() // the loops come first
	}
	matched, changed, _ := b.Counts()
	if in.DryRun {
		return matched, asOf, err
	}
	return changed, asOf, a.noteCount(who, "purge", function, in.Reason, changed, err)
}

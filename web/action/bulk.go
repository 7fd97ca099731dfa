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

// acts are the actions on jobs by their names in the API, without priority.
var acts = map[string]sched.Act{
	"cancel": sched.CancelJob, "give_up": sched.GiveUpJob, "take_back": sched.TakeBackJob, "front": sched.MoveToFront,
}

// actOf returns the act that an operation applies to each job.
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

// bulk is an action on all jobs that match a filter and were submitted before AsOf. Only Step does anything;
// to stop it, stop calling Step. One goroutine may use it at a time.
type bulk struct {
	actions *Actions
	walk    *sched.BulkWalk
	op      api.Operation
	asOf    time.Time
}

// newBulk validates an operation: Action with Priority, Filter, AsOf (absent: now) and DryRun count; fields
// that the server fills in do not. Only jobs in a suitable state match: cancel is for jobs that no worker
// has, give_up and take_back are for running ones, front is for waiting ones, priority for those that no
// worker has. With DryRun jobs are only counted. Errors are *api.Problem. The caller checks whether the count
// was confirmed.
func (a *Actions) newBulk(op *api.Operation) (*bulk, error) {
	act, err := actOf(op.Action, op.Priority)
	if err != nil {
		return nil, err
	}
	b := &bulk{actions: a, op: *op, asOf: a.asOf()}
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

// asOf is now on the clock of jobs' times.
func (a *Actions) asOf() time.Time { return a.cfg.Source.Sched().TimeOfJobs(a.cfg.Now()) }

// walk returns a walk that has not begun.
func (a *Actions) walk(act sched.Act, meant sched.Meant, count bool) *sched.BulkWalk {
	if count {
		return a.cfg.Source.Sched().CountJobs(act, meant)
	}
	return a.cfg.Source.Sched().Bulk(act, meant)
}

// bulkTime is how long one Step takes.
const bulkTime = 2 * time.Millisecond

// Step examines some jobs, for some milliseconds, and acts on matching ones; more says that there are further
// ones. Event loops are served meanwhile. The caller should yield between steps (runtime.Gosched).
func (b *bulk) Step() (more bool) {
	began := time.Now()
	for more = true; more && time.Since(began) < bulkTime; {
		b.actions.cfg.Source.Reactor().Act(func(now time.Time, fx *sched.Effects) { more = b.walk.Next(now, fx) })
	}
	return more
}

// AsOf is the time at which the operation is frozen.
func (b *bulk) AsOf() time.Time { return b.asOf }

// Counts returns how many jobs matched, changed, and were examined so far.
func (b *bulk) Counts() (matched, changed, looked int) {
	return b.walk.Matched(), b.walk.Changed(), b.walk.Looked()
}

// Note writes the operation to the audit log when it is over or stopped. err is why it was refused, or nil;
// it is returned.
func (b *bulk) Note(who guard.Who, err error) error {
	return b.actions.noteCount(who, "bulk "+b.op.Action, b.target(), b.op.Reason, b.walk.Changed(), err)
}

// target describes the selected jobs.
func (b *bulk) target() string {
	return cmp.Or(api.Join(b.op.Filter.Function, b.op.Filter.FunctionBase64), "*")
}

// Purge ends the waiting jobs of a function that were submitted until now: their listeners get WORK_FAIL, and
// they leave the store. Delayed and running jobs remain. With in.DryRun they are only counted. It works in
// steps until all are done or ctx ends; n is how many it has ended or counted.
func (a *Actions) Purge(ctx context.Context, who guard.Who, function string, in *api.Purge) (n int, asOf time.Time, err error) {
	asOf = a.asOf()
	if in.AsOf != nil {
		asOf = *in.AsOf
	}
	b := &bulk{actions: a, walk: a.walk(sched.CancelJob, sched.Meant{
		AsOf: asOf, Function: function,
		Quick: func(_ string, _ int, state string) bool { return sched.MoveToFront.For(state) }, // it waits
	}, in.DryRun)}
	for b.Step() {
		if ctx.Err() != nil {
			err = guard.NewProblem(http.StatusServiceUnavailable, "stopped before all was done: whoever asked for it has gone")
			break
		}
		runtime.Gosched() // yield to the event loops
	}
	matched, changed, _ := b.Counts()
	if in.DryRun {
		return matched, asOf, err
	}
	return changed, asOf, a.noteCount(who, "purge", function, in.Reason, changed, err)
}

package action

import (
	"cmp"
	"fmt"
	"net/http"
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
		return toPriority(priority)
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

// toPriority returns what gives a job a priority.
func toPriority(name string) (sched.Act, error) {
	act, ok := map[string]sched.Act{"high": sched.ToHigh, "normal": sched.ToNormal, "low": sched.ToLow}[name]
	if !ok {
		return 0, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("priority is %q: it must be high, normal or low", name))
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
	b := &Bulk{actions: a, op: *op, asOf: a.cfg.Now()}
	if op.AsOf != nil {
		b.asOf = *op.AsOf
	}
	meant, err := a.cfg.Source.Meant(&op.Filter, b.asOf)
	if err != nil {
		return nil, guard.NewProblem(http.StatusBadRequest, err.Error())
	}
	if op.DryRun {
		b.walk = a.cfg.Source.Sched().CountJobs(act, meant)
	} else {
		b.walk = a.cfg.Source.Sched().Bulk(act, meant)
	}
	return b, nil
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

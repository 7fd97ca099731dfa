package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gearloop/internal/monitor"
	"gearloop/internal/view"
	"gearloop/sched"
	"gearloop/web/guard"
)

// deeds describe the acts on jobs: their names, results and conditions.
var deeds = map[sched.Act]struct{ name, done, already, only string }{
	sched.CancelJob: {"cancel", "The job has ended.", "", "jobs that no worker has can be cancelled; a running one can be given up"},
	sched.GiveUpJob: {"give up", "The job has failed. Its worker goes on, and its result is dropped.",
		"The job was given up already. Its worker goes on, and its result is dropped.", "only running jobs can be given up"},
	sched.TakeBackJob: {"take back", "The job is queued again, in front. The worker that had it goes on, so it may be done twice.",
		"The job is being taken back already.", "only running jobs can be taken back"},
	sched.MoveToFront: {"front", "The job is in front of all others of its priority.", "The job was in front already.",
		"only waiting jobs can be put in front"},
	sched.ToHigh:   {"priority high", "The job has priority high.", "The job had priority high already.", onlyWithoutWorker},
	sched.ToNormal: {"priority normal", "The job has priority normal.", "The job had priority normal already.", onlyWithoutWorker},
	sched.ToLow:    {"priority low", "The job has priority low.", "The job had priority low already.", onlyWithoutWorker},
}

const onlyWithoutWorker = "the priority of a job can be changed while no worker has it"

// Act applies an act to a job. said describes the result in one sentence; changed is false if the job was
// already as wanted.
func (a *Actions) Act(ctx context.Context, who guard.Who, act sched.Act, handle, reason string) (said string, changed bool, err error) {
	a.cfg.Source.Reactor().Act(func(now time.Time, fx *sched.Effects) {
		changed, err = a.cfg.Source.Sched().Do(act, handle, now, fx)
	})
	deed := deeds[act]
	switch {
	case errors.Is(err, sched.ErrNoJob) && act == sched.CancelJob:
		var said string
		said, err = a.cancelElsewhere(ctx, handle)
		return said, err == nil, a.note(who, deed.name, handle, reason, err)
	case errors.Is(err, sched.ErrNoJob):
		err = noJob(handle)
	case errors.Is(err, sched.ErrJobState):
		j, _ := a.cfg.Source.Job(handle)
		err = guard.NewProblem(http.StatusConflict, fmt.Sprintf("the job is %s: %s", j.State, deed.only))
	case errors.Is(err, sched.ErrGivenUp):
		err = guard.NewProblem(http.StatusConflict, "the job was given up: it has failed for its clients, and its worker's result is dropped")
	case errors.Is(err, sched.ErrNoArgument):
		err = guard.NewProblem(http.StatusConflict, "the argument of the job is gone: the worker alone has it")
	}
	if err = a.note(who, deed.name, handle, reason, err); err != nil {
		return "", false, err
	}
	if act == sched.TakeBackJob {
		a.awaitTakenBack(ctx, handle)
	}
	if !changed {
		return deed.already, false, nil
	}
	return deed.done, true, nil
}

// cancelElsewhere ends a job of another broker that shares the store.
func (a *Actions) cancelElsewhere(ctx context.Context, handle string) (said string, err error) {
	type answer struct {
		known bool
		err   error
	}
	came := make(chan answer, 1)
	if !a.cfg.Source.Sched().CancelElsewhere(handle, func(known bool, err error) { came <- answer{known, err} }) {
		return "", noJob(handle)
	}
	ctx, cancel := context.WithTimeout(ctx, submitTime)
	defer cancel()
	got := answer{err: ctx.Err()}
	select {
	case got = <-came:
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	switch {
	case got.err != nil:
		return "", guard.NewProblem(http.StatusServiceUnavailable,
			fmt.Sprintf("the broker that has the job %q does not answer: the job may go on; try again later", monitor.Printable(handle)))
	case !got.known:
		return "", noJob(handle)
	}
	return "The job has ended at its broker. If a worker has it, that one goes on, and its result is dropped.", nil
}

// awaitTakenBack waits, at most a second, until the loop of the job's worker has released the job, so that
// the next look at the job shows it waiting.
func (a *Actions) awaitTakenBack(ctx context.Context, handle string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for wait := time.Millisecond; a.cfg.Source.Sched().IsRecalled(handle) && ctx.Err() == nil; wait *= 2 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// noJob is the problem for a handle without a job.
func noJob(handle string) error {
	return guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no job %q: it has ended, or never was", monitor.Printable(handle)))
}

// ToPriority returns the act for a priority: high, normal or low. The error is an *api.Problem.
func ToPriority(name string) (sched.Act, error) {
	for p, known := range view.Priorities {
		if name == known {
			return sched.ToHigh + sched.Act(p), nil
		}
	}
	return 0, guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("priority is %q: it must be high, normal or low", name))
}

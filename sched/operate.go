package sched

import (
	"errors"
	"time"

	"gearloop/store"
)

// Act is what an operator does to a job (Sched.Do, BulkWalk).
type Act uint8

// The acts. Each applies to jobs in some states only.
const (
	// CancelJob ends a job that no worker has: its listeners get WORK_FAIL, and it leaves the store.
	CancelJob Act = iota
	// GiveUpJob ends a job that a worker has, as Cancel does: its listeners get WORK_FAIL, and no other worker
	// gets it. Its worker continues, and its results are dropped.
	GiveUpJob
	// TakeBackJob queues a job that a worker has again, in front of all others of its priority, and wakes
	// workers for it. The worker continues, so the job may be done twice; its results are dropped from then on.
	// This happens on the worker's goroutine, shortly after the call: if the worker finishes first, the job has
	// ended.
	TakeBackJob
	// MoveToFront moves a waiting job in front of all others of its function and priority.
	MoveToFront
	// ToHigh, ToNormal and ToLow change the priority of a job that no worker has. A waiting job goes to the end
	// of its new queue. A job that already has the priority does not move.
	ToHigh
	ToNormal
	ToLow
	acts = iota
)

var actNames = [acts]string{"cancel", "give_up", "take_back", "front", "high", "normal", "low"}

// String returns the act in lower case with underscores.
func (a Act) String() string { return actNames[a] }

// actStates are the states of jobs to which each act applies. None applies to an abandoned job.
var actStates = [acts]stateSet{
	CancelJob:   notOnWorker,
	GiveUpJob:   setOf(running),
	TakeBackJob: setOf(running),
	MoveToFront: setOf(queued, shelved),
	ToHigh:      notOnWorker,
	ToNormal:    notOnWorker,
	ToLow:       notOnWorker,
}

var notOnWorker = setOf(storing, delayed, queued, shelved)

// For reports whether the act applies to jobs in a state, named as in JobInfo.
func (a Act) For(of string) bool {
	for s, name := range stateNames {
		if name == of {
			return actStates[a].has(state(s))
		}
	}
	return false
}

// Errors of Do.
var (
	ErrNoJob      = errors.New("there is no such job")
	ErrJobState   = errors.New("the job is not in a state for that")
	ErrGivenUp    = errors.New("the job was given up, and its worker has not ended it yet")
	ErrNoArgument = errors.New("the argument is not kept while a worker has the job")
)

// Do applies an act to the job with that handle. changed is false if the job was already as wanted. The error
// is nil, ErrNoJob, ErrJobState, ErrGivenUp or, for TakeBackJob, ErrNoArgument: no other worker could do the
// job (Config.KeepArguments).
func (s *Sched) Do(act Act, handle string, now time.Time, fx *Effects) (changed bool, err error) {
	j, sh := s.lockJob(handle)
	if j == nil {
		return false, ErrNoJob
	}
	defer sh.mu.Unlock()
	return sh.do(act, j, nil, now, fx)
}

// do applies an act to a job. MoveToFront moves it behind another job of the same queue, or to the very front
// if that is nil. The shard is locked.
func (sh *shard) do(act Act, j, behind *job, now time.Time, fx *Effects) (changed bool, err error) {
	switch {
	case j.state == abandoned && act == GiveUpJob:
		return false, nil
	case j.state == abandoned:
		return false, ErrGivenUp
	case !actStates[act].has(j.state):
		return false, ErrJobState
	}
	switch act {
	case CancelJob:
		sh.fail(j, Cancelled, now, fx)
	case GiveUpJob:
		sh.abandon(j, Cancelled, now, fx)
	case TakeBackJob:
		if j.where == spent || j.isBare() {
			return false, ErrNoArgument
		}
		if j.isRecalled() {
			return false, nil
		}
		j.marks |= recalled
		j.worker.recalls(j, now, fx)
	case MoveToFront:
		return j.fn.toFront(j, behind), nil
	default:
		return sh.prioritize(j, priority(act-ToHigh)), nil
	}
	return true, nil
}

// requeueRecalled queues a job that its worker has again, on the worker's goroutine. The shard is locked.
func (sh *shard) requeueRecalled(j *job, now time.Time, fx *Effects) {
	p, number, delivered := j.worker, j.number, !j.isUndelivered()
	sh.putBack(j, now, fx)
	if delivered { // otherwise the worker does not know the job
		p.jobsDone++
		p.owes(number)
	}
}

// prioritize changes the priority of a job that no worker has. It returns false if the job has that priority
// already. The shard is locked.
func (sh *shard) prioritize(j *job, to priority) bool {
	fn, from := j.fn, j.priority
	if from == to {
		return false
	}
	j.priority = to
	if j.keeping != notKept {
		sh.sched.store.Update(j.ref, j.retries, store.Priority(to))
	}
	switch j.state {
	case delayed:
		fn.later[from]--
		fn.later[to]++
	case shelved:
		fn.shelf[from].remove(j)
		fn.shelf[to].pushBack(j)
		fn.aside[from]--
		fn.aside[to]++
	case queued:
		fn.queues[from].remove(j)
		fn.queues[to].pushBack(j)
		fn.waiting[from]--
		fn.waiting[to]++
		fn.setReady() // at once: a worker that looks without the lock must not miss it in both queues
	}
	return true
}

// IsRecalled reports whether a job is about to be taken from its worker.
func (s *Sched) IsRecalled(handle string) bool {
	j, sh := s.lockJob(handle)
	if j == nil {
		return false
	}
	defer sh.mu.Unlock()
	return j.isRecalled()
}

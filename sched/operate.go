package sched

import (
	"errors"
	"time"
)

// Act is what an operator has done with a job (Sched.Do, BulkWalk).
type Act uint8

// The acts. Each is for jobs in some states only.
const (
	// CancelJob ends a job that no worker has: those who listen hear WORK_FAIL, and it leaves the store.
	CancelJob Act = iota
	// GiveUpJob ends a job that a worker has, as Cancel does: those who listen hear WORK_FAIL, and no other worker gets
	// it. Its worker goes on, and what it says of the job is dropped.
	GiveUpJob
	// TakeBackJob queues a job that a worker has once more, in front of all others of its priority, and wakes workers
	// for it. The worker goes on, so the job may be done twice; what it says of the job from then on is dropped. The
	// job is taken from its worker on that worker's goroutine, a moment after the call: if the worker is done with it
	// before, the job has ended.
	TakeBackJob
	// MoveToFront puts a job that waits in front of all others of its function and priority.
	MoveToFront
	// ToHigh, ToNormal and ToLow give a job that no worker has another priority. One that waits goes behind those of
	// that priority. One that has it already stays where it is.
	ToHigh
	ToNormal
	ToLow
	acts = iota
)

var actNames = [acts]string{"cancel", "give_up", "take_back", "front", "high", "normal", "low"}

// String returns the act in lower case with underscores.
func (a Act) String() string { return actNames[a] }

// actStates are the states of jobs with which each can be done. With an abandoned job nothing can be done any more.
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

// For reports whether the act is for jobs in a state, as JobInfo names it.
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
	ErrNoArgument = errors.New("the argument is not kept while a worker has the job")
)

// Do does something with the job of a handle. changed is false when it was so already. The error is nil, ErrNoJob,
// ErrJobState or, from TakeBackJob, ErrNoArgument: nobody else could do the job (Config.KeepArguments).
func (s *Sched) Do(act Act, handle string, now time.Time, fx *Effects) (changed bool, err error) {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return false, ErrNoJob
	}
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(number)
	if j == nil {
		return false, ErrNoJob
	}
	return sh.do(act, j, nil, now, fx)
}

// do does something with a job. MoveToFront puts it behind another job that is in the same queue, nil for in front of
// all. The shard is locked.
func (sh *shard) do(act Act, j, behind *job, now time.Time, fx *Effects) (changed bool, err error) {
	if !actStates[act].has(j.state) {
		return false, ErrJobState
	}
	switch act {
	case CancelJob:
		sh.fail(j, Cancelled, now, fx)
	case GiveUpJob:
		sh.abandon(j, Cancelled, now, fx)
	case TakeBackJob:
		if j.spent || j.isBare() {
			return false, ErrNoArgument
		}
		if j.recalled {
			return false, nil
		}
		j.recalled = true
		j.worker.recalls(j, now, fx)
	case MoveToFront:
		return j.fn.toFront(j, behind), nil
	default:
		return sh.prioritize(j, priority(act-ToHigh)), nil
	}
	return true, nil
}

// requeueRecalled queues a job again that its worker has, on the worker's goroutine. The shard is locked.
func (sh *shard) requeueRecalled(j *job, now time.Time, fx *Effects) {
	p, number, delivered := j.worker, j.number, !j.isUndelivered()
	sh.putBack(j, now, fx)
	if delivered { // else the worker has never heard of it
		p.jobsDone++
		p.owes(number)
	}
}

// prioritize gives a job that no worker has another priority. false: it has it. The shard is locked.
func (sh *shard) prioritize(j *job, to priority) bool {
	fn, from := j.fn, j.priority
	if from == to {
		return false
	}
	j.priority = to
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
		fn.setReady() // at once: a worker that looks without the lock must not see it in neither queue
	}
	return true
}

// IsRecalled reports whether a job is about to be taken from its worker.
func (s *Sched) IsRecalled(handle string) bool {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(number)
	return j != nil && j.recalled
}

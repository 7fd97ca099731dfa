package sched

import "time"

// SetMaxQueue bounds the jobs of a function: those that are queued, or, where the dialect refuses
// what is too much, all there are. Each bound is for submissions of one priority, <0 is none. It
// applies from the next submission on. false: there is no memory left to keep it.
func (s *Sched) SetMaxQueue(function string, bounds [Priorities]int32) bool {
	for p, b := range bounds {
		bounds[p] = max(b, -1)
	}
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.function([]byte(function))
	if fn == nil && (bounds == unbounded || s.dialect.KeepFunctions) {
		return true // where functions stay, one that is not known gets no bound
	}
	if fn == nil {
		fn = sh.needFunction([]byte(function), forWorkers)
	}
	if fn == nil {
		return false
	}
	fn.maxQueue = bounds
	fn.dropIfIdle()
	return true
}

// CreateFunction makes a function known although nobody needs it yet. false: there is no memory left
// for it, or too many stay that nobody needs.
func (s *Sched) CreateFunction(function string) bool {
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.needFunction([]byte(function), forWorkers)
	if fn == nil {
		return false
	}
	pinned := fn.pin()
	fn.dropIfIdle()
	return pinned
}

// DropFunction forgets a function and the jobs of it that wait; those who listen to them hear
// WORK_FAIL. known: there was such a function; inUse: it stays, because a worker can do it or a job
// of it is running. With Effects.Again nothing is known yet.
func (s *Sched) DropFunction(function string, now time.Time, fx *Effects) (known, inUse bool) {
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.function([]byte(function))
	switch {
	case fn == nil:
		return fx.State != nil, false // with its last job
	case fn.abilities > 0 || fn.running > 0:
		return true, true
	}
	pages, _ := fx.State.(*mapSteps)
	if pages == nil {
		pages = &mapSteps{}
	}
	for limit := fx.Work + callJobs - pageJobs; pages.next(sh.jobs.pages); {
		for _, j := range pages.iter.Value().Interface().(*jobPage).jobs {
			if j != nil && j.fn == fn {
				fx.Work++
				sh.fail(j, FunctionDropped, now, fx)
			}
		}
		if fx.Work++; fx.Work >= limit {
			fx.Again, fx.State = true, pages
			return true, false
		}
	}
	switch {
	case sh.functions[fn.name] != fn || fn.jobs > 0: // jobs were submitted meanwhile
	case fn.steer != nil: // what operators have set stays
		fn.maxQueue = unbounded
	default:
		fn.drop()
	}
	return true, false
}

// FunctionOf returns the function of the job of a handle; false: there is no such job.
func (s *Sched) FunctionOf(handle string) (function string, ok bool) {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return "", false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(number)
	if j == nil {
		return "", false
	}
	return j.fn.name, true
}

// Cancel takes back the job of a handle: those who listen hear WORK_FAIL. A job that waits is gone;
// one that runs goes on, but nobody is told of it any more, and no other worker gets it. false:
// there is no such job.
func (s *Sched) Cancel(handle string, now time.Time, fx *Effects) bool {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(number)
	if j == nil {
		return false
	}
	switch j.state {
	case running:
		sh.abandon(j, Cancelled, now, fx)
	case abandoned: // it was cancelled before
	default:
		sh.fail(j, Cancelled, now, fx)
	}
	return true
}

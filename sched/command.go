package sched

import "time"

// SetMaxQueue bounds the jobs of a function: the queued ones, or all of them where the dialect refuses new
// jobs at the bound. Each bound applies to submissions of one priority, from the next one on; <0 means no
// bound. It returns false if there is no memory for the bound.
func (s *Sched) SetMaxQueue(function string, bounds [Priorities]int32) bool {
	for p, b := range bounds {
		bounds[p] = max(b, -1)
	}
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.function([]byte(function))
	if fn == nil && (bounds == unbounded || s.dialect.KeepFunctions) {
		return true // where functions persist, an unknown one gets no bound
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

// CreateFunction makes a function known before anybody uses it. It returns false if there is no memory for
// it, or if too many unused functions exist.
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

// DropFunction removes a function and its waiting jobs; their listeners get WORK_FAIL. known: the function
// existed. inUse: it remains, because a worker is registered for it or one of its jobs is running. With
// Effects.Again neither is known yet.
func (s *Sched) DropFunction(function string, now time.Time, fx *Effects) (known, inUse bool) {
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.function([]byte(function))
	switch {
	case fn == nil:
		return fx.State != nil, false // removed with its last job
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
	case sh.functions[fn.name] != fn || fn.jobs > 0: // jobs were submitted in between
	case fn.steer != nil: // operators' settings remain
		fn.maxQueue = unbounded
	default:
		fn.drop()
	}
	return true, false
}

// FunctionOf returns the function of a job; false if there is no such job.
func (s *Sched) FunctionOf(handle string) (function string, ok bool) {
	j, sh := s.lockJob(handle)
	if j == nil {
		return "", false
	}
	defer sh.mu.Unlock()
	return j.fn.name, true
}

// Cancel ends a job; its listeners get WORK_FAIL. A waiting job is removed. A running one goes on, but its
// results are dropped and no other worker gets it. It returns false if there is no such job.
func (s *Sched) Cancel(handle string, now time.Time, fx *Effects) bool {
	j, sh := s.lockJob(handle)
	if j == nil {
		return false
	}
	defer sh.mu.Unlock()
	switch j.state {
	case running:
		sh.abandon(j, Cancelled, now, fx)
	case abandoned: // already cancelled
	default:
		sh.fail(j, Cancelled, now, fx)
	}
	return true
}

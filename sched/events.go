package sched

import (
	"maps"
	"slices"
	"strings"
	"time"

	"gearloop/internal/payload"
	"gearloop/store"
)

// Events that a store reports by itself (store.Events). The store's goroutine makes these calls one at a
// time, and Settle after them. Whoever carries out Effects forwards them with the present time.

// Keep makes the scheduler store background jobs. It is called once, before the scheduler is used and before
// the store is started. No jobs are accepted for the store until it has Opened a run.
func (s *Sched) Keep(engine store.Store) {
	s.store = engine
	s.Opened(0)
}

// Opened sets the run whose numbers new jobs get.
func (s *Sched) Opened(run uint64) {
	s.eachShard(func(sh *shard) {
		sh.sequence = run << store.CountBits
		sh.renewAt = sh.sequence + store.RenewAt
	})
}

// renew asks for a new run when few numbers of the current one are left. It returns false if none are. The
// shard is locked.
func (sh *shard) renew() bool {
	last := sh.sequence | store.MaxCount
	if sh.sequence == last {
		return false
	}
	sh.renewAt = last
	sh.sched.store.NewRun()
	return true
}

// Lease allows stored jobs to be handed out until that moment. Afterwards they are shelved as workers come
// across them. The next Lease queues them again, in their order, before all later jobs.
func (s *Sched) Lease(until, now time.Time, fx *Effects) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		if sh.shelved > 0 && now.Before(until) {
			sh.unshelve(now, fx)
		}
		sh.lease = until
		sh.mu.Unlock()
		s.step()
	}
}

// shelve puts a job on its shelf. Only move calls shelve and unshelve.
func (fn *function) shelve(j *job) {
	if fn.aside == [Priorities]int32{} {
		fn.shard.shelves[fn] = struct{}{}
	}
	fn.shelf[j.priority].pushBack(j)
	fn.aside[j.priority]++
	fn.shard.shelved++
}

// unshelve removes a job from its shelf.
func (fn *function) unshelve(j *job) {
	fn.shelf[j.priority].remove(j)
	fn.aside[j.priority]--
	if fn.aside == [Priorities]int32{} {
		delete(fn.shard.shelves, fn)
	}
	fn.shard.shelved--
}

// unshelve queues the jobs on all shelves of a shard again. The shard is locked, except between turns;
// meanwhile no worker gets a stored job, which preserves their order.
func (sh *shard) unshelve(now time.Time, fx *Effects) {
	functions := slices.Collect(maps.Keys(sh.shelves))
	sh.returning = true
	for _, fn := range functions {
		for p := range fn.shelf {
			for turn := 1; fn.shelf[p].tail != nil && !sh.sched.ending.Load(); turn++ {
				sh.move(fn.shelf[p].tail, queued)
				if turn%shelveTurn == 0 {
					sh.mu.Unlock()
					sh.step()
					sh.lock()
				}
			}
		}
	}
	sh.returning = false
	for _, fn := range functions {
		fn.wakeSleepers(now, fx)
	}
}

// Adopt accepts jobs that were stored earlier, by this broker or another. It accepts them even if memory is
// exhausted, and reports whether there is room for more.
func (s *Sched) Adopt(jobs []store.Job, now time.Time, fx *Effects) (room bool) {
	for i := range jobs {
		s.adopt(&jobs[i], now, fx)
		s.step()
	}
	return s.budget.hasRoom()
}

// adopt accepts a stored job. The job keeps its handle, unless the number belongs to another shard than its
// function.
func (s *Sched) adopt(k *store.Job, now time.Time, fx *Effects) {
	sh := s.shardOf([]byte(k.Function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.functions[k.Function]
	if fn == nil {
		sh.force(costFunction + len(k.Function))
		fn = sh.addFunction(k.Function, forJobs)
	}
	if there := sh.jobs.get(k.Number); there != nil && there.fn == fn && there.keeping == notKept {
		// It was disowned, continued here, and has come back.
		if there.state == abandoned { // cancelled in between
			s.store.Done(k.Ref)
			return
		}
		there.ref, there.background = k.Ref, true
		sh.keep(there, kept)
		return
	}
	at := s.moment(now)
	j := adopted(k)
	j.fn, j.created, j.since, j.number, j.unique = fn, at, at, k.Number, k.Unique
	j.priority, j.retries, j.background, j.ref = min(priority(k.Priority), low), k.Retries, true, k.Ref
	sh.keep(j, kept)
	if strings.HasPrefix(k.Unique, dash) {
		j.marks = dashed
	}
	if !store.Valid(j.number) || s.shardOfJob(j.number) != sh || sh.jobs.get(j.number) != nil {
		j.number = sh.nextNumber()
	}
	if other := sh.unique(fn, j.unique); other != nil {
		// Either the older job had ended before the other was submitted and the store did not learn of it in time,
		// or two brokers accepted a job each. New submissions join the newer one.
		if other.number < j.number {
			sh.stripUnique(other)
		} else {
			j.unique = ""
		}
	}
	if k.Reducer != "" {
		j.more().reducer = k.Reducer
	}
	sh.force(j.cost())
	sh.admit(j)
	fn.counted().Adopted++
	sh.sums(fn).Adopted++
	if k.Due == 0 {
		sh.ready(j, now, fx)
		return
	}
	j.more().due = store.DueTime(k.Due)
	sh.move(j, delayed) // even if it is due: due jobs have an order of their own
	if sh.delayed[0] == j {
		sh.armDelay(fx)
	}
}

// adopted returns a new job with the argument of a stored one.
func adopted(k *store.Job) *job {
	switch {
	case k.Argument == nil && k.Size > 0:
		return &job{where: onDisk, extra: &extra{size: k.Size}}
	case len(k.Argument) == 1:
		return newJob(payload.Borrow(k.Argument[0]))
	}
	whole := payload.Gather(k.Argument)
	defer whole.Release() // the job has a reference of its own
	return newJob(whole)
}

// Disowned gives up all stored jobs, because another broker owns them now. Running jobs, and those with
// listeners, continue as jobs that are not stored. Answers that the store gave before are handled first.
func (s *Sched) Disowned(now time.Time, fx *Effects) {
	s.Settle(now, fx)
	walk := s.WalkJobs()
	for more := true; more; {
		more = walk.step(func(j *job) {
			if j.keeping == kept {
				j.fn.shard.disown(j, now, fx)
			}
		})
	}
}

// disown gives up a stored job without informing the store. The shard is locked.
func (sh *shard) disown(j *job, now time.Time, fx *Effects) {
	sh.keep(j, notKept)
	j.ref, j.background = 0, false
	switch {
	case j.onWorker():
		// The worker continues. If it is lost, the other broker has the job.
	case !j.wanted() || j.where == onDisk: // the argument of the latter cannot be read any more
		sh.fail(j, Disowned, now, fx)
	case j.state == shelved:
		sh.ready(j, now, fx)
	}
}

// isBare reports whether the job's argument is in a store that no longer has the job.
func (j *job) isBare() bool { return j.where == onDisk && j.keeping == notKept }

package sched

import (
	"strings"
	"time"

	"gearloop/internal/payload"
	"gearloop/store"
)

// What a store tells of its own accord (store.Events). The goroutine of the store makes these calls, one at a
// time, and Settle after them; whoever carries out Effects passes them on with the present time.

// Keep has background jobs kept by a store from now on. It is called once, before the scheduler is used and
// before the store is started. Until the store has Opened a run it takes no jobs.
func (s *Sched) Keep(engine store.Store) {
	s.store = engine
	s.Opened(0)
}

// Opened gives new jobs numbers of this run from now on.
func (s *Sched) Opened(run uint64) {
	s.eachShard(func(sh *shard) {
		sh.sequence = run << store.CountBits
		sh.renewAt = sh.sequence + store.RenewAt
	})
}

// renew asks for a new run, because the numbers of this one come to an end; false when they have. The shard
// is locked.
func (sh *shard) renew() bool {
	last := sh.sequence | store.MaxCount
	if sh.sequence == last {
		return false
	}
	sh.renewAt = last
	sh.sched.store.NewRun()
	return true
}

// Lease lets stored jobs be handed out until that moment. When it has passed they are put aside as workers
// come across them; the next Lease queues them again, in their order, before all that came meanwhile.
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

// shelve puts a job on its shelf. Only move calls it, and unshelve.
func (fn *function) shelve(j *job) {
	fn.shelf[j.priority].pushBack(j)
	fn.aside[j.priority]++
	fn.shard.shelved++
}

// unshelve takes a job off its shelf.
func (fn *function) unshelve(j *job) {
	fn.shelf[j.priority].remove(j)
	fn.aside[j.priority]--
	fn.shard.shelved--
}

// unshelve queues the jobs on all shelves of a shard again. The shard is locked, but for moments
// between turns; meanwhile no worker gets a stored job, so that their order is kept.
func (sh *shard) unshelve(now time.Time, fx *Effects) {
	var functions []*function
	for _, fn := range sh.functions {
		if fn.aside != [Priorities]int32{} {
			functions = append(functions, fn)
		}
	}
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

// Adopt takes in jobs that were stored earlier, by this broker or another. It reports whether there is memory
// for more: these are taken in any case.
func (s *Sched) Adopt(jobs []store.Job, now time.Time, fx *Effects) (room bool) {
	for i := range jobs {
		s.adopt(&jobs[i], now, fx)
		s.step()
	}
	return s.budget.hasRoom()
}

// adopt takes in a stored job: it has the handle that it had, unless that can't be one of its function.
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
		// It was disowned, went on here, and has come back.
		if there.state == abandoned { // it was cancelled meanwhile
			s.store.Done(k.Ref)
			return
		}
		there.ref, there.background = k.Ref, true
		sh.keep(there, kept)
		return
	}
	at := s.moment(now)
	j := &job{
		fn: fn, created: at, since: at, number: k.Number, unique: k.Unique, priority: min(priority(k.Priority), low), retries: k.Retries,
		background: true, ref: k.Ref, keeping: kept, dash: strings.HasPrefix(k.Unique, dash),
	}
	if !store.Valid(j.number) || s.shardOfJob(j.number) != sh || sh.jobs.get(j.number) != nil {
		j.number = sh.nextNumber()
	}
	if other := sh.unique(fn, j.unique); other != nil {
		// Either the older one had ended before the other was submitted, and the store was not told in time;
		// or two brokers took in a job each. New submissions join the newer.
		if other.number < j.number {
			sh.stripUnique(other)
		} else {
			j.unique = ""
		}
	}
	if k.Reducer != "" {
		j.more().reducer = k.Reducer
	}
	switch {
	case k.Argument == nil && k.Size > 0:
		j.more().size = k.Size
		j.onDisk = true
	case len(k.Argument) == 1:
		j.argument = payload.Borrow(k.Argument[0]).Keep()
	default:
		j.argument = payload.Gather(k.Argument)
	}
	sh.force(j.cost())
	sh.admit(j)
	fn.counted().Adopted++
	sh.counters.Adopted++
	if k.Due == 0 {
		sh.ready(j, now, fx)
		return
	}
	j.more().due = store.DueTime(k.Due)
	sh.move(j, delayed) // though it may be due: those that are have an order of their own
	if sh.delayed[0] == j {
		sh.armDelay(fx)
	}
}

// Disowned lets go of all stored jobs: they are another broker's now. Those that run, and those that clients
// listen to, go on as jobs that are not stored. What the store said of single jobs before counts first.
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

// disown lets go of a stored job without telling the store. The shard is locked.
func (sh *shard) disown(j *job, now time.Time, fx *Effects) {
	sh.keep(j, notKept)
	j.ref, j.background = 0, false
	switch {
	case j.onWorker():
		// The worker goes on. If it is lost, the other broker has the job.
	case !j.wanted() || j.onDisk: // the argument of the latter can't be read any more
		sh.fail(j, Disowned, now, fx)
	case j.state == shelved:
		sh.ready(j, now, fx)
	}
}

// isBare reports whether the job's argument was in a store that does not have the job any more.
func (j *job) isBare() bool { return j.onDisk && j.keeping == notKept }

// foreignStatus is what the store said of a job that another broker has, to be told to a peer.
type foreignStatus struct {
	waiter
	handle string
	store.Status
}

// isForeign reports whether the number of a job that is not here may be another broker's. The shard is
// locked.
func (sh *shard) isForeign(number uint64) bool {
	run := store.RunOf(number)
	return sh.sched.durable() && run != 0 && run != sh.sequence>>store.CountBits && store.Valid(number)
}

// lookup has the store asked for a job that is not here, for GET_STATUS; false: nobody else can have it.
func (s *Sched) lookup(p *Peer, handle []byte, number uint64, fx *Effects) bool {
	w, text := waiter{p, p.nextTicket()}, string(handle)
	asked := s.store.Lookup(number, func(st store.Status) {
		s.received.statuses = append(s.received.statuses, foreignStatus{w, text, st})
	})
	if asked {
		fx.reserve(p, w.ticket)
	}
	return asked
}

// answerStatuses answers GET_STATUS for jobs of other brokers.
func (s *Sched) answerStatuses(fx *Effects) {
	for i := range s.received.statuses {
		f := &s.received.statuses[i]
		st := s.status(nil)
		if f.Known {
			st.known = "1"
		}
		if f.Running {
			st.running = "1"
		}
		if f.Numerator != "" || f.Denominator != "" {
			st.numerator, st.denominator = f.Numerator, f.Denominator
		}
		fx.sendStatus(f.peer, f.handle, st)
		fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
		*f = foreignStatus{}
	}
	s.received.statuses = s.received.statuses[:0]
}

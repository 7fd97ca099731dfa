package sched

import (
	"errors"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/store"
)

// Background jobs are kept by a store, if there is one (Keep), from before JOB_CREATED until their end is
// known. A new one is in state storing until the store has written it. Only then is its submitter answered,
// under a ticket, so that answers keep the order of the requests (see Packet). A foreground job that a
// background submission joins goes on while it is stored. events.go handles what the store reports of its own
// accord.
//
//	submission ──▶ Append ··· Hurry ··· Stored ──▶ Settle or SettleSome: JOB_CREATED, into the queue
//	end of the job ──▶ Done

// waiter is a background submitter that is answered when the job is stored.
type waiter struct {
	peer   *Peer
	ticket uint32
}

// receiptOf makes a job the store.Receipt of its own Append.
type receiptOf job

// receipt is the store's answer for a job.
type receipt struct {
	job *job
	err error
}

// Stored implements store.Receipt.
func (o *receiptOf) Stored(_ store.Ref, err error) {
	j := (*job)(o)
	r := &j.fn.shard.sched.received
	r.receipts = append(r.receipts, receipt{j, err})
}

// StoredAll implements store.BulkReceipts.
func (s *Sched) StoredAll(receipts []store.Receipt) {
	r := &s.received
	for _, o := range receipts {
		r.receipts = append(r.receipts, receipt{job: (*job)(o.(*receiptOf))})
	}
}

// Hurry has the store write the jobs that it was given (Effects.Hurry).
func (s *Sched) Hurry() { s.store.Hurry() }

// Shelve stops handing out stored jobs. It is called when a graceful shutdown begins: the server waits only
// for jobs that would be lost, and workers should do these.
func (s *Sched) Shelve() {
	if !s.durable() {
		return
	}
	s.ending.Store(true)
	walk := s.WalkJobs()
	for more := true; more; {
		more = walk.step(func(j *job) {
			if j.state == queued && j.keeping == kept {
				j.fn.shard.move(j, shelved)
			}
		})
	}
}

// Freeze makes stored jobs stay as they are when their worker's connection ends. It is called when the server
// ends, before it closes connections.
func (s *Sched) Freeze() { s.frozen.Store(true) }

// durable reports whether background jobs are stored.
func (s *Sched) durable() bool { return s.store != nil }

// keepFor answers a background submission of p that joins a job: at once if the job is stored, otherwise when
// it is. A refusal changes nothing. The shard is locked.
func (sh *shard) keepFor(j *job, p *Peer, sub *submission, now time.Time, fx *Effects) Refusal {
	switch {
	case j.keeping != notKept && !now.Before(sh.lease):
		// Another broker may have taken the job over, and have done it: one that is being stored, too, when the store's
		// answer comes late.
		return StoreFails
	case j.keeping == kept:
		fx.sendHandle(p, codec.JobCreated, j)
		return admitted
	}
	switch {
	case len(j.rest().waiters) >= MaxWaiters:
		return TooMany
	case !sh.charge(costWaiter):
		return NoMemory
	}
	first := j.keeping == notKept
	if first && !sh.appendFor(j, sub, fx) {
		j.refund(costWaiter)
		return StoreFails
	}
	x := j.more()
	x.waiters = append(x.waiters, waiter{p, p.issue(fx)})
	if first {
		x.early = len(x.waiters)
	}
	return admitted
}

// appendFor appends a job that exists already to the store. It returns false if that is impossible.
func (sh *shard) appendFor(j *job, sub *submission, fx *Effects) bool {
	if !j.onWorker() || j.argument().Len() > 0 || sub.argument.Len() == 0 {
		return sh.append(j, fx)
	}
	// The job's own argument is empty, or was freed when the job was handed out. The submission is stored,
	// including its reducer.
	old, where, reducer := j.argument(), j.where, j.rest().reducer
	size := sub.argument.Footprint() + len(sub.reducer)
	if !sh.charge(size) {
		return false
	}
	x := j.more()
	x.argument, j.where = sub.argument.Keep(), inExtra
	j.setReducer(string(sub.reducer))
	if !sh.append(j, fx) {
		x.argument.Release()
		x.argument, j.where = payload.View{}, where
		j.setReducer(reducer)
		sh.refund(size)
		return false
	}
	sh.refund(old.Footprint() + len(reducer))
	old.Release()
	if where == inView {
		*j.view() = payload.View{}
	}
	return true
}

// append hands a job to the store; false if the store accepts none. The shard is locked.
func (sh *shard) append(j *job, fx *Effects) bool {
	ref, err := sh.sched.store.Append(sh.describe(j), (*receiptOf)(j))
	if err != nil {
		return false
	}
	fx.Hurry = true
	j.ref = ref
	if !j.where.inMemory() {
		j.where = inRoom // the store has it with an empty argument
	}
	if x := j.extra; x != nil {
		x.early = len(x.waiters)
	}
	sh.keep(j, beingKept)
	if argument := j.argument(); argument.Len() >= store.LargeArgument {
		j.more().writing = argument.Retain()
		sh.record.Argument = nil // the store still reads it
	}
	return true
}

// describe returns a job as the store expects it, valid until the next call. The shard is locked.
func (sh *shard) describe(j *job) *store.Job {
	x, r := j.rest(), &sh.record
	// Most jobs are of the function of the one before, and each field that is set costs something during a garbage
	// collection.
	if r.Function != j.fn.name {
		r.Function = j.fn.name
	}
	if r.Unique != j.unique {
		r.Unique = j.unique
	}
	if r.Reducer != x.reducer {
		r.Reducer = x.reducer
	}
	r.Number, r.Priority, r.Retries, r.Due = j.number, store.Priority(j.priority), j.retries, store.Due(x.due)
	r.Argument = j.argument().Slices(r.Argument[:0])
	return &sh.record
}

// settle handles the store's answer for a job.
func (s *Sched) settle(j *job, err error, now time.Time, fx *Effects) {
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	over := j.state == ended || j.state == abandoned
	number := j.number // of the handle sent to submitters; 0: an error
	if err != nil && !over {
		var again bool
		if number, again = sh.refused(j, err, fx); again {
			return
		}
	}
	switch {
	case j.keeping == letGone:
		sh.keep(j, notKept)
	case err != nil:
		sh.keep(j, notKept)
		j.background = false
	default:
		sh.keep(j, kept)
	}
	if j.state == storing || j.state == ended && j.worker != nil {
		s.answer(waiter{j.worker, uint32(j.position)}, number, fx)
		j.worker, j.position = nil, 0
	}
	for _, w := range j.rest().waiters {
		s.answer(w, number, fx)
	}
	if x := j.extra; x != nil {
		if j.state != ended {
			j.refund(len(x.waiters) * costWaiter)
		}
		x.writing.Release()
		x.waiters, x.writing = nil, payload.View{}
	}
	switch {
	case over:
		return
	case err != nil && !j.wanted():
		sh.unkept(j, now)
		return
	}
	switch {
	case j.state == storing:
		if policy := j.fn.policy(); policy.evicts && !j.rest().due.After(now) {
			evict, _ := policy.room(j.fn, j.priority)
			if j.fn.evict(evict, now, fx); fx.Again {
				fx.Again = false // the bound was lowered; the next stored job evicts the rest
			}
		}
		sh.ready(j, now, fx)
	case j.state == shelved && err != nil:
		sh.ready(j, now, fx)
	}
	sh.unload(j)
}

// refused handles an error of the store for a job that goes on. It returns the number of the other broker's job
// that has its unique id, or 0, and whether the store was given the job again. The shard is locked.
func (sh *shard) refused(j *job, err error, fx *Effects) (number uint64, again bool) {
	duplicate := (*store.UniqueTaken)(nil)
	if !errors.As(err, &duplicate) {
		return 0, false
	}
	number = duplicate.Number
	if sh.answerEarly(j, number, fx) {
		if sh.appendAgain(j, fx) {
			return 0, true
		}
		number = 0
	}
	j.ref = 0 // no row of it was ever stored
	return number, false
}

// answerEarly answers submissions with the number of another broker's job that has their unique id, and reports whether
// others are left: those that joined this job after it was given to the store. The other job may have ended before they
// came, so the store has to be asked anew for them. The shard is locked.
func (sh *shard) answerEarly(j *job, number uint64, fx *Effects) bool {
	x := j.rest()
	if j.keeping != beingKept || len(x.waiters) == x.early {
		return false
	}
	for _, w := range x.waiters[:x.early] {
		sh.sched.answer(w, number, fx)
	}
	answered := x.early
	x.waiters, x.early = x.waiters[x.early:], 0
	if j.state == storing {
		sh.sched.answer(waiter{j.worker, uint32(j.position)}, number, fx)
		first := x.waiters[0]
		x.waiters = x.waiters[1:]
		j.worker, j.position = first.peer, int32(first.ticket)
		answered++
	}
	j.refund(answered * costWaiter)
	return true
}

// appendAgain appends a job that the store has not taken. It returns false if the store takes no jobs at present; the
// job is as before then. The shard is locked.
func (sh *shard) appendAgain(j *job, fx *Effects) bool {
	x := j.rest()
	x.writing.Release()
	x.writing = payload.View{}
	sh.keep(j, notKept)
	if sh.append(j, fx) {
		return true
	}
	sh.keep(j, beingKept)
	return false
}

// answer answers a background submission with the job's number, or with an error if that is 0.
func (s *Sched) answer(w waiter, number uint64, fx *Effects) {
	if number > 0 {
		fx.sendNumber(w.peer, codec.JobCreated, s, number)
	} else {
		fx.sendError(w.peer, s.dialect.QueueFull)
	}
	fx.Packets[len(fx.Packets)-1].Ticket = w.ticket
}

// unkept removes a job that could not be stored and that nobody else wants. The shard is locked.
func (sh *shard) unkept(j *job, now time.Time) {
	if j.state != running { // otherwise a worker has it
		sh.end(j, NotStored, now)
	}
}

// unload frees a large argument that is stored, when memory is short. It is read back when a worker gets the
// job.
func (sh *shard) unload(j *job) {
	argument := j.argument()
	if j.keeping == kept && argument.Len() >= store.LargeArgument && !j.onWorker() && sh.sched.budget.isShort() {
		j.more().size = argument.Len()
		j.refund(argument.Footprint())
		j.dropArgument(onDisk)
		argument.Release()
	}
}

// letGo reports the end of a job to the store. The shard is locked.
func (sh *shard) letGo(j *job) {
	switch j.keeping {
	case kept:
		sh.keep(j, notKept)
	case beingKept:
		sh.keep(j, letGone)
	default:
		return
	}
	sh.sched.store.Done(j.ref)
}

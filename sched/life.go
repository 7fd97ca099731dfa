package sched

import (
	"time"

	"gearloop/internal/invariants"
)

// The life of a job. move changes its state, keep changes what its store has of it, end ends it; no other
// code writes job.state or job.keeping. They also maintain the counts and lists of the function and its
// shard. All of them need the shard's lock.

// state is a stage in the life of a job.
type state uint8

const (
	fresh     state = iota // not admitted: nobody can find it
	storing                // a background job that the store has not written yet
	delayed                // not due yet (SUBMIT_JOB_EPOCH, SUBMIT_JOB_SCHED)
	queued                 // in a queue of its function
	running                // on a worker
	shelved                // stored, and not handed out: the server is shutting down, or the lease has expired (events.go)
	abandoned              // cancelled while it ran: it has ended, but its worker does not know
	ended                  // nobody can find it any more
	states    = iota
)

var stateNames = [states]string{"fresh", "storing", "delayed", "queued", "running", "shelved", "abandoned", "ended"}

func (s state) String() string { return stateNames[s] }

// isNew reports whether the job has never been ready.
func (s state) isNew() bool { return s == fresh || s == storing }

// onWorker reports whether a worker has the job.
func (j *job) onWorker() bool { return j.state == running || j.state == abandoned }

// stateSet is a set of states, a bit for each.
type stateSet uint16

func setOf(of ...state) (set stateSet) {
	for _, s := range of {
		set |= 1 << s
	}
	return set
}

func (set stateSet) has(s state) bool { return set&(1<<s) != 0 }

// next is the table of legal transitions: for each state the set of states that may follow. doc.go has the
// picture.
var next = [states]stateSet{
	fresh:     setOf(storing, delayed, queued),
	storing:   setOf(delayed, queued, shelved, ended),
	delayed:   setOf(queued, shelved, ended),
	queued:    setOf(running, shelved, ended),
	running:   setOf(queued, shelved, abandoned, ended),
	shelved:   setOf(queued, ended),
	abandoned: setOf(ended),
}

// move changes a job's state: it leaves the list and counts of the old state and enters those of the new one.
// Only the worker's own goroutine may move a job that is on a worker, except to abandoned.
func (sh *shard) move(j *job, to state) {
	if invariants.Enabled && !next[j.state].has(to) {
		invariants.Failf("job %d goes from %v to %v", j.number, j.state, to)
	}
	fn, from := j.fn, j.state
	switch from {
	case storing:
		sh.storing--
	case delayed:
		sh.undelay(j)
	case queued:
		fn.dequeue(j)
	case shelved:
		fn.unshelve(j)
	case running, abandoned:
		if to != abandoned {
			fn.running--
			sh.running--
			j.worker.stopDoing(j)
			j.worker = nil
		}
	}
	j.state = to
	switch to {
	case storing:
		sh.storing++
	case delayed:
		sh.delay(j)
	case queued:
		// Only these jobs may go to the front: a new one, one that no worker has seen, one from the shelf, and one
		// that an operator took back. Others queue behind.
		fn.enqueue(j, from == shelved || from.isNew() && j.priority == high && fn.policy().highNewestFirst ||
			from == running && (j.isUndelivered() || j.isRecalled()))
	case shelved:
		fn.shelve(j)
	case running:
		fn.running++
		sh.running++
	}
	j.marks &^= recalled
}

// keeping is what the store has of a job. It is independent of the state: a foreground job that a background
// submission joins is stored while it waits or runs, and a job may end before the store has answered.
type keeping uint8

const (
	notKept   keeping = iota // the store does not have it, or need not keep it any more
	beingKept                // appended; Stored has not been called yet
	kept                     // the store has it
	letGone                  // appended and ended (Done); Stored has not been called yet
	keepings  = iota
)

// nextKeeping is the table of legal transitions: for each value the set of values that may follow, one bit
// each.
var nextKeeping = [keepings]uint8{
	notKept:   1<<beingKept | 1<<kept, // to kept by Adopt: of a new job, and of one that another broker had
	beingKept: 1<<notKept | 1<<kept | 1<<letGone,
	kept:      1 << notKept,
	letGone:   1 << notKept,
}

// keep changes job.keeping.
func (sh *shard) keep(j *job, to keeping) {
	if invariants.Enabled && nextKeeping[j.keeping]&(1<<to) == 0 {
		invariants.Failf("job %d: the store goes from %d to %d", j.number, j.keeping, to)
	}
	if j.state == queued && j.keeping == kept {
		sh.safe--
	}
	j.keeping = to
	if j.state == queued && j.keeping == kept {
		sh.safe++
	}
}

// admit registers a new job: from now on its handle and its unique id find it.
func (sh *shard) admit(j *job) {
	sh.setUnique(j)
	sh.jobs.add(j)
	j.fn.jobs++
}

// ready makes a job wait to be handed out: in the delay heap until it is due, or in its queue, and wakes
// workers for it. During a shutdown a stored job goes to the shelf.
func (sh *shard) ready(j *job, now time.Time, fx *Effects) {
	if j.state == delayed || j.state == running {
		j.since = sh.sched.moment(now) // otherwise since it was submitted: being stored is part of its wait
	}
	switch {
	case j.extra != nil && j.state.isNew() && j.extra.due.After(now):
		sh.move(j, delayed)
		sh.armDelay(fx)
	case j.keeping == kept && sh.sched.ending.Load():
		sh.move(j, shelved)
	default:
		sh.move(j, queued)
		if j.fn.isPaused() {
			j.fn.holdBack(1)
			return
		}
		j.fn.wakeSleepers(now, fx)
	}
}

// run gives a queued job to a worker, on the worker's own goroutine.
func (sh *shard) run(j *job, p *Peer, now time.Time) {
	sh.move(j, running)
	j.fn.surplus = 0
	j.fn.counted().HandedOut++
	sh.sums(j.fn).HandedOut++
	if sh.times != nil {
		sh.observe(j.fn, Waited, j.since, now)
	}
	j.since = sh.sched.moment(now)
	j.worker = p
	p.last = j.fn
	if len(p.doing) == 0 {
		p.hand.Store(j.number)
	}
	j.position = int32(len(p.doing))
	p.doing = append(p.doing, j)
}

// putBack takes a job from its worker, on the worker's own goroutine, and queues it again.
func (sh *shard) putBack(j *job, now time.Time, fx *Effects) {
	if sh.times != nil {
		sh.observe(j.fn, Ran, j.since, now)
	}
	j.fn.counted().PutBack++
	sh.sums(j.fn).PutBack++
	if !j.isUndelivered() {
		j.marks |= moved
	}
	sh.ready(j, now, fx)
	j.excepted = false
	if x := j.extra; x != nil {
		x.ticket, x.hasStatus, x.numerator, x.denominator = 0, false, "", ""
	}
}

// fail ends a job and sends WORK_FAIL to its listeners.
func (sh *shard) fail(j *job, o Outcome, now time.Time, fx *Effects) {
	j.fail(fx)
	sh.end(j, o, now)
}

// end ends a job, whatever the outcome. Its listeners have been informed already. A job on a worker ends on
// the worker's own goroutine, or is abandoned.
func (sh *shard) end(j *job, o Outcome, now time.Time) {
	if j.state != abandoned { // abandoning it was its end
		sh.countEnd(j, o, now)
	}
	sh.forget(j)
}

// countEnd counts the end of a job.
func (sh *shard) countEnd(j *job, o Outcome, now time.Time) {
	j.fn.counted().Ended[o]++
	sh.sums(j.fn).Ended[o]++
	if sh.times == nil {
		return
	}
	if j.state == running {
		sh.observe(j.fn, Ran, j.since, now)
	}
	sh.observe(j.fn, Lived, j.created, now)
}

// abandon ends a job that is on a worker, from another goroutine than the worker's. No other worker gets it.
// It stays known, as running, until its worker has finished. Its listeners are informed on the worker's
// goroutine, so that the end follows everything that the worker has sent.
func (sh *shard) abandon(j *job, o Outcome, now time.Time, fx *Effects) {
	sh.countEnd(j, o, now)
	sh.move(j, abandoned)
	sh.letGo(j)
	j.background = false
	if j.unique != "" {
		sh.stripUnique(j)
	}
	if j.listeners() > 0 {
		j.worker.recalls(j, now, fx)
	}
}

// recalls makes the worker's goroutine handle one of its jobs (carryOutRecall).
func (p *Peer) recalls(j *job, now time.Time, fx *Effects) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recall == nil {
		p.recall = &recall{timer: Timer{peer: p, recalls: true}}
	}
	p.recall.jobs = append(p.recall.jobs, j)
	j.more() // so that its memory is not used again while it is in the list (see free)
	fx.arm(&p.recall.timer, now)
}

// carryOutRecall handles the recalled jobs of a worker: listeners of abandoned jobs get WORK_FAIL, jobs that
// are taken back are queued again. It may leave some for the next call.
func (s *Sched) carryOutRecall(p *Peer, now time.Time, fx *Effects) {
	p.mu.Lock()
	jobs := p.recall.jobs
	if len(jobs) > callJobs {
		jobs = jobs[:callJobs:callJobs]
		fx.arm(&p.recall.timer, now)
	}
	p.recall.jobs = p.recall.jobs[len(jobs):]
	if len(p.recall.jobs) == 0 {
		p.recall.jobs = nil
	}
	p.mu.Unlock()
	for _, j := range jobs {
		sh := j.fn.shard
		sh.lock()
		switch { // if none applies, the worker was faster
		case j.state == abandoned:
			sh.failAbandoned(j, fx)
		case j.state == running && j.isRecalled() && j.worker == p && !j.isBare():
			sh.requeueRecalled(j, now, fx)
		}
		sh.mu.Unlock()
		fx.Work++
		s.step()
	}
}

// failAbandoned sends WORK_FAIL to the listeners of an abandoned job, on its worker's goroutine.
func (sh *shard) failAbandoned(j *job, fx *Effects) {
	j.fail(fx)
	j.refund(j.listeners() * costListener)
	j.stopListening()
}

// forget frees a job that has ended. Nothing may refer to it any more.
func (sh *shard) forget(j *job) {
	fn := j.fn
	sh.move(j, ended)
	sh.letGo(j)
	sh.jobs.remove(j.number)
	sh.freeUnique(j)
	sh.refund(j.cost())
	j.stopListening()
	j.argument().Release()
	j.dropArgument(inRoom)
	x := j.extra
	switch {
	case x == nil:
	case j.keeping == letGone:
		j.extra = &extra{waiters: x.waiters, writing: x.writing} // settle needs them
	default:
		j.extra = nil
	}
	sh.free(j, x == nil)
	fn.jobs--
	fn.dropIfIdle()
}

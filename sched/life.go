package sched

import (
	"time"

	"gearloop/internal/invariants"
	"gearloop/internal/payload"
)

// The life of a job. move changes its state, keep what its store has of it, end ends it: no other code writes
// Job.state or Job.keeping. They also keep the counts and lists of the function and its shard. The shard must be
// locked in all of them.

// state is where a job is in its life.
type state uint8

const (
	fresh     state = iota // made, and not admitted: nobody can find it
	storing                // a background job whose store has not said yet that it is safe
	delayed                // not due yet (SUBMIT_JOB_EPOCH, SUBMIT_JOB_SCHED)
	queued                 // in a queue of its function
	running                // a worker has it
	shelved                // stored, and not to be handed out: the server ends, or its lease is over (events.go)
	abandoned              // it was cancelled while it ran: it has ended, and its worker does not know
	ended                  // nobody can find it any more
	states    = iota
)

var stateNames = [states]string{"fresh", "storing", "delayed", "queued", "running", "shelved", "abandoned", "ended"}

func (s state) String() string { return stateNames[s] }

// isNew reports whether the job has not been where it can be handed out.
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

// next is the table of all legal transitions: the states that may follow each. doc.go has the picture.
var next = [states]stateSet{
	fresh:     setOf(storing, delayed, queued),
	storing:   setOf(delayed, queued, shelved, ended),
	delayed:   setOf(queued, shelved, ended),
	queued:    setOf(running, shelved, ended),
	running:   setOf(queued, shelved, abandoned, ended),
	shelved:   setOf(queued, ended),
	abandoned: setOf(ended),
}

// move takes a job from its state to another: out of the list and the counts of the one, into those of the
// other. A job that a worker has is taken from it, or given up by it, on that worker's own goroutine only;
// abandoned is how others can end it.
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
		// Only a new job may go in front, one that no worker has seen, and one that lay on the shelf: one
		// that was delayed or had a worker queues up behind, unless an operator has taken it back.
		fn.enqueue(j, from == shelved || from.isNew() && j.priority == high && fn.policy().highNewestFirst ||
			from == running && (j.isUndelivered() || j.recalled))
	case shelved:
		fn.shelve(j)
	case running:
		fn.running++
		sh.running++
	}
	j.recalled = false
}

// keeping is how far the store is with a job, beside the job's state: a foreground job that a background submission
// joins is stored while it waits or runs, and a job may end before the store has said anything of it.
type keeping uint8

const (
	notKept   keeping = iota // the store does not have it, or need not have it any more
	beingKept                // appended; Stored has not been called yet
	kept                     // the store has it
	letGone                  // appended, and the store was told of the end; Stored has not been called yet
	keepings  = iota
)

// nextKeeping is the table of what may follow: a set of keepings, a bit for each.
var nextKeeping = [keepings]uint8{
	notKept:   1<<beingKept | 1<<kept, // the latter when a job comes back that another broker had (Adopt)
	beingKept: 1<<notKept | 1<<kept | 1<<letGone,
	kept:      1 << notKept,
	letGone:   1 << notKept,
}

// keep notes how far the store is with a job.
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

// admit takes a new job in: its handle and its unique id find it from here on.
func (sh *shard) admit(j *job) {
	sh.setUnique(j)
	sh.jobs.add(j)
	j.fn.jobs++
}

// ready puts a job where it waits to be handed out: aside until it is due, or into its queue, and wakes
// workers for it. One that is stored waits on the shelf when the server ends.
func (sh *shard) ready(j *job, now time.Time, fx *Effects) {
	if j.state == delayed || j.state == running {
		j.since = sh.sched.moment(now) // else since it was submitted: that it is being stored is part of its wait
	}
	switch {
	case j.extra != nil && j.state.isNew() && j.extra.due.After(now):
		sh.move(j, delayed)
		sh.armDelay(fx)
	case j.keeping == kept && sh.sched.ending.Load():
		sh.move(j, shelved)
	default:
		sh.move(j, queued)
		j.fn.wakeSleepers(now, fx)
	}
}

// run gives a queued job to a worker, on the worker's own goroutine.
func (sh *shard) run(j *job, p *Peer, now time.Time) {
	sh.move(j, running)
	j.fn.counted().HandedOut++
	sh.counters.HandedOut++
	if sh.times != nil {
		sh.observe(j.fn, Waited, j.since, now)
	}
	j.since = sh.sched.moment(now)
	j.worker = p
	if len(p.doing) == 0 {
		p.hand.Store(j.number)
	}
	j.position = int32(len(p.doing))
	p.doing = append(p.doing, j)
}

// putBack takes a job from its worker, on the worker's own goroutine, and has it wait for another.
func (sh *shard) putBack(j *job, now time.Time, fx *Effects) {
	if sh.times != nil {
		sh.observe(j.fn, Ran, j.since, now)
	}
	j.fn.counted().PutBack++
	sh.counters.PutBack++
	j.moved = j.moved || !j.isUndelivered()
	sh.ready(j, now, fx)
	j.excepted = false
	if x := j.extra; x != nil {
		x.ticket, x.hasStatus, x.numerator, x.denominator = 0, false, "", ""
	}
}

// fail ends a job and tells those who listen that it has failed.
func (sh *shard) fail(j *job, o Outcome, now time.Time, fx *Effects) {
	j.fail(fx)
	sh.end(j, o, now)
}

// end is the end of every job, whatever its outcome; those who listen know it already. A job that a worker
// has ends on the worker's own goroutine, or is abandoned.
func (sh *shard) end(j *job, o Outcome, now time.Time) {
	if j.state != abandoned { // else that was its end
		sh.countEnd(j, o, now)
	}
	sh.forget(j)
}

// countEnd counts the end of a job.
func (sh *shard) countEnd(j *job, o Outcome, now time.Time) {
	j.fn.counted().Ended[o]++
	sh.counters.Ended[o]++
	if sh.times == nil {
		return
	}
	if j.state == running {
		sh.observe(j.fn, Ran, j.since, now)
	}
	sh.observe(j.fn, Lived, j.created, now)
}

// abandon ends a job that a worker has, from another goroutine than the worker's. No other worker gets it; it
// stays known, as running, until its worker is done with it. Those who listen are told on the worker's goroutine,
// so that they hear it after all that the worker has said.
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

// recalls has the worker's goroutine do what is to be done with one of its jobs (carryOutRecall).
func (p *Peer) recalls(j *job, now time.Time, fx *Effects) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recall == nil {
		p.recall = &recall{timer: Timer{peer: p, recalls: true}}
	}
	p.recall.jobs = append(p.recall.jobs, j)
	fx.arm(&p.recall.timer, now)
}

// carryOutRecall deals with the jobs of a worker that others have ended or want back: those who listen to the former are
// told, the latter are queued again. It may leave some for the next time.
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
		switch { // if nothing of that holds its worker was faster
		case j.state == abandoned:
			sh.failAbandoned(j, fx)
		case j.state == running && j.recalled && j.worker == p && !j.isBare():
			sh.requeueRecalled(j, now, fx)
		}
		sh.mu.Unlock()
		fx.Work++
		s.step()
	}
}

// failAbandoned tells those who listen to an abandoned job that it has failed, on its worker's goroutine.
func (sh *shard) failAbandoned(j *job, fx *Effects) {
	j.fail(fx)
	j.refund(j.listeners() * costListener)
	j.stopListening()
}

// forget lets go of a job that has ended, and of its memory.
func (sh *shard) forget(j *job) {
	fn := j.fn
	sh.move(j, ended)
	sh.letGo(j)
	sh.jobs.remove(j.number)
	sh.freeUnique(j)
	sh.refund(j.cost())
	j.stopListening()
	j.argument.Release()
	j.argument = payload.View{}
	if x := j.extra; x != nil && j.keeping == letGone {
		j.extra = &extra{waiters: x.waiters, writing: x.writing} // for settle
	} else {
		j.extra = nil
	}
	fn.jobs--
	fn.dropIfIdle()
}

package sched

import (
	"time"

	"gearloop/codec"
	"gearloop/payload"
)

// state is where a job is in its life.
type state uint8

const (
	queued state = iota
	delayed
	running
	forgotten
)

// Job is one job. Everything is under the lock of its function's shard, except that worker's doing
// list belongs to the worker.
type Job struct {
	fn       *function
	number   uint64 // the end of its handle
	unique   string // what coalesces; "" = nothing
	reducer  string // SUBMIT_REDUCE_JOB
	argument payload.View
	charged  int // bytes booked on the budget

	state      state
	priority   priority
	excepted   bool   // WORK_EXCEPTION came; touched by its worker only
	background bool   // a background submission wants it done, whoever listens
	retries    uint16 // workers that lost it

	listeners []*Peer // foreground submissions, some of them perhaps gone
	worker    *Peer
	place     int       // in worker.doing
	deadline  time.Time // zero = none
	due       time.Time // of a delayed job
	heapIndex int       // of a delayed job in its shard's heap

	hasStatus              bool
	numerator, denominator string

	prev, next *Job // in the queue
	// Jobs of the shard with this unique id, of other functions.
	prevSame, nextSame *Job
}

// listening calls f for each client that still listens.
func (j *Job) listening(f func(*Peer)) {
	for _, p := range j.listeners {
		if !p.Gone() {
			f(p)
		}
	}
}

// wanted reports whether anybody still wants the job done.
func (j *Job) wanted() bool {
	if j.background {
		return true
	}
	for _, p := range j.listeners {
		if !p.Gone() {
			return true
		}
	}
	return false
}

// listen adds a foreground submission; false when the memory for it is not there.
func (j *Job) listen(p *Peer) bool {
	if len(j.listeners) == cap(j.listeners) && len(j.listeners) > 0 {
		// Before it grows, let go of those that are gone: each entry is looked at a bounded number
		// of times, and the list stays within twice the living.
		kept := j.listeners[:0]
		j.listening(func(l *Peer) { kept = append(kept, l) })
		j.refund((len(j.listeners) - len(kept)) * costListener)
		j.fn.shard.listeners -= len(j.listeners) - len(kept)
		clear(j.listeners[len(kept):])
		j.listeners = kept
	}
	if !j.fn.shard.charge(costListener) {
		return false
	}
	j.charged += costListener
	j.listeners = append(j.listeners, p)
	j.fn.shard.listeners++
	return true
}

// refund gives back what was booked for a part of the job.
func (j *Job) refund(n int) {
	j.charged -= n
	j.fn.shard.refund(n)
}

// relay sends a packet with these data to everyone who listens.
func (j *Job) relay(t codec.Type, data payload.View, fx *Effects) {
	j.listening(func(p *Peer) { fx.sendBody(p, t, data) })
}

// fail tells everyone who listens that the job has failed.
func (j *Job) fail(fx *Effects) {
	j.listening(func(p *Peer) { fx.sendHandle(p, codec.WorkFail, j) })
}

// forget removes a job that is at its end and in no queue any more. The shard is locked.
func (sh *shard) forget(j *Job) {
	fn := j.fn
	if j.state == running {
		fn.running--
		sh.running--
	}
	j.state = forgotten
	delete(sh.jobs, j.number)
	sh.freeUnique(j)
	sh.refund(j.charged)
	sh.listeners -= len(j.listeners)
	j.argument.Release()
	j.argument, j.charged, j.listeners = payload.View{}, 0, nil
	fn.jobs--
	fn.dropIfIdle()
}

// jobList is a queue of jobs.
type jobList struct{ head, tail *Job }

func (l *jobList) pushBack(j *Job) {
	if j.prev = l.tail; l.tail != nil {
		l.tail.next = j
	} else {
		l.head = j
	}
	l.tail = j
}

func (l *jobList) pushFront(j *Job) {
	if j.next = l.head; l.head != nil {
		l.head.prev = j
	} else {
		l.tail = j
	}
	l.head = j
}

func (l *jobList) remove(j *Job) {
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		l.head = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		l.tail = j.prev
	}
	j.prev, j.next = nil, nil
}

package sched

import (
	"time"

	"gearloop/internal/payload"
	"gearloop/store"
)

// job is one job. The lock of its function's shard guards all of it, but for excepted; place and the worker's
// list of jobs belong to the worker.
type job struct {
	fn       *function
	number   uint64 // the end of its handle
	unique   string // what coalesces; "" = nothing
	argument payload.View
	ref      store.Ref // its name in the store, unless it is notKept

	created moment // when it was submitted, or adopted
	since   moment // queued: when it was put there. On a worker: when that got it.

	// On a worker: the index in worker.doing. Storing: the ticket of the submitter that waits for JOB_CREATED.
	position   int32
	retries    uint16 // workers that lost it
	state      state  // see life.go
	priority   priority
	excepted   bool // WORK_EXCEPTION came; touched by its worker only
	background bool // a background submission wants it done, whoever listens
	dash       bool // its unique id is shown as "-"
	keeping    keeping
	onDisk     bool // the store alone has the argument
	recalled   bool // on a worker: an operator has it taken back (operate.go)
	moved      bool // another worker had it
	spent      bool // the argument was let go of when it was handed out

	listener *Peer // the first foreground submission, perhaps gone
	// On a worker: that one. Storing: the submitter that waits for JOB_CREATED; it stays until Settle, even if
	// the job ends before.
	worker     *Peer
	prev, next *job // in a queue or on a shelf of its function
	extra      *extra
}

// extra is what most jobs do without. There may be millions of jobs.
type extra struct {
	listeners  []*Peer      // foreground submissions beyond the first, see listeners.go
	gone       int          // of these, those that have been counted out
	fan        *Fan         // sends to them when they are many
	reducer    string       // SUBMIT_REDUCE_JOB
	deadline   time.Time    // of a running job; zero = none
	limitIndex int          // of a job with a deadline in its worker's limits
	due        time.Time    // of a delayed job
	heapIndex  int          // of a delayed job in its shard's heap
	waiters    []waiter     // background submissions to be answered when the job is stored
	writing    payload.View // the argument, while the store may read it
	ticket     uint32       // under which its worker waits for the argument
	size       int          // of an argument that the store alone has, in bytes

	hasStatus              bool
	numerator, denominator string

	// Jobs of the shard with this unique id, of other functions.
	prevSame, nextSame *job
}

// more returns what most jobs do without, to be changed.
func (j *job) more() *extra {
	if j.extra == nil {
		j.extra = &extra{}
	}
	return j.extra
}

// rest returns what most jobs do without, to be looked at.
func (j *job) rest() *extra {
	if j.extra == nil {
		return &noExtra
	}
	return j.extra
}

var noExtra extra

func (j *job) setReducer(name string) {
	if name != j.rest().reducer {
		j.more().reducer = name
	}
}

// cost returns the bytes of memory that are booked for the job.
func (j *job) cost() int {
	n := costJob + len(j.unique) + j.argument.Footprint() + j.listeners()*costListener
	if x := j.extra; x != nil {
		n += len(x.reducer) + len(x.waiters)*costWaiter
	}
	if j.unique != "" {
		n += costUnique
	}
	return n
}

// refund gives back what was booked for a part of the job.
func (j *job) refund(n int) {
	j.fn.shard.refund(n)
}

// jobList is a queue of jobs.
type jobList struct{ head, tail *job }

func (l *jobList) pushBack(j *job) {
	if j.prev = l.tail; l.tail != nil {
		l.tail.next = j
	} else {
		l.head = j
	}
	l.tail = j
}

func (l *jobList) pushFront(j *job) {
	if j.next = l.head; l.head != nil {
		l.head.prev = j
	} else {
		l.tail = j
	}
	l.head = j
}

// pushBehind puts a job behind another that is in the list, in front of all if that is nil.
func (l *jobList) pushBehind(j, other *job) {
	if other == nil {
		l.pushFront(j)
		return
	}
	if other.next == nil {
		l.pushBack(j)
		return
	}
	j.prev, j.next = other, other.next
	other.next.prev, other.next = j, j
}

func (l *jobList) remove(j *job) {
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

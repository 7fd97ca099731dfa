package sched

import (
	"time"

	"gearloop/internal/payload"
	"gearloop/store"
)

// job is one job. The lock of its function's shard guards all fields except excepted; excepted, position and
// the worker's list of jobs belong to the worker. Its argument lies behind it (argument.go).
//
// Keep it small: while a queue grows, the kernel has to provide the memory of each job, and a submission costs
// about a nanosecond for each byte of it.
type job struct {
	fn     *function
	number uint64    // the end of its handle
	unique string    // the unique id by which it coalesces; "" = none
	ref    store.Ref // its name in the store, unless it is notKept

	created moment // when it was submitted, or adopted
	since   moment // queued: since it was queued. On a worker: since the worker got it.

	// On a worker: the index in worker.doing. Storing: the ticket of the submitter that awaits JOB_CREATED.
	position   int32
	retries    uint16 // workers that lost it
	state      state  // changed in life.go only
	priority   priority
	excepted   bool // WORK_EXCEPTION arrived; only its worker uses it
	background bool // a background submission wants it, whether or not anybody listens
	marks      marks
	keeping    keeping
	where      whereabouts // of the argument
	held       uint8       // bytes of the argument in the room behind the job; 0 unless it is inRoom
	offset     uint16      // in its slab, in bytes; 0 = it is in none

	listener *Peer // the first foreground submitter, which may have gone
	// On a worker: that worker. Storing: the submitter that awaits JOB_CREATED; it stays until Settle even if
	// the job ends first.
	worker     *Peer
	prev, next *job // in a queue or on a shelf of its function
	extra      *extra
}

// marks are what is true of few jobs, a bit each.
type marks uint8

const (
	dashed   marks = 1 << iota // its unique id is shown as "-"
	moved                      // another worker has had it
	recalled                   // on a worker: an operator is taking it back (operate.go)
)

// extra holds the fields that most jobs do not need, because there may be millions of jobs.
type extra struct {
	listeners  []*Peer      // foreground submissions beyond the first, see listeners.go
	gone       int          // of these, the ones whose connection has ended
	fan        *Fan         // sends to the listeners if there are many
	reducer    string       // SUBMIT_REDUCE_JOB
	deadline   time.Time    // of a running job; zero = none
	limitIndex int          // of a job with a deadline in its worker's limits
	due        time.Time    // of a delayed job
	heapIndex  int          // of a delayed job in its shard's heap
	waiters    []waiter     // background submitters to answer when the job is stored
	early      int          // of these, the ones that had joined when it was given to the store
	argument   payload.View // of a job whose argument is inExtra
	writing    payload.View // the argument while the store may read it
	ticket     uint32       // the ticket under which its worker waits for the argument
	serial     uint32       // of a job that was joined: tells it from a later one of its shard with the same number
	size       int          // of an argument that only the store has, in bytes

	hasStatus              bool
	numerator, denominator string

	// Jobs of other functions of the shard with this unique id.
	prevSame, nextSame *job
}

// more returns the extra fields for writing.
func (j *job) more() *extra {
	if j.extra == nil {
		j.extra = &extra{}
	}
	return j.extra
}

// rest returns the extra fields for reading.
func (j *job) rest() *extra {
	if j.extra == nil {
		return &noExtra
	}
	return j.extra
}

var noExtra extra

// isRecalled reports whether an operator is taking the job back from its worker.
func (j *job) isRecalled() bool { return j.marks&recalled != 0 }

func (j *job) setReducer(name string) {
	if name != j.rest().reducer {
		j.more().reducer = name
	}
}

// cost returns the bytes charged for the job.
func (j *job) cost() int {
	n := costJob + len(j.unique) + j.argument().Footprint() + j.listeners()*costListener
	if x := j.extra; x != nil {
		n += len(x.reducer) + len(x.waiters)*costWaiter
	}
	if j.unique != "" {
		n += costUnique
	}
	return n
}

// refund returns the charge for a part of the job.
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

// pushBehind inserts a job behind another one of the list, or at the front if that is nil.
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

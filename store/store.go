package store

import (
	"io"
	"time"
)

// Ref names a stored job while the engine is open. It does not survive a restart. 0 names no job.
type Ref uint64

// Limits of stored jobs.
const (
	// LargeArgument is the size in bytes from which on an argument is stored separately. Adopt does not load it;
	// Argument reads it.
	LargeArgument = 256 << 10

	// MaxArgument is the largest argument, and MaxName the longest function, unique id or reducer, in bytes.
	MaxArgument = 1 << 30
	MaxName     = 1 << 20
)

// HurryWithin is the longest time that an engine waits for Hurry before it stores a job. It is for a caller that
// fails between Append and Hurry. It is long, because each run of an engine's timer takes processor time.
const HurryWithin = 100 * time.Millisecond

// Priority is one of a function's queues, with the number that engines store.
type Priority uint8

// The priorities.
const (
	High Priority = iota
	Normal
	Low
)

// Job is a background job for or from a store.
type Job struct {
	// Number is the number in its handle (see Number). Append accepts only numbers of runs that were Opened and
	// not Disowned since, each once, and those of a function in rising order. A job whose receipt had an error,
	// or that Append refused, may be appended again.
	Number   uint64
	Function string
	Unique   string // the key by which submissions coalesce; any bytes, "" = none
	Reducer  string // of SUBMIT_REDUCE_JOB; "" = none
	Priority Priority
	Retries  uint16 // workers that lost it so far
	Due      int64  // see Due; 0 = at once

	// Argument is the argument in pieces.
	Argument [][]byte

	// Size is the argument's length in bytes, and Ref the job's name. Adopt sets them, Append ignores them.
	Size int
	Ref  Ref
}

// Receipt is called once with the result of an Append.
type Receipt interface {
	// Stored says that the job is safe or, with an error, that it is not stored and its Ref is void. The error
	// is an ErrFailed or a *UniqueTaken.
	Stored(ref Ref, err error)
}

// Events are an engine's calls to its user, from the engine's goroutine. See the package comment.
type Events interface {
	// Opened sets the run of new jobs, from 1 to MaxRun.
	Opened(run uint64)

	// Lease allows stored jobs to be handed out until that moment. Before the first call none may be.
	Lease(until time.Time)

	// Adopt passes jobs that were stored earlier and have not ended, at most AdoptMost. The slice and its
	// Argument slices are valid during the call; strings and argument bytes may be kept. Argument is nil for one
	// of LargeArgument bytes or more. All jobs are accepted; room says whether there is memory for more. Without
	// room an engine that can wait does so, and asks again with no jobs.
	Adopt(jobs []Job) (room bool)

	// Disowned says that the runs opened or adopted so far, and all their stored jobs, belong to another broker.
	// All Refs are void.
	Disowned()

	// Flushed follows each group of other calls: a batch of receipts, or events.
	Flushed()
}

// AdoptMost is how many jobs one call of Adopt may pass.
const AdoptMost = 512

// Never is the end of a lease that does not expire: later than any moment at which a job can be due.
var Never = time.Unix(1<<41, 0)

// Status is what is known of another broker's job.
type Status struct {
	Known, Running         bool
	Numerator, Denominator string // of WORK_STATUS; "" if there was none
	Listeners              int    // connections that wait for its result; only from LookupUnique
}

// Store keeps background jobs. Several goroutines may call its methods at a time. Apart from Start and Close,
// none waits for a disk, a network or a lock that is held for long.
type Store interface {
	// Start begins to report events, and returns when the engine is usable, or with an error. It is called once,
	// before anything else.
	Start(events Events) error

	// Append queues a job to be stored. The engine reads the job before it returns; only the pieces of an
	// argument of LargeArgument bytes or more must not change until the receipt. After an error (ErrBusy,
	// ErrFailed, ErrClosed, ErrTooLarge) nothing was accepted and no receipt follows. The engine may wait for
	// Hurry before it stores the job, but no longer than HurryWithin.
	Append(job *Job, receipt Receipt) (Ref, error)

	// Hurry says that the caller has appended all jobs that it has at hand: the engine now stores them, in as few
	// batches as it can. The goroutine that called Append calls it once after a group of jobs. Done and Update
	// need no Hurry.
	Hurry()

	// Update stores the number of retries and the priority of a job.
	Update(ref Ref, retries uint16, priority Priority)

	// Done ends a job. It may come before the receipt, which is called in any case.
	Done(ref Ref)

	// Argument writes the argument of a job of LargeArgument bytes or more to w, in pieces of up to 256 KiB, on
	// a goroutine of its own, and then calls done there. The receipt of the job must have come. ErrGone: there
	// is no such argument, or the job has ended meanwhile.
	Argument(ref Ref, w io.Writer, done func(error))

	// Lookup asks about a job whose number is of another broker's run. If no other broker shares the store it
	// returns false and never calls answer.
	Lookup(number uint64, answer func(Status)) bool

	// NewRun requests another run, because the current one runs out of numbers; Opened follows. Repeated calls
	// before that have no effect.
	NewRun()

	// Stats returns the store's statistics.
	Stats() Stats

	// Close stores what is queued, calls the remaining receipts, and closes the store.
	Close() error
}

// Peers is implemented by engines whose store several brokers share. Its methods do not wait. They return
// false if nobody is asked; otherwise answer is called once, from the engine's goroutine, unless the engine
// is closed before.
type Peers interface {
	// LookupUnique asks all other brokers about a job with a unique id, of any function.
	LookupUnique(unique string, answer func(Status)) bool

	// Cancel ends a job whose number is of another broker's run, as its owner does at a client's request. known
	// says whether the owner had it; ErrSilent: the owner does not answer, and the job may go on.
	Cancel(number uint64, answer func(known bool, err error)) bool
}

// Stats are statistics of an open store.
type Stats struct {
	Jobs      int   // jobs that are stored or queued for storing
	LiveBytes int64 // bytes of living jobs where they are stored
	DiskBytes int64 // bytes of the whole store
	Queued    int64 // bytes that wait to be written
	Failed    error // why the engine accepts no jobs; nil while it does
}

package store

import (
	"io"
	"time"
)

// Ref names a stored job to its engine while that is open. It is not kept over a restart. 0 names no job.
type Ref uint64

// Limits of what is stored.
const (
	// LargeArgument is the size in bytes from which on an argument is kept apart. Adopt does not bring it,
	// Argument reads it.
	LargeArgument = 256 << 10

	// MaxArgument is the largest argument, MaxName the longest function, unique id or reducer, in bytes.
	MaxArgument = 1 << 30
	MaxName     = 1 << 20
)

// Priority is a queue of a function. The numbers are those that engines store.
type Priority uint8

// The priorities.
const (
	High Priority = iota
	Normal
	Low
)

// Job is a background job as it is stored.
type Job struct {
	// Number is that of its handle (see Number). Append takes only numbers of runs that were Opened and not
	// Disowned since, each once; but one whose receipt had an error, or that Append refused, may come again.
	Number   uint64
	Function string
	Unique   string // the key by which submissions coalesce; any bytes, "" for none
	Reducer  string // SUBMIT_REDUCE_JOB; "" for none
	Priority Priority
	Retries  uint16 // workers that lost it so far
	Due      int64  // see Due; 0 = at once

	// Argument is the argument in pieces, as it lies in memory.
	Argument [][]byte

	// Size is the argument's length in bytes, and Ref the job's name. Adopt sets them, Append ignores them.
	Size int
	Ref  Ref
}

// Receipt is told once what became of a job that was appended.
type Receipt interface {
	// Stored says that the job is safe, or, with an error, that it is not stored; then its Ref is void. The
	// error is an ErrFailed, or a *Taken.
	Stored(ref Ref, err error)
}

// Events is what an engine tells its user, from its goroutine. See the package comment.
type Events interface {
	// Opened gives the run whose numbers new jobs get from now on, from 1 to MaxRun.
	Opened(run uint64)

	// Lease says that stored jobs may be handed out until that moment. Until the first call none may.
	Lease(until time.Time)

	// Adopt gives jobs that were stored earlier and have not ended, up to AdoptMost of them. The slice and
	// its Argument slices are valid during the call; strings and bytes are the callee's to keep. Argument is
	// nil for one of LargeArgument bytes or more. All jobs are taken; room says that there is memory for
	// more. Without room an engine that can wait does so, and asks again with no jobs.
	Adopt(jobs []Job) (room bool)

	// Disowned says that the runs opened or adopted so far belong to another broker, with all jobs that were
	// stored. All Refs are void.
	Disowned()

	// Flushed comes after each group of other calls: a batch of receipts, or events.
	Flushed()
}

// AdoptMost is how many jobs Adopt gives at a time at most.
const AdoptMost = 512

// Never is the end of a lease that does not end: after every moment at which a job can be due.
var Never = time.Unix(1<<41, 0)

// Status is what is known of a job that another broker has.
type Status struct {
	Known, Running         bool
	Numerator, Denominator string // of WORK_STATUS; "" if there was none
}

// Store keeps background jobs. Its methods may be called by several goroutines at a time, and none waits for
// a disk, a network or a lock that is held for long; but Start and Close may take their time.
type Store interface {
	// Start begins to tell events, and returns when the engine is in use: with an error if it can't be. It is
	// called once, before anything else.
	Start(events Events) error

	// Append queues a job to be stored. The job is read before Append returns; only if its argument has
	// LargeArgument bytes or more must the pieces stay as they are until the receipt came. With an error
	// (ErrBusy, ErrFailed, ErrClosed, ErrTooLarge) nothing was taken and no receipt comes.
	Append(job *Job, receipt Receipt) (Ref, error)

	// Retry notes the number of retries of a job.
	Retry(ref Ref, retries uint16)

	// Done lets a job go. It may come before the receipt, which is called all the same.
	Done(ref Ref)

	// Argument writes the argument of a job of LargeArgument bytes or more to w, in pieces of up to 256 KiB,
	// from a goroutine of its own, and calls done there when that is over. The receipt of the job must have
	// come. ErrGone: there is no such argument, or the job has ended meanwhile.
	Argument(ref Ref, w io.Writer, done func(error))

	// Lookup asks what is known of a job whose number is of another's run. It returns false, and answer is
	// never called, if no other broker shares the store.
	Lookup(number uint64, answer func(Status)) bool

	// NewRun asks for another run, because the numbers of this one come to an end; Opened follows. Calls
	// before that change nothing.
	NewRun()

	// Stats counts what is stored.
	Stats() Stats

	// Close stores what is queued, calls the receipts that are left, and lets go of the store.
	Close() error
}

// Stats are counts of a store that is open.
type Stats struct {
	Jobs      int   // jobs that are stored or queued to be
	LiveBytes int64 // bytes that they take where they are stored
	DiskBytes int64 // bytes that the whole store takes
	Queued    int64 // bytes that wait to be written
	Failed    error // what keeps the engine from taking jobs, nil while it takes them
}

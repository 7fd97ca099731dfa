package store

import (
	"errors"
	"io"
)

// Ref names a stored job to its store while the store is open. It is not kept on disk.
type Ref uint64

// Limits of what is stored.
const (
	// LargeArgument is the size in bytes from which on an argument lies in a file of its own. Load
	// does not read it, Argument does.
	LargeArgument = 256 << 10

	// MaxArgument is the largest argument, MaxName the longest function, unique id or reducer, in bytes.
	MaxArgument = 1 << 30
	MaxName     = 1 << 20
)

// Priority is a queue of a function. The numbers are those on disk.
type Priority uint8

// The priorities.
const (
	High Priority = iota
	Normal
	Low
)

// Job is a background job as it is stored.
type Job struct {
	Number   uint64 // of its handle, never used for another job
	Function string
	Unique   string // what it coalesces by; any bytes, "" = nothing
	Reducer  string
	Priority Priority
	Retries  uint16 // how often a worker was lost with it
	Due      int64  // nanoseconds since 1970; 0 = at once

	// Argument is the argument in pieces, as it lies in memory.
	Argument [][]byte

	// Size is the argument's length, and Ref the job's name; set by Load, ignored by Append.
	Size int
	Ref  Ref
}

// Receipt hears once what became of a job that was appended.
type Receipt interface {
	// Stored says that the job is safe, as the sync mode understands it, or with an error that it
	// is not stored and its Ref void. It comes from the store's goroutine, in the order of Append, and
	// must not wait for anything.
	Stored(ref Ref, err error)
}

// Store keeps background jobs. It may be used by several goroutines at a time.
type Store interface {
	// Generation is a number that is larger each time the store is opened, by a durable count: a
	// handle made from it was never given to anyone before. It begins with 1.
	Generation() uint64

	// Load calls f with each job that was stored and has not ended, in the order in which they were
	// appended, and returns the first error of f or of reading. It is called once, before anything else.
	// The job and its strings are f's to keep; Argument is nil for one of LargeArgument bytes or more.
	Load(f func(*Job) error) error

	// Append queues a job to be stored. The job is read before Append returns; only if its argument has
	// LargeArgument bytes or more must the pieces stay as they are until the receipt came.
	// With an error (ErrBusy, ErrFailed, ErrClosed, ErrTooLarge) nothing was taken and no receipt comes.
	Append(job *Job, receipt Receipt) (Ref, error)

	// Retry notes the number of retries of a job, some time later: a crash may lose it.
	Retry(ref Ref, retries uint16)

	// Done lets a job go, some time later: a crash may bring it back. It may come before the receipt,
	// which is called all the same. A Ref that is void is ignored.
	Done(ref Ref)

	// Argument writes the argument of a job of LargeArgument bytes or more to w, in pieces of up to
	// 256 KiB, from a goroutine of its own, and calls done when that is over. The job must not have ended, and
	// its receipt must have come. ErrGone when there is no such argument.
	Argument(ref Ref, w io.Writer, done func(error))

	// Stats tells how the store is.
	Stats() Stats

	// Close stores what is queued, calls the receipts and lets go of the directory.
	Close() error
}

// Stats are counts of a store that is open.
type Stats struct {
	Jobs      int   // that are stored or queued to be
	LiveBytes int64 // they take on disk
	DiskBytes int64 // all files take
	Queued    int64 // bytes that wait to be written
	Failed    error // what keeps the store from taking jobs; nil when it does
}

// What Append, Argument and Open say.
var (
	// ErrBusy: the disk is slow and too much waits for it.
	ErrBusy = errors.New("store: too much waits to be written")
	// ErrFailed: the last write failed and no attempt has succeeded since. The error's text has the cause.
	ErrFailed = errors.New("store: the disk fails")
	// ErrClosed: after Close.
	ErrClosed = errors.New("store: closed")
	// ErrTooLarge: the job is over MaxArgument or MaxName.
	ErrTooLarge = errors.New("store: job too large")
	// ErrGone: the job has ended, or its argument is not in a file of its own.
	ErrGone = errors.New("store: no such argument")
	// ErrLocked: another broker has the directory open.
	ErrLocked = errors.New("store: directory in use by another process")
	// ErrNewer: the directory was written by a newer version of the program.
	ErrNewer = errors.New("store: directory has a newer format")
	// ErrDamaged: something that was stored can't be read. See Check and Repair.
	ErrDamaged = errors.New("store: damaged")
)

package store

import (
	"errors"
	"fmt"
)

// Errors of a Store, for errors.Is.
var (
	// ErrBusy: too many bytes wait to be written; try again soon.
	ErrBusy = errors.New("store: too much waits to be written")
	// ErrFailed: the last write failed and no attempt has succeeded since. The error's text contains the cause.
	ErrFailed = errors.New("store: can't be written to")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store: closed")
	// ErrTooLarge: the job is over MaxArgument or MaxName.
	ErrTooLarge = errors.New("store: job too large")
	// ErrGone: the job has ended, or its argument is not stored separately.
	ErrGone = errors.New("store: no such argument")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store: directory in use by another process")
	// ErrNewer: a newer version of the program wrote the store.
	ErrNewer = errors.New("store: newer format")
	// ErrSilent: the broker that has the job does not answer.
	ErrSilent = errors.New("store: the job's broker does not answer")
	// ErrDamaged: a stored record cannot be read.
	ErrDamaged = errors.New("store: damaged")
)

// UniqueTaken is the error of a receipt whose job was not stored, because another living job has the same
// function and unique id: one of another broker, or one that this broker has taken over. The submitter joins
// that job.
type UniqueTaken struct{ Number uint64 }

func (t *UniqueTaken) Error() string { return fmt.Sprintf("store: job %d has the unique id", t.Number) }

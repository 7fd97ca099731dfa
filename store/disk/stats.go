package disk

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/internal/histogram"
)

// Activity counts what happened since a directory was opened. Counters only increase.
type Activity struct {
	Segments int
	Written  uint64 // bytes of jobs, including their arguments
	Failures Failures
	Since    time.Time // since when writing fails; zero: it works

	Sync  histogram.Histogram // durations of syncs of the log (histogram.Turns)
	Batch histogram.Histogram // jobs written together (histogram.Batches)
}

// Failures counts failures by what failed.
type Failures [Operations]uint64

// Operation is what the store did when it failed.
type Operation uint8

const (
	Write      Operation   = iota // jobs to the log
	Sync                          // the log
	Argument                      // a large argument to its file
	Read                          // a large argument from its file
	Retry                         // an attempt to write again after a failure
	Operations = int(iota)        // number of operations
)

var operationNames = [Operations]string{"write", "sync", "argument", "read", "retry"}

// String returns the value of the metric's label.
func (o Operation) String() string { return operationNames[o] }

// Sum returns the number of all failures.
func (f *Failures) Sum() (n uint64) {
	for _, k := range f {
		n += k
	}
	return n
}

// syncError is an error of a sync of the log.
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// writing returns which operation on the log failed with err.
func writing(err error) Operation {
	if errors.As(err, &syncError{}) {
		return Sync
	}
	return Write
}

// Activity returns the counters. It does not wait for the disk.
func (d *Disk) Activity() Activity {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.activity
	a.Segments = len(d.segments)
	return a
}

// Free returns the free space for the directory, in bytes. It may wait for the disk.
func (d *Disk) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.opts.Dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// recordSyncs records the durations of the latest syncs. d.mu is held.
func (d *Disk) recordSyncs() {
	for _, took := range d.c.took {
		d.activity.Sync.Add(histogram.Turns.In(int64(took)), int64(took))
	}
	d.c.took = d.c.took[:0]
}

// wrote counts a written batch. d.mu is held.
func (d *Disk) wrote(b *batch) {
	d.activity.Written += uint64(b.bytes)
	if n := int64(len(b.jobs) - b.moved); n > 0 {
		d.activity.Batch.Add(histogram.Batches.In(n), n)
	}
}

// count counts a failure that concerns one job.
func (d *Disk) count(op Operation) {
	d.mu.Lock()
	d.activity.Failures[op]++
	d.mu.Unlock()
}

// failedAt counts a failure after which nothing can be written. d.mu is held.
func (d *Disk) failedAt(now time.Time, op Operation) {
	d.activity.Failures[op]++
	if d.activity.Since.IsZero() {
		d.activity.Since = now
	}
}

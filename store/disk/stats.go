package disk

import (
	"time"

	"golang.org/x/sys/unix"

	"gearloop/internal/histogram"
)

// Activity counts what happened since a directory was opened. Counters only increase.
type Activity struct {
	Segments int
	Written  uint64    // bytes of jobs, including their arguments
	Failures uint64    // failed writes, and failed attempts to write again
	Since    time.Time // since when writing fails; zero: it works

	Sync  histogram.Histogram // durations of syncs of the log (histogram.Turns)
	Batch histogram.Histogram // jobs written together (histogram.Batches)
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

// synced records the duration of a sync.
func (d *Disk) synced(took time.Duration) {
	d.mu.Lock()
	d.activity.Sync.Add(histogram.Turns.In(int64(took)), int64(took))
	d.mu.Unlock()
}

// wrote counts a written batch. d.mu is held.
func (d *Disk) wrote(b *batch) {
	d.activity.Written += uint64(b.bytes)
	if n := int64(len(b.jobs) - b.moved); n > 0 {
		d.activity.Batch.Add(histogram.Batches.In(n), n)
	}
}

// failedAt counts a failure. d.mu is held.
func (d *Disk) failedAt(now time.Time) {
	d.activity.Failures++
	if d.activity.Since.IsZero() {
		d.activity.Since = now
	}
}

package disk

import (
	"time"

	"golang.org/x/sys/unix"

	"gearloop/internal/histogram"
)

// Activity is what has been done since a directory was opened. Counters only go up.
type Activity struct {
	Segments int
	Written  uint64    // bytes of jobs, their arguments included
	Failures uint64    // times that writing failed, or failed again
	Since    time.Time // since when it fails; zero: it does not

	Sync  histogram.Histogram // how long syncs of the log took (histogram.Turns)
	Batch histogram.Histogram // jobs that were written together (histogram.Batches)
}

// Activity returns what has been done. It does not wait for the disk.
func (d *Disk) Activity() Activity {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.activity
	a.Segments = len(d.segments)
	return a
}

// Free returns how much room there is for the directory, in bytes. It may wait for the disk.
func (d *Disk) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.opts.Dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// synced counts a sync that took so long.
func (d *Disk) synced(took time.Duration) {
	d.mu.Lock()
	d.activity.Sync.Add(histogram.Turns.In(int64(took)), int64(took))
	d.mu.Unlock()
}

// wrote counts a batch that is written. d.mu is held.
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

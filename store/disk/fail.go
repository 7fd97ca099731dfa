package disk

import (
	"fmt"
	"time"

	"gearloop/store"
)

// fail gives up the segment that is written, after err. A batch that was being written is refused, and so is what
// has gathered since; what had ended in it is kept for the next attempt.
func (d *Disk) fail(err error, b *batch) {
	out := d.c.out
	d.closeOut()
	d.c.cleaner.close()
	d.c.cleaner = nil
	d.c.retryAt = time.Now().Add(d.opts.retryEvery)

	d.mu.Lock()
	d.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
	d.writing = 0
	if out != nil {
		last := d.segments[len(d.segments)-1]
		last.synced = min(out.synced, last.size)
	}
	gathered := d.next
	d.next = &batch{}
	for _, lost := range []*batch{b, gathered} {
		if lost == nil {
			continue
		}
		d.next.ended = append(d.next.ended, lost.ended...)
		d.next.retries = append(d.next.retries, lost.retries...)
		d.next.unlink = append(d.next.unlink, lost.unlink...)
		for i := range lost.jobs {
			p := &lost.jobs[i]
			if p.moved {
				continue // it is still where it was
			}
			if s := d.jobs.at(p.slot); s.number == p.number && s.state != slotFree {
				d.release(p.slot)
			}
			// The segment that is begun next says that its entry does not count, if it is on disk. After that
			// its argument may go.
			if p.argument != nil {
				d.next.unlink = append(d.next.unlink, p.number)
			}
		}
	}
	failed := d.failed
	d.mu.Unlock()

	d.report(failed)
	for _, lost := range []*batch{b, gathered} {
		if lost != nil {
			d.tell(lost, failed)
		}
	}
}

// tryAgain begins a new segment after a failure and reports whether that went well.
func (d *Disk) tryAgain() bool {
	err := d.inPlace()
	if err == nil {
		err = d.probe()
	}
	if err == nil {
		err = d.renew()
	}
	d.mu.Lock()
	d.failed, d.ended = nil, nil
	if err != nil {
		d.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
		d.ended = d.failed
	}
	d.mu.Unlock()
	if err != nil {
		d.c.retryAt = time.Now().Add(d.opts.retryEvery)
		d.report(fmt.Errorf("%w: %w", store.ErrFailed, err))
		return false
	}
	d.relieve()
	return true
}

// inPlace reports whether META and all segments are still where they were: nothing may be written into another
// directory that was put there, nor behind a segment that is gone.
func (d *Disk) inPlace() error {
	for _, s := range d.segments {
		if err := d.place.is(&s.file); err != nil {
			return err
		}
	}
	return d.place.holds()
}

// probe finds out whether a segment that had no room could be written a little further, and META be changed.
func (d *Disk) probe() error {
	if err := d.note(func(*meta) {}); err != nil {
		return err
	}
	path := d.path("PROBE")
	w, err := createWriter(d.fs, path, 0)
	if err != nil {
		return err
	}
	err = w.batch(make([]byte, d.opts.probe))
	if err == nil {
		err = w.records.Flush()
	}
	if err == nil {
		err = w.sync()
	}
	_ = w.file.Close()
	if removed := d.fs.Remove(path); err == nil {
		err = removed
	}
	return err
}

// report tells of a fault, if none was told of lately.
func (d *Disk) report(err error) {
	now := time.Now()
	if d.opts.Fault == nil || err == nil || !d.c.faultAt.IsZero() && now.Sub(d.c.faultAt) < d.opts.faultEvery {
		return
	}
	d.c.faultAt, d.c.reported = now, true
	d.opts.Fault(err)
}

// relieve tells that all faults that were told of are over.
func (d *Disk) relieve() {
	if d.c.reported && d.c.out != nil && !d.c.refused && d.c.tidyAt.IsZero() {
		d.c.reported = false
		d.opts.Fault(nil)
	}
}

// end closes the log, when nothing waits any more.
func (d *Disk) end() bool {
	d.tidy(0)
	d.c.cleaner.close()
	d.ended = d.sync()
	if d.ended == nil {
		d.ended = d.holds()
	}
	if d.ended == nil {
		d.ended = d.note(func(m *meta) { m.Synced = d.c.out.synced })
	}
	d.closeOut()
	return true
}

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
		d.segments[len(d.segments)-1].synced = out.synced
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
	err := d.probe()
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

// renew begins a new segment with what stands in the newest one and may not be on disk.
func (d *Disk) renew() error {
	if len(d.segments) == 0 {
		return d.begin(nil, 0)
	}
	last := d.segments[len(d.segments)-1]
	r, err := d.rescue(last)
	if err != nil {
		return err
	}
	if err := d.begin(r.tail, r.end); err != nil {
		return err
	}
	d.moveRescued(last, &r)
	return nil
}

// rescued is what stands in a segment, counts, and may not be on disk: the system may have it still, or have
// failed to write it. Of a segment that failed these are jobs that were acknowledged without a sync; of the one
// that an earlier process wrote last, what that was about to sync.
type rescued struct {
	tail  [][]byte
	slots []uint32
	end   int64 // of what counts of the segment, when the tail is in the next
}

// rescue reads it, to be written anew.
func (d *Disk) rescue(s *segment) (r rescued, err error) {
	r.end = s.size
	if s.synced >= s.size {
		return r, nil
	}
	living := d.livingIn(s.id)
	read, err := scan(d.fs, d.path(segmentName(s.id)), reading{limit: s.size, visit: func(at int64, e *entry) error {
		if at < s.synced {
			return nil
		}
		if i, lives := living[e.number]; lives && e.kind == kindJob {
			r.slots = append(r.slots, i)
		}
		if n := len(r.tail); n == 0 || len(r.tail[n-1]) >= recordSize {
			r.tail = append(r.tail, nil)
		}
		record := &r.tail[len(r.tail)-1]
		*record = e.append(*record)
		return nil
	}})
	if err != nil {
		return r, err
	}
	if read.good < s.size {
		d.report(fmt.Errorf("%w: %s: %d bytes that were not synced are lost",
			store.ErrDamaged, segmentName(s.id), s.size-read.good))
		return rescued{end: s.size}, nil
	}
	r.end = s.synced
	return r, nil
}

// moveRescued notes that the jobs are in the new segment.
func (d *Disk) moveRescued(from *segment, r *rescued) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from.size = r.end
	to := d.segments[len(d.segments)-1]
	for _, i := range r.slots {
		if s := d.jobs.at(i); s.state == slotStored && uint64(s.segment) == from.id {
			s.segment = uint32(to.id)
			from.live--
			to.live++
		}
	}
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
	d.c.cleaner.close()
	d.ended = d.sync()
	if d.ended == nil {
		d.ended = d.note(func(m *meta) { m.Synced = d.c.out.synced })
	}
	d.closeOut()
	return true
}

package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// fail gives up the current segment after err. The batch that was being written is refused, and so is what
// has gathered since; ends in it are kept for the next attempt.
func (d *Disk) fail(err error, b *batch) {
	out := d.c.out
	if out != nil && out.durable != nil && undurable(err) {
		d.c.cached = true // it took the beginning of the segment only
	}
	d.closeOut()
	d.c.cleaner.close()
	d.c.cleaner = nil
	d.c.retryAt = time.Now().Add(d.opts.retryEvery)

	d.mu.Lock()
	d.failed = failure(err)
	d.failedAt(time.Now(), writing(err))
	d.c.batch, d.writing, d.writingCopied = nil, 0, 0
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
		d.next.updates = append(d.next.updates, lost.updates...)
		d.next.unlink = append(d.next.unlink, lost.unlink...)
		for i := range lost.jobs {
			p := &lost.jobs[i]
			if !p.moved() && d.slotOf(p) != nil { // a moved one is still where it was
				d.release(p.slot)
			}
		}
		// If the entry is on disk, the next segment says that it does not count. Only then may its argument be
		// removed.
		for i := range lost.large {
			d.next.unlink = append(d.next.unlink, lost.jobs[lost.large[i].index].number)
		}
	}
	failed := d.failed
	d.mu.Unlock()

	d.report(failed)
	for _, lost := range []*batch{b, gathered} {
		if lost != nil {
			d.receipts(lost, failed)
		}
	}
}

// failure returns an ErrFailed. It replaces the name under which a segment was created by the one that it
// has.
func failure(err error) error {
	if cause := (*os.PathError)(nil); errors.As(err, &cause) {
		cause.Path = strings.TrimSuffix(cause.Path, newSuffix)
	}
	return fmt.Errorf("%w: %w", store.ErrFailed, err)
}

// tryAgain begins a new segment after a failure and reports whether that succeeded. With probe there must be
// room for more than the segment's beginning.
func (d *Disk) tryAgain(probe bool) bool {
	err := d.inPlace()
	if err == nil && probe {
		err = d.probe()
	}
	if err == nil {
		err = d.renew()
	}
	d.mu.Lock()
	if d.failed = nil; err != nil {
		d.failed = failure(err)
		d.failedAt(time.Now(), Retry)
	} else {
		d.activity.Since = time.Time{}
	}
	failed := d.failed
	d.mu.Unlock()
	if err != nil {
		d.c.retryAt = time.Now().Add(d.opts.retryEvery)
		d.report(failed)
		return false
	}
	d.relieve()
	return true
}

// leave closes a store that cannot be written to. That is an error only if something is not kept.
func (d *Disk) leave() {
	d.c.cleaner.close()
	if d.ended = d.failed; errors.Is(d.failed, errDisplaced) {
		return
	}
	if noRoom(d.failed) { // what was written before is intact
		d.syncTails()
	}
	if n := len(d.segments); n > 0 {
		// No newer segment could record that the refused part does not count.
		last := d.segments[n-1]
		err := d.note(func(m *meta) { m.Last, m.Synced, m.End = last.id, min(last.synced, last.size), last.size })
		if err != nil {
			return
		}
	}
	unsynced := slices.ContainsFunc(d.segments, func(s *segment) bool { return s.synced < s.size })
	d.mu.Lock()
	ends := len(d.next.ended)
	d.mu.Unlock()
	switch {
	case ends > 0:
		d.ended = fmt.Errorf("%w; ends of jobs that could not be stored, and are done again: up to %d", d.failed, ends)
	case unsynced:
		d.ended = fmt.Errorf("%w; the last jobs that were acknowledged may not be on the disk", d.failed)
	default:
		d.ended = nil
	}
}

// noRoom reports whether an error says that the disk is full.
func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// syncTails syncs in place what could not be rewritten.
func (d *Disk) syncTails() {
	for _, s := range d.segments {
		if s.synced >= s.size {
			continue
		}
		f, err := d.fs.OpenReadWrite(d.path(segmentName(s.id)), vfs.WriteCategoryUnspecified)
		if err != nil {
			return
		}
		if err = f.SyncData(); err == nil {
			s.synced = s.size
		}
		_ = f.Close()
	}
}

// inPlace returns an error unless META and all segments are where they were: nothing may be written into
// another directory that was put there, nor after a segment that is gone. Some file systems change the
// identity of a file that nobody has open, so for those segments it compares sizes.
func (d *Disk) inPlace() error {
	for _, s := range d.segments {
		info, err := d.fs.Stat(s.file.path)
		if displaced := isGone(err) || err == nil && info.Size() < s.size; displaced {
			err = fmt.Errorf("%s %w", s.file.path, errDisplaced)
		}
		if err != nil {
			return err
		}
	}
	return d.dir.holds()
}

// probe finds out whether a segment that had no room can be extended a little, and META be changed.
func (d *Disk) probe() error {
	if err := d.note(func(*meta) {}); err != nil {
		return err
	}
	path := d.path(probeName)
	err := d.writeProbe(path)
	if removed := d.fs.Remove(path); err == nil {
		return removed
	}
	if cause := (*os.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err // the name is meaningless to the reader
	}
	return fmt.Errorf("writing %d KiB in %s: %w", d.opts.probe>>10, d.opts.Dir, err)
}

func (d *Disk) writeProbe(path string) error {
	w, err := createWriter(d.fs, path, 0)
	if err != nil {
		return err
	}
	if err = w.batch(make([]byte, d.opts.probe)); err == nil {
		err = w.records.Flush()
	}
	if err == nil {
		err = w.sync()
	}
	return errors.Join(err, w.file.Close())
}

// report reports a fault, unless one was reported recently.
func (d *Disk) report(err error) {
	now := time.Now()
	if d.opts.Fault == nil || err == nil || !d.c.faultAt.IsZero() && now.Sub(d.c.faultAt) < d.opts.faultEvery {
		return
	}
	d.c.faultAt, d.c.reported = now, true
	d.opts.Fault(err)
}

// relieve reports that all reported faults are over.
func (d *Disk) relieve() {
	if d.c.reported && d.c.out != nil && !d.c.refused && d.c.tidyAt.IsZero() {
		d.c.reported = false
		d.opts.Fault(nil)
	}
}

// end closes the log when nothing waits any more.
func (d *Disk) end() bool {
	d.tidy(0)
	d.c.cleaner.close()
	d.ended = d.sync()
	if d.ended == nil {
		d.ended = d.holds()
	}
	if d.ended == nil {
		d.ended = d.note(func(m *meta) { m.Synced, m.Generation = d.c.out.synced, max(m.Generation, d.skipped) })
	}
	if d.ended == nil && d.skipped > 0 {
		d.ended = d.note(func(*meta) {}) // META is the only record of it, so both places get it
	}
	d.closeOut()
	return true
}

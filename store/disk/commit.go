package disk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"gearloop/store"
)

// committer is the state of the committer's goroutine.
type committer struct {
	out       *writer // nil while nothing can be written
	meta      meta    // the content of META
	spare     *batch
	batch     *batch          // being written
	told      []store.Receipt // empty; its memory is used again
	lazySince time.Time       // since when ends wait to be written
	lastSync  time.Time
	took      []time.Duration // durations of syncs that recordSyncs has not recorded
	retryAt   time.Time       // time of the next attempt to write again
	lastTries int             // attempts since Close
	tidyAt    time.Time       // no tidying before, after it failed
	remove    []string        // files to remove
	later     []string        // files to remove once a new segment is begun
	held      uint64          // segments from this one on must stay until then; 0 = none
	refused   bool            // an argument could not be written recently
	faultAt   time.Time       // time of the last report
	reported  bool            // a fault was reported, its end was not
	cleaner   *cleaner
	cached    bool // the file system refuses durable writes
}

// run is the committer.
func (d *Disk) run() {
	defer close(d.finished)
	defer d.bell.close()
	for {
		wait, again, end := d.turn()
		if end {
			return
		}
		if again {
			continue
		}
		d.bell.wait(wait)
	}
}

// turn does what is due. It returns how long there is nothing to do unless it is woken, whether there may be
// more to do at once, and whether the store has ended.
func (d *Disk) turn() (wait time.Duration, again, end bool) {
	wait = forever
	d.mu.Lock()
	ready, lazy, closed, failure, loaded := d.next.ready(), d.next.lazy(), d.closed, d.failed, d.loaded
	ready = ready || closed && len(d.next.jobs) > 0
	wantsRun := d.wantsRun && loaded
	d.recordSyncs()
	d.mu.Unlock()
	now := time.Now()
	switch {
	case failure != nil && !loaded && !closed:
		d.report(failure) // Start must find the jobs where they are
		return wait, false, false
	case failure != nil && closed:
		d.tidy(0)
		if d.c.lastTries++; d.c.lastTries <= 3 && d.tryAgain(false) {
			return 0, true, false
		}
		d.leave()
		return 0, false, true
	case failure != nil:
		d.tidy(0)
		if now.Before(d.c.retryAt) {
			return d.c.retryAt.Sub(now), false, false
		}
		d.tryAgain(true)
		return 0, true, false
	case wantsRun && !closed:
		d.openRun()
		return 0, true, false
	case ready || lazy >= lazyMost || lazy > 0 && closed:
		d.commit()
		return 0, true, false
	case closed:
		return 0, false, d.end()
	case lazy > 0:
		if d.c.lazySince.IsZero() {
			d.c.lazySince = now
		}
		if wait = d.c.lazySince.Add(d.opts.lazyFor).Sub(now); wait <= 0 {
			d.commit()
			return 0, true, false
		}
	}
	if d.opts.Sync == SyncInterval && d.c.out.unsynced() {
		due := d.c.lastSync.Add(d.opts.Interval).Sub(now)
		if due <= 0 {
			if err := d.sync(); err != nil {
				d.fail(err, nil)
			}
			return 0, true, false
		}
		wait = min(wait, due)
	}
	again = d.tidy(idleBudget)
	if !d.c.tidyAt.IsZero() {
		wait = min(wait, max(time.Until(d.c.tidyAt), time.Millisecond))
	}
	return wait, again, false
}

// commit writes the gathered batch and calls the receipts.
func (d *Disk) commit() {
	d.mu.Lock()
	b := d.next
	if d.next = d.c.spare; d.next == nil {
		d.next = &batch{}
	}
	d.c.spare, d.c.batch, d.writing, d.writingCopied = nil, b, b.bytes, b.copied
	full := d.c.out.records.Size() >= d.segmentLimit()
	if len(b.jobs) > 0 {
		d.alone = len(b.jobs) == 1
	}
	d.mu.Unlock()
	d.c.lazySince = time.Time{}

	if err := d.write(b, full); err != nil {
		d.fail(err, b)
		return
	}
	d.mu.Lock()
	d.recordWritten(b)
	d.wrote(b)
	d.recordSyncs()
	untidy := d.untidy()
	d.mu.Unlock()
	d.c.batch = nil
	d.receipts(b, nil)
	for _, number := range b.unlink {
		d.c.remove = append(d.c.remove, argumentName(number))
	}
	cost := b.bytes
	b.reset()
	d.c.spare = b
	if untidy || len(d.c.remove) > 0 {
		d.tidy(cleanPace*cost + cleanLeast)
	}
	if d.opts.Sync == SyncInterval && time.Since(d.c.lastSync) >= d.opts.Interval {
		if err := d.sync(); err != nil {
			d.fail(err, nil)
		}
	}
}

// recordWritten records what a written batch has changed. Append has recorded most of its jobs already. d.mu is
// held.
func (d *Disk) recordWritten(b *batch) {
	d.writing, d.writingCopied = 0, 0
	active := d.segments[len(d.segments)-1]
	active.size, active.synced = d.c.out.records.Size(), d.c.out.synced
	for i := range b.large {
		l := &b.large[i]
		switch s := d.slotOf(&b.jobs[l.index]); {
		case s == nil:
		case l.err != nil:
			d.release(b.jobs[l.index].slot)
		default:
			s.state = slotStored
		}
	}
	for i := 0; b.moved > 0 && i < len(b.jobs); i++ {
		if p := &b.jobs[i]; p.moved() {
			d.moveTo(active, d.slotOf(p))
		}
	}
}

// slotOf returns the slot of a job in a batch, nil if it has ended. d.mu is held.
func (d *Disk) slotOf(p *pending) *slot {
	if s := d.jobs.at(p.slot); s.number == p.number && s.state != slotFree {
		return s
	}
	return nil
}

// moveTo records that the entry of a job, unless that is nil, is in another segment. d.mu is held.
func (d *Disk) moveTo(to *segment, s *slot) {
	if s == nil || uint64(s.segment) == to.id {
		return
	}
	if old := d.segment(uint64(s.segment)); old != nil {
		old.live--
	}
	s.segment = uint32(to.id)
	to.live++
}

// moveUnwritten records that the jobs of a batch will be written to the newest segment. d.mu is held.
func (d *Disk) moveUnwritten(b *batch) {
	for i := range b.jobs {
		if p := &b.jobs[i]; !p.moved() {
			d.moveTo(d.segments[len(d.segments)-1], d.slotOf(p))
		}
	}
}

// receipts calls the receipts of a batch.
func (d *Disk) receipts(b *batch, err error) {
	if len(b.jobs) == b.moved {
		return
	}
	told := d.c.told[:0]
	larges := b.large
	for i := range b.jobs {
		p, result := &b.jobs[i], err
		if len(larges) > 0 && larges[0].index == i {
			if result == nil {
				result = larges[0].err
			}
			larges = larges[1:]
		}
		switch {
		case p.moved():
		case result == nil && d.bulk != nil:
			told = append(told, p.receipt)
		default:
			told = d.tell(told)
			p.receipt.Stored(ref(p.slot, p.number), result)
		}
	}
	d.c.told = d.tell(told)
	d.events.Flushed()
}

// tell calls receipts without an error, and returns the slice empty.
func (d *Disk) tell(receipts []store.Receipt) []store.Receipt {
	if len(receipts) > 0 {
		d.bulk.StoredAll(receipts)
		clear(receipts)
	}
	return receipts[:0]
}

// write appends a batch to the log, in a new segment if the newest one is full.
func (d *Disk) write(b *batch, full bool) error {
	if full {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	if err := d.writeArguments(b); err != nil {
		return err
	}
	out := d.c.out
	from, to, larges := 0, 0, b.large
	for i := range b.jobs {
		end, refused := to+int(b.jobs[i].size), false
		if len(larges) > 0 && larges[0].index == i {
			refused, larges = larges[0].err != nil, larges[1:]
		}
		if from < to && (refused || to-from >= recordSize) {
			if err := out.batch(b.entries[from:to]); err != nil {
				return err
			}
			from = to
		}
		if to = end; refused {
			from = end
		}
	}
	if from < to {
		if err := out.batch(b.entries[from:to]); err != nil {
			return err
		}
	}
	if len(b.ended)+len(b.updates) > 0 {
		// The jobs' entries are not needed any more; the ends reuse their memory.
		rest := b.entries[:0]
		for _, number := range b.ended {
			rest = appendEnd(rest, number)
		}
		for i := range b.updates {
			rest = appendUpdate(rest, &b.updates[i])
		}
		b.entries = rest
		if err := out.batch(rest); err != nil {
			return err
		}
	}
	if err := out.records.Flush(); err != nil {
		return err
	}
	if d.opts.Sync == SyncAlways || b.moved > 0 || len(b.unlink) > 0 {
		if err := d.sync(); err != nil {
			return err
		}
	}
	return d.holds()
}

// batch writes one record.
func (w *writer) batch(entries []byte) error {
	r, err := w.records.Next()
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(w.header[:], uint64(w.synced))
	if _, err := r.Write(w.header[:]); err != nil {
		return err
	}
	_, err = r.Write(entries)
	return err
}

func (w *writer) unsynced() bool { return w.records.Size() != w.synced }

func (d *Disk) sync() error {
	d.c.lastSync = time.Now()
	if !d.c.out.unsynced() {
		return nil
	}
	err := d.c.out.sync()
	d.c.took = append(d.c.took, time.Since(d.c.lastSync))
	if err != nil {
		return syncError{err}
	}
	return nil
}

// writeArguments writes the large arguments of a batch to their files. A failure affects only the job of that
// argument.
func (d *Disk) writeArguments(b *batch) error {
	written, refused := false, false
	for i := range b.large {
		l := &b.large[i]
		number := b.jobs[l.index].number
		if !written && !refused {
			if err := d.holds(); err != nil {
				return err
			}
		}
		// The job may have been refused before, and is appended again under its number.
		b.unlink = slices.DeleteFunc(b.unlink, func(n uint64) bool { return n == number })
		name := argumentName(number)
		d.keep(name)
		if err := writeArgument(d.fs, d.path(name), l.argument); err != nil {
			l.err = fmt.Errorf("%w: %w", store.ErrFailed, err)
			d.count(Argument)
			d.report(err)
			_ = d.fs.Remove(d.path(name)) // the rest is an orphan that the next start removes
			refused = true
			continue
		}
		written = true
	}
	if written || refused || time.Since(d.c.faultAt) > d.opts.faultEvery {
		d.c.refused = refused
	}
	if !written {
		return nil
	}
	return syncDir(d.fs, d.opts.Dir)
}

// keep removes a file that is about to be written from the lists of files to remove.
func (d *Disk) keep(name string) {
	for _, list := range []*[]string{&d.c.remove, &d.c.later} {
		*list = slices.DeleteFunc(*list, func(n string) bool { return n == name })
	}
}

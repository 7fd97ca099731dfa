package disk

import (
	"errors"
	"io"
	"os"

	"gearloop/store"
)

// pending is a job in a batch.
type pending struct {
	receipt store.Receipt // nil: rewritten by cleaning
	number  uint64
	slot    uint32
	size    uint32 // of its entry, which follows that of the job before
}

func (p *pending) moved() bool { return p.receipt == nil }

// large is a job in a batch whose argument is written to a file of its own.
type large struct {
	index    int // in the batch
	argument [][]byte
	err      error // why this job alone could not be stored
}

// update is what Update wants to be written.
type update struct {
	number      uint64
	retries     uint16
	priority    store.Priority
	prioritized bool // the priority is another than before
}

// batch is what one write puts into the log.
type batch struct {
	entries []byte // of jobs
	jobs    []pending
	large   []large // of jobs
	moved   int     // of jobs
	hurried bool    // the jobs are written as soon as the committer is free
	ended   []uint64
	updates []update
	unlink  []uint64 // numbers of ended jobs whose argument file must be removed
	bytes   int64
	copied  int64 // of these, bytes that the batch holds itself
}

// reset empties a batch for reuse. It drops buffers that have become unusually large.
func (b *batch) reset() {
	const keep = 4 << 20
	clear(b.jobs)
	clear(b.large)
	*b = batch{
		entries: b.entries[:0], jobs: b.jobs[:0], large: b.large[:0],
		ended: b.ended[:0], updates: b.updates[:0], unlink: b.unlink[:0],
	}
	if cap(b.entries) > keep {
		*b = batch{}
	}
}

// lazy returns how many entries may wait for the next job.
func (b *batch) lazy() int { return len(b.ended) + len(b.updates) + len(b.unlink) }

// Append implements Store.
func (d *Disk) Append(job *store.Job, receipt store.Receipt) (store.Ref, error) {
	size := 0
	for _, piece := range job.Argument {
		size += len(piece)
	}
	if size > store.MaxArgument || max(len(job.Function), len(job.Unique), len(job.Reducer)) > store.MaxName {
		return 0, store.ErrTooLarge
	}
	cost := int64(size + len(job.Function) + len(job.Unique) + len(job.Reducer) + fixedJob + 16)

	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.next
	copied := cost // a large argument stays where it is: the job has its memory
	if size >= d.opts.large {
		copied -= int64(size)
	}
	switch waiting := b.copied + d.writingCopied; {
	case d.closed:
		return 0, store.ErrClosed
	case d.failed != nil:
		return 0, d.failed
	case waiting > 0 && waiting+copied > d.opts.MaxQueued:
		return 0, store.ErrBusy
	}
	p := pending{receipt: receipt, number: job.Number, slot: d.jobs.take()}
	start := len(b.entries)
	b.entries = appendJob(b.entries, job, d.order, size, size >= d.opts.large)
	p.size = uint32(len(b.entries) - start)
	d.order++
	active := d.segments[len(d.segments)-1]
	s := d.jobs.at(p.slot)
	*s = slot{
		number: job.Number, segment: uint32(active.id), size: p.size,
		retries: job.Retries, priority: job.Priority, state: slotStored,
	}
	active.live++
	d.live += int64(p.size)
	if size >= d.opts.large {
		s.state = slotWriting
		b.large = append(b.large, large{index: len(b.jobs), argument: job.Argument})
		d.setLarge(p.slot, int64(size))
	}
	b.jobs = append(b.jobs, p)
	b.bytes += cost
	b.copied += copied
	d.appended()
	return ref(p.slot, job.Number), nil
}

func (d *Disk) setLarge(i uint32, size int64) {
	d.large[i] = size
	d.arguments += size
}

// release frees the slot of a job that has ended or was not stored, and reports whether the job had an
// argument file.
func (d *Disk) release(i uint32) (large bool) {
	s := d.jobs.at(i)
	d.live -= int64(s.size)
	if seg := d.segment(uint64(s.segment)); seg != nil {
		seg.live--
	}
	if len(d.large) > 0 {
		var size int64
		if size, large = d.large[i]; large {
			d.arguments -= size
			delete(d.large, i)
		}
	}
	d.jobs.give(i)
	return large
}

// segment returns the segment with this id. There are few, and most jobs are in one of the last.
func (d *Disk) segment(id uint64) *segment {
	for i := len(d.segments) - 1; i >= 0; i-- {
		if d.segments[i].id == id {
			return d.segments[i]
		}
	}
	return nil
}

// Done implements Store.
func (d *Disk) Done(r store.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.jobs.of(r)
	if i == 0 {
		return
	}
	number, before := d.jobs.at(i).number, d.next.lazy()
	if d.release(i) {
		d.next.unlink = append(d.next.unlink, number)
	}
	d.next.ended = append(d.next.ended, number)
	d.ringLazily(before)
}

// Update implements Store.
func (d *Disk) Update(r store.Ref, retries uint16, priority store.Priority) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.jobs.of(r)
	if i == 0 {
		return
	}
	s := d.jobs.at(i)
	d.next.updates = append(d.next.updates, update{s.number, retries, priority, priority != s.priority})
	s.retries, s.priority = retries, priority
	d.ringLazily(d.next.lazy() - 1)
}

// ringLazily wakes the committer for the first entry that may wait, so that it starts its timer, and when too
// many wait.
func (d *Disk) ringLazily(before int) {
	if before == 0 || before < lazyMost && d.next.lazy() >= lazyMost {
		d.bell.ring()
	}
}

// Argument implements Store.
func (d *Disk) Argument(r store.Ref, w io.Writer, done func(error)) {
	d.mu.Lock()
	var number uint64
	var size int64
	err := store.ErrGone
	if i := d.jobs.of(r); i != 0 {
		s := d.jobs.at(i)
		if n, large := d.large[i]; large && s.state == slotStored {
			number, size, err = s.number, n, nil
		}
	}
	if d.closed {
		err = store.ErrClosed
	}
	if err == nil {
		d.readers.Add(1)
	}
	d.mu.Unlock()
	if err != nil {
		go done(err)
		return
	}
	go func() {
		defer d.readers.Done()
		d.reading <- struct{}{}
		err := readArgument(d.fs, d.path(argumentName(number)), size, w)
		<-d.reading
		if errors.Is(err, os.ErrNotExist) && !d.knows(r) {
			err = store.ErrGone // while it was read
		}
		if err != nil && !errors.Is(err, store.ErrGone) {
			d.count(Read)
		}
		done(err)
	}()
}

// knows reports whether the job has not ended.
func (d *Disk) knows(r store.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.jobs.of(r) != 0
}

// Lookup implements Store: a directory has one broker only.
func (d *Disk) Lookup(uint64, func(store.Status)) bool { return false }

// NewRun implements Store.
func (d *Disk) NewRun() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opened < store.MaxRun { // otherwise the numbers run out, and jobs are refused
		d.wantsRun = true
		d.bell.ring()
	}
}

// Close implements Store.
func (d *Disk) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	d.mu.Unlock()
	d.bell.ring()
	<-d.finished
	if again {
		return d.ended
	}
	d.readers.Wait()
	if err := d.dir.Close(); d.ended == nil {
		d.ended = err
	}
	return d.ended
}

package disk

import "time"

// segmentSize is the size at which a new segment is begun. It grows with the amount of living data.
func (d *Disk) segmentSize() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.segmentLimit()
}

// segmentLimit is segmentSize for those who hold d.mu.
func (d *Disk) segmentLimit() int64 { return max(min(d.live/8, maxSegment), d.opts.segmentSize) }

// rotate closes the current segment and begins the next.
func (d *Disk) rotate() error {
	if err := d.sync(); err != nil {
		return err
	}
	d.mu.Lock()
	last := d.segments[len(d.segments)-1]
	last.synced = d.c.out.synced
	d.mu.Unlock()
	d.closeOut()
	return d.begin(&rescued{})
}

func (d *Disk) closeOut() {
	if d.c.out != nil {
		_ = d.c.out.close() // it is synced, or not trusted any more
		d.c.out = nil
	}
}

// begin begins a new segment, durably. Its first entries are what was rescued from earlier ones.
func (d *Disk) begin(r *rescued) error {
	id := d.c.meta.Last + 1
	previous := &segment{}
	if n := len(d.segments); n > 0 {
		previous = d.segments[n-1]
		id = previous.id + 1
	}
	d.keep(segmentName(id))
	d.mu.Lock()
	order := d.order
	d.mu.Unlock()
	create := createWriter
	if d.opts.Sync == SyncAlways && !d.c.cached {
		create = createDurable
	}
	beginning := func(w *writer) error {
		counts := min(previous.size, previous.synced)
		err := w.batch(appendBegin(nil, previous.id, counts, counts, d.opened/runsPerGeneration, d.opened, order))
		for i := 0; i < len(r.tail) && err == nil; i++ {
			err = w.batch(r.tail[i])
		}
		if err == nil {
			err = d.dir.holds()
		}
		return err
	}
	w, err := makeSegment(d.fs, d.opts.Dir, id, d.segmentSize(), create, beginning)
	if err != nil && undurable(err) && d.opts.Sync == SyncAlways && !d.c.cached {
		d.c.cached = true
		w, err = makeSegment(d.fs, d.opts.Dir, id, d.segmentSize(), createWriter, beginning)
	}
	if err != nil {
		return err
	}
	info, err := w.file.Stat()
	if err != nil {
		_ = w.close()
		return err
	}
	// From here on the segment is part of the log, even if META cannot be changed.
	d.mu.Lock()
	d.segments = append(d.segments, &segment{
		id: id, size: w.synced, synced: w.synced, file: knownFile{d.path(segmentName(id)), identify(info)},
	})
	d.moveRescued(r)
	d.moveUnwritten(d.next)
	if d.c.batch != nil {
		d.moveUnwritten(d.c.batch)
	}
	first := d.segments[0].id
	d.mu.Unlock()
	d.c.out, d.c.lastSync = w, time.Now()
	d.c.remove, d.c.later, d.c.held = append(d.c.remove, d.c.later...), nil, 0
	err = d.note(func(m *meta) {
		d.noteRun(m)
		m.First, m.Last, m.Synced, m.End = max(m.First, first), id, w.synced, 0
	})
	if err == nil {
		err = d.holds()
	}
	if err != nil {
		d.closeOut()
	}
	return err
}

// holds reports an error if the directory's path no longer leads to the open files. It takes two system calls
// before each batch is acknowledged.
func (d *Disk) holds() error {
	if err := d.dir.is(&d.segments[len(d.segments)-1].file); err != nil {
		return err
	}
	return d.dir.holds()
}

func (d *Disk) noteRun(m *meta) { m.Generation, m.Run = d.opened/runsPerGeneration, d.opened }

// note changes META.
func (d *Disk) note(change func(*meta)) error {
	m := d.c.meta
	change(&m)
	m.Format = format
	m.Turn++
	if d.dir.meta == nil {
		if err := makeMeta(d.fs, d.opts.Dir, m); err != nil {
			return err
		}
		if err := d.dir.openMeta(); err != nil {
			return err
		}
	} else if err := m.writeTo(d.dir.meta); err != nil {
		return err
	}
	d.c.meta = m
	return nil
}

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

const (
	idleBudget = 1 << 20 // bytes cleaned while there is nothing else to do
	cleanPace  = 4       // bytes cleaned for each byte written
	cleanLeast = 64 << 10
)

// tidy drops segments without living jobs. If there is too much garbage it also moves living jobs of the
// oldest segment, reading about budget bytes. It reports whether it did anything.
func (d *Disk) tidy(budget int64) bool {
	d.mu.Lock()
	ready := d.loaded && (d.c.tidyAt.IsZero() || time.Now().After(d.c.tidyAt))
	d.mu.Unlock()
	if !ready {
		return false
	}
	did, err := d.drop()
	if err == nil && budget > 0 && d.crowded() {
		var cleaned bool
		cleaned, err = d.clean(budget)
		did = did || cleaned
	}
	if err != nil {
		d.c.tidyAt = time.Now().Add(10 * d.opts.retryEvery)
		d.report(err)
		return false
	}
	d.c.tidyAt = time.Time{}
	d.relieve()
	return did
}

// untidy reports whether tidy may have something to do. d.mu is held.
func (d *Disk) untidy() bool {
	return d.c.reported || !d.c.tidyAt.IsZero() || len(d.segments) > 1 && d.segments[0].live == 0 || d.isCrowded()
}

// drop removes the oldest segments while they have no living jobs. META is changed first; then the order of
// removal does not matter.
func (d *Disk) drop() (did bool, err error) {
	d.mu.Lock()
	dead := 0
	for dead < len(d.segments)-1 && d.segments[dead].live == 0 && d.segments[dead].id != d.c.held {
		dead++
	}
	segments := d.segments
	d.mu.Unlock()
	if dead > 0 {
		first, newest := segments[dead], segments[len(segments)-1]
		err := d.note(func(m *meta) {
			if m.First = first.id; m.Last < first.id { // META could not be changed when that segment was begun
				m.Last, m.Synced, m.End = newest.id, newest.synced, 0
			}
		})
		if err != nil {
			return false, err
		}
		for _, s := range segments[:dead] {
			if d.c.cleaner.of(s) {
				d.c.cleaner.close()
				d.c.cleaner = nil
			}
			d.c.remove = append(d.c.remove, segmentName(s.id))
		}
		d.mu.Lock()
		d.segments = append(d.segments[:0:0], segments[dead:]...)
		d.mu.Unlock()
	}
	return dead > 0, d.removeFiles()
}

// removeFiles removes files that are not needed any more. What cannot be removed is tried again later, and by
// the next start.
func (d *Disk) removeFiles() error {
	if len(d.c.remove) > 0 {
		if err := d.dir.holds(); err != nil {
			return err // the files may belong to another directory
		}
	}
	for len(d.c.remove) > 0 {
		name := d.c.remove[len(d.c.remove)-1]
		if err := d.fs.Remove(d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		d.c.remove = d.c.remove[:len(d.c.remove)-1]
	}
	return nil
}

// crowded reports whether there is too much garbage, so that the living jobs of the oldest segment must be
// moved.
func (d *Disk) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isCrowded()
}

// isCrowded is crowded for those who hold d.mu.
func (d *Disk) isCrowded() bool {
	if len(d.segments) < 2 || d.segments[0].stuck {
		return false
	}
	var total int64
	for _, s := range d.segments {
		total += s.size
	}
	// This keeps the total below twice the living data even while a segment is being moved.
	return total > d.live/10*16+2*d.opts.segmentSize ||
		len(d.segments) > maxSegments && total/int64(len(d.segments)) < d.opts.segmentSize/2
}

// cleaner reads a segment and adds its living jobs to the next batch.
type cleaner struct {
	segment *segment
	file    vfs.File
	records *record.Reader
	living  map[uint64]uint32 // slots of its living jobs by number
	moved   int
	buf     []byte
}

func (c *cleaner) of(s *segment) bool { return c != nil && c.segment == s }

func (c *cleaner) close() {
	if c != nil && c.file != nil {
		_ = c.file.Close()
		c.file = nil
	}
}

// clean continues moving the living jobs of the oldest segment.
func (d *Disk) clean(budget int64) (did bool, err error) {
	c := d.c.cleaner
	if c == nil {
		if c, err = d.newCleaner(); err != nil {
			return false, err
		}
		d.c.cleaner = c
	}
	for c.file != nil && budget > 0 {
		at := c.records.Offset()
		if at >= c.segment.size {
			err = io.EOF
		} else {
			c.buf, err = readRecord(c.records, c.buf[:0])
		}
		if err == nil {
			err = d.move(c)
		}
		switch {
		case err == io.EOF:
			c.close()
		case err != nil:
			c.close()
			d.c.cleaner, c.segment.stuck = nil, unreadable(err)
			return did, fmt.Errorf("store: %s can't be cleaned: %w", segmentName(c.segment.id), err)
		}
		budget -= int64(len(c.buf))
		did = true
	}
	if c.file == nil && !did {
		// Every live job was moved and written; any remainder means corruption.
		d.mu.Lock()
		waits, left := d.next.moved > 0, c.segment.live
		c.segment.stuck = !waits && left > 0 && c.moved == 0
		d.mu.Unlock()
		if !waits {
			d.c.cleaner = nil
		}
		if c.segment.stuck {
			return false, fmt.Errorf("%w: %d jobs are not in %s any more", store.ErrDamaged, left, segmentName(c.segment.id))
		}
	}
	return did, nil
}

func (d *Disk) newCleaner() (*cleaner, error) {
	d.mu.Lock()
	c := &cleaner{segment: d.segments[0]}
	d.mu.Unlock()
	f, err := d.fs.Open(d.path(segmentName(c.segment.id)), vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	c.file, c.records = f, record.NewReader(f, 0)
	c.living = d.livingIn(c.segment.id)
	return c, nil
}

// livingIn returns the slots of the living jobs of a closed segment, by number.
func (d *Disk) livingIn(segment uint64) map[uint64]uint32 {
	living := map[uint64]uint32{}
	d.mu.Lock()
	used := d.jobs.used
	d.mu.Unlock()
	// Jobs only leave the segment meanwhile, so the lock can be released between the chunks.
	for from := uint32(0); from <= used; from += slotsPerChunk {
		d.mu.Lock()
		for i := max(from, 1); i < from+slotsPerChunk && i <= used; i++ {
			if s := d.jobs.at(i); s.state == slotStored && uint64(s.segment) == segment {
				living[s.number] = i
			}
		}
		d.mu.Unlock()
	}
	return living
}

// move adds the living jobs of the record in c.buf to the next batch.
func (d *Disk) move(c *cleaner) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.next
	for rest := c.buf[min(batchHeader, len(c.buf)):]; len(rest) > 0; {
		var e entry
		if e, rest, err = cutEntry(rest); err != nil {
			return err
		}
		i, lives := c.living[e.number]
		if e.kind != kindJob || !lives {
			continue
		}
		s := d.jobs.at(i)
		if s.number != e.number || s.state != slotStored || uint64(s.segment) != c.segment.id {
			continue
		}
		start := len(b.entries)
		b.entries = append(b.entries, e.raw...)
		patchJob(b.entries[start:], s.retries, s.priority)
		b.jobs = append(b.jobs, pending{number: e.number, slot: i, size: uint32(len(e.raw))})
		b.moved++
		b.bytes += int64(len(e.raw))
		c.moved++
	}
	if b.moved > 0 && !b.hurried {
		b.hurried = true
		d.bell.ring()
	}
	return nil
}

package disk

import (
	"fmt"
	"slices"

	"gearloop/store"
)

// renew begins a new segment with everything in earlier ones that may not be on disk.
func (d *Disk) renew() error {
	r, err := d.rescue()
	if err != nil {
		return err
	}
	return d.begin(&r)
}

// rescued is what is in segments, counts, and may not be on disk, because the system has only cached it or
// failed to write it. In a segment that failed these are jobs acknowledged without a sync; in the last
// segment of an earlier process, what that process was about to sync.
type rescued struct {
	tail  [][]byte // records
	slots []uint32
	from  []*segment
}

// rescue reads it for rewriting.
func (d *Disk) rescue() (r rescued, err error) {
	for i, s := range d.segments {
		if s.synced >= s.size {
			continue
		}
		if err := d.rescueFrom(s, i == len(d.segments)-1, &r); err != nil {
			return r, err
		}
		r.from = append(r.from, s)
	}
	return r, nil
}

// rescueFrom reads the tail of a segment. If newer segments exist, an update in it may be outdated, but the
// ends of jobs, and jobs that are still located there, are not.
func (d *Disk) rescueFrom(s *segment, newest bool, r *rescued) error {
	living := d.livingIn(s.id)
	read, err := scan(d.fs, d.path(segmentName(s.id)), reading{limit: s.size, visit: func(at int64, e *entry) error {
		i, lives := living[e.number]
		switch {
		case at < s.synced, e.kind == kindJob && !lives, e.kind == kindUpdate && !newest:
			return nil
		case e.kind == kindJob:
			r.slots = append(r.slots, i)
			d.shuffled = d.shuffled || !newest
		}
		if n := len(r.tail); n == 0 || len(r.tail[n-1]) >= recordSize {
			r.tail = append(r.tail, nil)
		}
		record := &r.tail[len(r.tail)-1]
		at = int64(len(*record))
		*record = e.append(*record)
		if e.kind == kindJob {
			d.mu.Lock()
			patchJob((*record)[at:], d.jobs.at(i).retries, d.jobs.at(i).priority)
			d.mu.Unlock()
		}
		return nil
	}})
	if err == nil && read.good < s.size {
		d.report(fmt.Errorf("%w: %s: %d bytes that were not synced are lost",
			store.ErrDamaged, segmentName(s.id), s.size-max(read.good, s.synced)))
	}
	return err
}

// moveRescued records that the jobs are in the newest segment. The lock is held.
func (d *Disk) moveRescued(r *rescued) {
	to := d.segments[len(d.segments)-1]
	for _, i := range r.slots {
		if s := d.jobs.at(i); s.state != slotFree {
			d.moveTo(to, s)
		}
	}
	for _, s := range r.from {
		s.size = s.synced
	}
}

// hold finds what must stay while unsynced tails cannot be rewritten: a loss of power may take a tail, and
// with it the end of a job that has an argument file, or a job that was moved there.
func (d *Disk) hold() error {
	ends, moved := map[string]bool{}, map[uint64]bool{}
	for _, s := range d.segments {
		if s.synced >= s.size {
			continue
		}
		_, err := scan(d.fs, d.path(segmentName(s.id)), reading{limit: s.size, visit: func(at int64, e *entry) error {
			switch {
			case at < s.synced:
			case e.kind == kindJob:
				moved[e.number] = true
			case e.kind == kindEnd:
				ends[argumentName(e.number)] = true
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	d.c.remove = append(d.c.remove, d.c.later...)
	d.c.remove = slices.DeleteFunc(d.c.remove, func(name string) bool { return ends[name] })
	d.c.later = slices.DeleteFunc(d.c.later, func(name string) bool { return !ends[name] })
	for _, s := range d.segments {
		held := false
		_, err := scan(d.fs, d.path(segmentName(s.id)), reading{limit: s.synced, visit: func(_ int64, e *entry) error {
			held = held || e.kind == kindJob && moved[e.number]
			return nil
		}})
		if err != nil {
			return err
		}
		if held {
			d.c.held = s.id
			break
		}
	}
	return nil
}

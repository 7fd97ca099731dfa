package disk

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

func leUint64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// Disk is a Store in a local directory.
type Disk struct {
	opts      Options
	fs        vfs.FS
	dir       *lockedDir
	recovered []segment          // found by Open; Start reads it again
	events    store.Events       // set by Start
	bulk      store.BulkReceipts // events, if it can do that

	mu            sync.Mutex
	opened        uint64 // the run of new jobs; only the committer changes it
	wantsRun      bool   // NewRun was called
	skipped       uint64 // generation in which numbers were assigned elsewhere
	jobs          slots
	segments      []*segment       // oldest first; the last is written to
	next          *batch           // the batch that gathers
	writing       int64            // bytes of the batch being written
	writingCopied int64            // of these, bytes that the batch holds itself
	order         uint64           // order of the next job
	live          int64            // bytes of the entries of living stored jobs
	large         map[uint32]int64 // sizes of large arguments by slot
	arguments     int64            // sum of large
	failed        error            // wraps ErrFailed
	closed        bool
	index         map[uint64]uint32 // number to slot, until Start
	shuffled      bool              // entries may be out of order
	loaded        bool
	alone         bool        // the last batch with jobs had a single one
	timer         *time.Timer // calls hurryLate
	timed         bool        // timer is running
	activity      Activity

	bell     *bell         // wakes the committer; nil if there is none
	finished chan struct{} // the committer has ended
	ended    error         // its result; valid after finished
	readers  sync.WaitGroup
	reading  chan struct{} // bounds concurrent reads of arguments

	c committer
}

// Open opens a directory, creating it if necessary, and reads its content.
func Open(opts Options) (*Disk, error) {
	opts.setDefaults()
	fs := opts.fs
	if err := makeDir(fs, opts.Dir); err != nil {
		return nil, err
	}
	if fs == machine {
		if err := tighten(opts.Dir); err != nil {
			return nil, err
		}
	}
	l, err := lock(fs, opts.Dir)
	if err != nil {
		return nil, err
	}
	d := &Disk{
		opts: opts, fs: fs, dir: l, next: &batch{}, order: 1, index: map[uint64]uint32{}, large: map[uint32]int64{},
		finished: make(chan struct{}), reading: make(chan struct{}, 4),
	}
	if !opts.manual {
		d.bell, err = newBell()
	}
	if err == nil {
		err = d.open()
	}
	if err != nil {
		d.closeOut()
		d.bell.close()
		_ = l.Close()
		return nil, err
	}
	if !opts.manual {
		go d.run()
	}
	return d, nil
}

func (d *Disk) open() error {
	// A killed process may have left names that are only in the system's cache.
	if err := syncDir(d.fs, d.opts.Dir); err != nil {
		return err
	}
	state, err := readDir(d.fs, d.opts.Dir)
	if err != nil {
		return err
	}
	if err := state.scan(false, d.recover); err != nil {
		return err
	}
	if err := state.checkArguments(d.liveArguments(), false); err != nil {
		return err
	}
	if len(state.damage) > 0 {
		return &DamageError{Dir: d.opts.Dir, Damage: state.damage}
	}
	if d.opened = state.nextRun(); d.opened > store.MaxRun {
		return errNoRuns(d.opts.Dir)
	}
	d.order, d.c.meta = max(d.order, state.nextOrder), state.meta
	for i := range state.segments {
		g := &state.segments[i]
		file, err := d.dir.known(segmentName(g.id))
		if err != nil {
			return err
		}
		d.segments = append(d.segments, &segment{id: g.id, size: min(g.good, g.limit), synced: g.promised, file: file})
	}
	d.c.remove = state.leftovers
	for _, id := range state.dropped {
		d.c.remove = append(d.c.remove, segmentName(id))
	}
	for _, number := range state.orphans {
		d.c.later = append(d.c.later, argumentName(number))
	}
	if !state.noMeta {
		if err := d.dir.openMeta(); err != nil {
			return err
		}
	} else {
		// From now on segments without META are damage.
		if err := d.note(func(m *meta) { m.First = 1 }); err != nil {
			return err
		}
	}
	d.countLiving()
	goesOn := d.opts.resume
	if goesOn {
		goesOn, err = d.resume(state)
	}
	if err == nil && !goesOn {
		err = d.renew()
	}
	if err != nil {
		if !noRoom(err) {
			return err
		}
		// A broker must be able to start on a full disk: changing META needs no room.
		if err := d.note(d.noteRun); err != nil {
			return err
		}
		if err := d.hold(); err != nil {
			return err
		}
		d.failed = failure(err)
	}
	for _, s := range d.segments {
		d.recovered = append(d.recovered, *s)
	}
	return nil
}

// recover handles an entry that Open reads.
func (d *Disk) recover(g *scannedSegment, _ int64, e *entry) error {
	switch e.kind {
	case kindJob:
		if i, known := d.index[e.number]; known {
			d.release(i)
		}
		i := d.jobs.take()
		d.index[e.number] = i
		*d.jobs.at(i) = slot{
			number: e.number, segment: uint32(g.id), size: uint32(len(e.raw)), retries: e.retries, priority: e.priority,
			state: slotStored,
		}
		d.live += int64(len(e.raw))
		if e.large {
			d.setLarge(i, int64(e.size))
		}
		if e.order < d.order {
			d.shuffled = true
		}
		d.order = max(d.order, e.order+1)
	case kindEnd:
		if i, known := d.index[e.number]; known {
			d.release(i)
			delete(d.index, e.number)
		}
	case kindUpdate:
		if i, known := d.index[e.number]; known {
			s := d.jobs.at(i)
			if s.retries = e.retries; e.prioritized {
				s.priority = e.priority
			}
		}
	}
	return nil
}

// countLiving counts the living jobs of each segment.
func (d *Disk) countLiving() {
	live := map[uint32]int{}
	for _, i := range d.index {
		live[d.jobs.at(i).segment]++
	}
	for _, s := range d.segments {
		s.live = live[uint32(s.id)]
	}
}

// liveArguments returns the sizes of the arguments that must be in files, by job number.
func (d *Disk) liveArguments() map[uint64]int64 {
	sizes := map[uint64]int64{}
	for i, size := range d.large {
		sizes[d.jobs.at(i).number] = size
	}
	return sizes
}

func (d *Disk) path(name string) string { return d.fs.PathJoin(d.opts.Dir, name) }

// Run returns the run of new jobs.
func (d *Disk) Run() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

// Stats implements Store.
func (d *Disk) Stats() store.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := store.Stats{
		Jobs: d.jobs.taken, LiveBytes: d.live + d.arguments, DiskBytes: d.arguments, Queued: d.next.bytes + d.writing,
		Failed: d.failed,
	}
	for _, seg := range d.segments {
		s.DiskBytes += seg.size
	}
	return s
}

var _ store.Store = (*Disk)(nil)

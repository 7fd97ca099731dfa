package disk

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// Report is the result of Check.
type Report struct {
	Format    int
	NextRun   uint64 // run that the next start opens, see store.Number
	Jobs      int    // living jobs
	Large     int    // of these, with an argument file
	Segments  int
	Bytes     int64 // of all segments
	LiveBytes int64 // of the living jobs' entries
	Unused    int64 // bytes of segments beyond what counts: preallocated space, and entries that were rewritten or refused
	Torn      int64 // the part of these that a crash left torn: nothing that was promised is lost with it
	Orphans   int   // argument files without a job; the next start removes them
	Damage    []Damage
}

// found is a job in a directory that is not open.
type found struct {
	order    uint64
	raw      []byte // its entry; nil if only its position is wanted
	size     int64  // of a large argument
	large    bool
	entry    int // bytes
	retries  uint16
	priority store.Priority
}

// directory reads a whole directory, including what follows damage, and all jobs in it.
func directory(fs vfs.FS, dir string, keep bool) (*dirState, map[uint64]*found, error) {
	state, err := readDir(fs, dir)
	if err != nil {
		return nil, nil, err
	}
	jobs := map[uint64]*found{}
	err = state.scan(true, func(_ *scannedSegment, _ int64, e *entry) error {
		switch e.kind {
		case kindJob:
			f := &found{order: e.order, size: int64(e.size), large: e.large, entry: len(e.raw),
				retries: e.retries, priority: e.priority}
			if keep {
				f.raw = slices.Clone(e.raw)
			}
			jobs[e.number] = f
		case kindEnd:
			delete(jobs, e.number)
		case kindUpdate:
			f := jobs[e.number]
			if f == nil {
				break
			}
			if f.retries = e.retries; e.prioritized {
				f.priority = e.priority
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	wanted := map[uint64]int64{}
	for number, f := range jobs {
		if f.large {
			wanted[number] = f.size
		}
	}
	return state, jobs, state.checkArguments(wanted, true)
}

// inOrder returns the jobs' numbers in the order of Append.
func inOrder(jobs map[uint64]*found) []uint64 {
	return slices.SortedFunc(maps.Keys(jobs), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(jobs[a].order, jobs[b].order), cmp.Compare(a, b))
	})
}

// exists returns an error if dir does not exist, so that commands which only read do not create it.
func exists(fs vfs.FS, dir string) error {
	info, err := fs.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("store: %s is not a directory", dir)
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := segmentOf(name); ok || name == metaName {
			return nil
		}
	}
	return fmt.Errorf("%w: %s has no META and no segments; a directory of jobs is one that was given to gearloop serve --data-dir",
		ErrNoStore, dir)
}

// ErrNoStore: the directory has never had a store.
var ErrNoStore = errors.New("store: no stored jobs")

// Check reads a whole directory that no broker has open. Damage is part of the report, not an error.
func Check(dir string, watch ...Watch) (Report, error) { return check(watched(watch), dir) }

func check(fs vfs.FS, dir string) (r Report, err error) {
	if err := exists(fs, dir); err != nil {
		return r, err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return r, err
	}
	defer l.Close()
	state, jobs, err := directory(fs, dir, false)
	if err != nil {
		return r, err
	}
	r = Report{
		Format: format, NextRun: state.nextRun(), Jobs: len(jobs), Segments: len(state.segments), Torn: state.torn,
		Unused: state.unused, Orphans: len(state.orphans), Damage: state.damage,
	}
	for _, g := range state.segments {
		r.Bytes += g.file
	}
	for _, f := range jobs {
		r.LiveBytes += int64(f.entry)
		if f.large {
			r.Large++
		}
	}
	return r, nil
}

// damagedDir is where Repair moves the files that it replaces, each time to a new directory in it.
const damagedDir = "damaged"

// Repair makes a damaged directory usable: it rewrites all readable jobs, and moves the old segments to the
// directory "damaged" inside. Jobs whose end was lost return. It returns the report from before, and does
// nothing if there is no damage.
func Repair(dir string, watch ...Watch) (Report, error) { return repair(watched(watch), dir) }

func repair(fs vfs.FS, dir string) (Report, error) {
	before, err := check(fs, dir)
	if err != nil || len(before.Damage) == 0 {
		return before, err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return before, err
	}
	defer l.Close()
	state, jobs, err := directory(fs, dir, true)
	if err != nil {
		return before, err
	}
	// The new segment comes after all others. They count until META says that it alone does.
	m := meta{
		Format: format, Turn: state.meta.Turn + 1, Generation: state.generation, Run: state.run, First: state.meta.Last + 1,
	}
	if n := len(state.segments); n > 0 {
		m.First = max(m.First, state.segments[n-1].id+1)
	}
	if state.noMeta {
		// A newer segment may be lost, and with it the latest runs.
		m.Generation += 16
	}
	m.Last = m.First
	if err := putAside(state, m.First); err != nil {
		return before, err
	}
	w, err := makeSegment(fs, dir, m.First, 0, createWriter, func(w *writer) error { return writeJobs(w, &m, state, jobs) })
	if err != nil {
		return before, err
	}
	m.Synced = w.synced
	if err = w.close(); err == nil {
		err = writeMeta(fs, dir, m)
	}
	for i := range state.segments {
		if err == nil {
			err = fs.Remove(state.path(&state.segments[i]))
		}
	}
	for _, name := range damagedArguments(state) {
		if err == nil {
			err = fs.Remove(fs.PathJoin(dir, name))
		}
	}
	return before, err
}

// putAside links or copies the files that will be replaced into a directory named after the new segment.
func putAside(state *dirState, number uint64) error {
	fs := state.fs
	aside := fs.PathJoin(state.dir, damagedDir, fmt.Sprintf("%010d", number))
	if err := fs.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	names := damagedArguments(state)
	for i := range state.segments {
		names = append(names, segmentName(state.segments[i].id))
	}
	if _, err := fs.Stat(fs.PathJoin(state.dir, metaName)); err == nil {
		names = append(names, metaName)
	}
	for _, name := range names {
		to := fs.PathJoin(aside, name)
		if err := fs.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		put := vfs.LinkOrCopy
		if name == metaName { // it is overwritten in place
			put = vfs.Copy
		}
		if err := put(fs, fs.PathJoin(state.dir, name), to); err != nil {
			return err
		}
	}
	for _, dir := range []string{aside, fs.PathDir(aside), state.dir} {
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	return nil
}

// damagedArguments returns the names of the existing argument files that are damaged.
func damagedArguments(state *dirState) (names []string) {
	for _, d := range state.damage {
		if number, ok := argumentOf(d.File); ok && slices.Contains(state.arguments, number) {
			names = append(names, d.File)
		}
	}
	return names
}

// writeJobs writes a segment with all jobs except those whose argument is lost.
func writeJobs(w *writer, m *meta, state *dirState, jobs map[uint64]*found) error {
	lost := map[string]bool{}
	for _, d := range state.damage {
		lost[d.File] = true
	}
	buf := appendBegin(nil, 0, 0, 0, m.Generation, m.Run, state.nextOrder)
	for _, number := range inOrder(jobs) {
		f := jobs[number]
		if f.large && lost[argumentName(number)] {
			continue
		}
		patchJob(f.raw, f.retries, f.priority)
		buf = append(buf, f.raw...)
		if len(buf) >= recordSize {
			if err := w.batch(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return w.batch(buf)
}

package disk

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// Damage is a part of a directory that cannot be read.
type Damage struct {
	File   string // name in the directory
	Offset int64  // of its beginning
	Bytes  int64  // unreadable bytes; 0 = unknown
	// Jobs is the number of submissions in the lost part, including jobs that had ended; -1 = unknown. Jobs that
	// cleaning moved there are not included, because their number is unknown.
	Jobs   int
	Reason string
}

func (d Damage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", d.File, d.Reason)
	if d.Bytes > 0 {
		fmt.Fprintf(&b, ": %d bytes from %d on", d.Bytes, d.Offset)
	}
	if d.Jobs >= 0 {
		fmt.Fprintf(&b, ", jobs that were submitted there: %d", d.Jobs)
	}
	return b.String()
}

// DamageError lists what cannot be read in a directory. It is an ErrDamaged.
type DamageError struct {
	Dir    string
	Damage []Damage
}

func (e *DamageError) Error() string {
	parts := make([]string, len(e.Damage))
	for i, d := range e.Damage {
		parts[i] = d.String()
	}
	return fmt.Sprintf("%v: %s: %s. \"gearloop store repair %s\" keeps all the rest",
		store.ErrDamaged, e.Dir, strings.Join(parts, "; "), e.Dir)
}

func (e *DamageError) Unwrap() error { return store.ErrDamaged }

// dirState is the content of a directory.
type dirState struct {
	fs         vfs.FS
	dir        string
	meta       meta
	noMeta     bool
	segments   []scannedSegment // in their order
	dropped    []uint64         // segments that exist but do not count
	leftovers  []string         // files that a killed process left unfinished
	arguments  []uint64         // argument files, by the job's number
	orphans    []uint64         // argument files without a job; set by checkArguments
	generation uint64           // highest generation that a number may be in
	run        uint64           // the last run opened, 0 = unknown
	highestRun uint64           // highest run of the jobs' numbers
	nextOrder  uint64
	torn       int64 // bytes of a tail that a crash left torn
	unused     int64 // bytes of segments beyond what counts
	damage     []Damage
}

type scannedSegment struct {
	id    uint64
	begin entry // its first entry; kind 0 if unreadable
	scanned
	limit    int64 // where it ends according to the next one
	promised int64 // bytes that were synced, according to the next one or META
}

// readDir reads the names in a directory, its META and the beginning of each segment.
func readDir(fs vfs.FS, dir string) (*dirState, error) {
	s := &dirState{fs: fs, dir: dir}
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	s.meta, err = readMeta(fs, dir)
	s.noMeta = err == errNoMeta
	if err != nil && !s.noMeta {
		return nil, err
	}
	for _, name := range names {
		if number, ok := argumentOf(name); ok {
			s.arguments = append(s.arguments, number)
		}
		if isLeftover(name) {
			s.leftovers = append(s.leftovers, name)
		}
		switch id, ok := segmentOf(name); {
		case !ok:
		case id < s.meta.First:
			s.dropped = append(s.dropped, id)
		default:
			s.segments = append(s.segments, scannedSegment{id: id, limit: s.meta.limit(id)})
		}
	}
	slices.SortFunc(s.segments, func(a, b scannedSegment) int { return cmp.Compare(a.id, b.id) })
	slices.Sort(s.arguments)
	for i := range s.segments {
		g := &s.segments[i]
		if g.begin, err = readBegin(fs, s.path(g)); err != nil {
			return nil, fmt.Errorf("store: %s: %w", segmentName(g.id), err)
		}
		if g.id == s.meta.Last {
			g.promised = s.meta.Synced
		}
		if i > 0 && g.begin.previous == s.segments[i-1].id {
			s.segments[i-1].promised, s.segments[i-1].limit = g.begin.promised, g.begin.end
		}
		s.generation = max(s.generation, g.begin.generation)
		s.run = max(s.run, g.begin.run)
		s.nextOrder = max(s.nextOrder, g.begin.nextOrder)
	}
	s.generation = max(s.generation, s.meta.Generation)
	s.run = max(s.run, s.meta.Run)
	return s, s.dropUnfinished()
}

// dropUnfinished removes the newest segments from the list if their writer was killed before they were
// complete: what they were to contain is still in the segment before, which they must not cut. Only earlier
// versions of the program left such segments under a name of the log.
func (s *dirState) dropUnfinished() error {
	for i := len(s.segments) - 1; i > 0; i-- {
		g, before := &s.segments[i], &s.segments[i-1]
		if g.id <= s.meta.Last || g.begin.named || g.begin.kind == 0 || g.begin.previous != before.id {
			return nil
		}
		// end is the part of the segment before that would be cut. A complete segment has jobs of its own behind
		// the copy of it, or nothing is lost with the segment.
		end, err := entriesFrom(s.fs, s.path(before), g.begin.end)
		if err != nil {
			return err
		}
		copied, err := entriesFrom(s.fs, s.path(g), 0)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(end, copied) {
			return nil
		}
		before.limit = s.meta.limit(before.id)
		s.dropped = append(s.dropped, g.id)
		s.segments = s.segments[:i]
	}
	return nil
}

// entriesFrom returns the entries of a segment from an offset on, concatenated.
func entriesFrom(fs vfs.FS, path string, from int64) (b []byte, err error) {
	_, err = scan(fs, path, reading{limit: noLimit, visit: func(at int64, e *entry) error {
		if at >= from {
			b = e.append(b)
		}
		return nil
	}})
	return b, err
}

func (s *dirState) path(g *scannedSegment) string { return s.fs.PathJoin(s.dir, segmentName(g.id)) }

// findMissing records what should exist and does not.
func (s *dirState) findMissing() {
	first := max(s.meta.First, 1)
	if s.noMeta && len(s.segments) > 0 {
		s.damage = append(s.damage, Damage{File: metaName, Reason: errNoMeta.Error(), Jobs: -1})
		first = s.segments[0].id
	}
	for id, i := first, 0; i < len(s.segments) || id <= s.meta.Last; id++ {
		if i < len(s.segments) && s.segments[i].id == id {
			i++
			continue
		}
		d := Damage{File: segmentName(id), Reason: "is missing", Jobs: -1}
		if i < len(s.segments) {
			next := &s.segments[i]
			if next.begin.previous == id {
				d.Bytes = next.begin.promised
			}
			if i > 0 && next.begin.kind != 0 && next.id == id+1 {
				d.Jobs = jobsBetween(s.segments[i-1].highest, next.begin.nextOrder)
			}
		}
		s.damage = append(s.damage, d)
	}
}

// scan reads all segments in order and finds damage. With salvage, it also visits what follows damage in a
// segment.
func (s *dirState) scan(salvage bool, visit func(g *scannedSegment, at int64, e *entry) error) error {
	highest := uint64(0)
	for i := range s.segments {
		g := &s.segments[i]
		var err error
		g.scanned, err = scan(s.fs, s.path(g), reading{
			highest: highest, limit: g.limit, salvage: salvage,
			visit: func(at int64, e *entry) error {
				if e.kind == kindJob && e.number&noHandle == 0 {
					s.generation = max(s.generation, generationOf(e.number))
					s.highestRun = max(s.highestRun, store.RunOf(e.number))
				}
				return visit(g, at, e)
			},
		})
		if err != nil {
			return fmt.Errorf("store: %s: %w", segmentName(g.id), err)
		}
		highest = g.highest
		s.nextOrder = max(s.nextOrder, g.highest+1)
		s.judge(i)
	}
	s.findMissing()
	return nil
}

// judge decides whether an unreadable part of a segment is a torn tail or damage.
func (s *dirState) judge(i int) {
	g := &s.segments[i]
	g.promised = max(g.promised, g.scanned.promised)
	if g.promised <= g.good && !errors.Is(g.reason, errEntry) {
		if g.good < g.limit { // otherwise the rest was rewritten in the next segment, or refused
			s.torn += g.size - g.good
		}
		s.unused += g.file - g.good
		return
	}
	next := uint64(0)
	if i+1 < len(s.segments) {
		next = s.segments[i+1].begin.nextOrder
	}
	end := max(g.promised, min(g.size, g.limit))
	for _, lost := range g.gaps {
		if lost.from >= g.promised && lost.from > g.good {
			break // torn
		}
		if lost.to == 0 {
			lost.to = end
		}
		if lost.after == 0 {
			lost.after = next
		}
		s.damage = append(s.damage, Damage{
			File: segmentName(g.id), Offset: lost.from, Bytes: lost.to - lost.from, Reason: "can't be read",
			Jobs: jobsBetween(lost.before, lost.after),
		})
	}
	if len(g.gaps) == 0 {
		s.damage = append(s.damage, Damage{
			File: segmentName(g.id), Offset: g.good, Bytes: end - g.good, Reason: "ends too early",
			Jobs: jobsBetween(g.highest, next),
		})
	}
}

// jobsBetween returns how many jobs were submitted between two orders, -1 if the second is unknown.
func jobsBetween(before, after uint64) int {
	if after == 0 {
		return -1
	}
	return int(max(after, before+1) - before - 1)
}

// checkArguments compares the argument files with the jobs that should have one, including their content if
// thorough.
func (s *dirState) checkArguments(wanted map[uint64]int64, thorough bool) error {
	for _, number := range s.arguments {
		if _, ok := wanted[number]; !ok {
			s.orphans = append(s.orphans, number)
		}
	}
	missing := func(number uint64, reason string) {
		s.damage = append(s.damage, Damage{File: argumentName(number), Jobs: -1, Reason: "argument of a job: " + reason})
	}
	for number, size := range wanted {
		if _, found := slices.BinarySearch(s.arguments, number); !found {
			missing(number, "is missing")
			continue
		}
		path := s.fs.PathJoin(s.dir, argumentName(number))
		info, err := s.fs.Stat(path)
		if err == nil && info.Size() != argumentFileSize(size) {
			missing(number, "has the wrong size")
			continue
		}
		if err == nil && thorough {
			err = readArgument(s.fs, path, size, io.Discard)
		}
		if errors.Is(err, store.ErrDamaged) {
			missing(number, strings.TrimPrefix(err.Error(), store.ErrDamaged.Error()+": "))
		} else if err != nil {
			return err
		}
	}
	return nil
}

package disk

import (
	"fmt"

	"gearloop/store"
)

// Each time a directory is opened for jobs it opens a run (see store.Number), the first that was never
// opened in it. META has its number, and so has the beginning of each segment.
//
// Earlier versions of the program counted generations instead, with 46 bits of each number to themselves: a
// generation is as many numbers as runsPerGeneration runs. Both may open a directory in turn, and no number
// is given twice: META has the generation that a run lies in, where they look for it, so they begin with the
// generation behind it; and a directory that says nothing of runs has its next run behind its last
// generation.
const (
	generationShift   = 46
	runsPerGeneration = 1 << (generationShift - store.CountBits - store.ShardBits)
)

// generationOf returns the generation that a job's number lies in.
func generationOf(number uint64) uint64 {
	if number&noHandle != 0 {
		return 0
	}
	return number >> generationShift
}

// nextRun returns the first run that was never opened in a directory whose segments were read.
func (s *dirState) nextRun() uint64 {
	switch {
	case s.isNew():
		return 1
	case s.run > 0 && s.generation == s.run/runsPerGeneration:
		return max(s.run, s.highestRun) + 1
	}
	return (s.generation + 1) * runsPerGeneration
}

// isNew reports whether nothing was ever stored in the directory.
func (s *dirState) isNew() bool {
	return s.noMeta && len(s.segments)+len(s.dropped)+len(s.arguments) == 0
}

// errNoRuns says that a run has no number any more.
func errNoRuns(dir string) error {
	return fmt.Errorf("store: %s was opened too often, handles have no room for more: take its jobs over into a new one "+
		"(gearloop store dump, gearloop store import)", dir)
}

// skipTo has the next start open a run of a generation behind this one.
func (d *Disk) skipTo(generation uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skipped = max(d.skipped, generation)
}

// openRun opens another run, durably: with a segment of its own.
func (d *Disk) openRun() {
	d.setRun(d.opened+1, false)
	if err := d.rotate(); err != nil {
		d.setRun(d.opened-1, true)
		d.fail(err, nil)
		return
	}
	d.events.Opened(d.opened)
	d.events.Flushed()
}

func (d *Disk) setRun(run uint64, another bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened, d.wantsRun = run, another
}

package disk

import (
	"fmt"

	"gearloop/store"
)

// Each time a directory is opened for jobs it opens a run (see store.Number): the first that was never opened
// in it. META and the beginning of each segment record its number.
//
// Earlier versions of the program counted generations instead, in 46 bits of each number: a generation covers
// as many numbers as runsPerGeneration runs. Both versions may open a directory in turn, and no number is
// assigned twice. META records the generation of the current run where the old versions look for it, so they
// continue with the next generation. In a directory that records no runs, the next run comes after its last
// generation.
const (
	generationShift   = 46
	runsPerGeneration = 1 << (generationShift - store.CountBits - store.ShardBits)
)

// generationOf returns the generation of a job's number.
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

// errNoRuns: a run has used up its numbers, and there is no further one.
func errNoRuns(dir string) error {
	return fmt.Errorf("store: %s was opened too often, handles have no room for more: take its jobs over into a new one "+
		"(gearloop store dump, gearloop store import)", dir)
}

// skipTo makes the next start open a run behind this generation.
func (d *Disk) skipTo(generation uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skipped = max(d.skipped, generation)
}

// openRun opens another run, durably, with a new segment.
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

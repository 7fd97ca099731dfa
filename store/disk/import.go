package disk

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/store/transfer"
)

const (
	// noHandle marks the number of a job that version 0.1 imported without a handle: it names the job in the
	// store, and the broker gives it a handle at each start. Today an import assigns the handle.
	noHandle = 1 << 63

	// highestImported is the highest run that an imported handle may have: the directory's own runs are above it
	// afterwards.
	highestImported = store.MaxRun / 4 * 3
)

// Importer adds jobs from elsewhere to a directory that no broker has open. It implements transfer.Importer.
type Importer struct {
	store.NoEvents
	accept func(*store.Job) error
	flow   *transfer.Flow

	fs     vfs.FS
	dir    string
	d      *Disk             // nil until the first job is added: an import that adds none changes nothing
	there  map[uint64]origin // the numbers of all jobs
	counts [store.Shards]uint64
	newest uint64 // highest generation of imported numbers plus one; 0 = none
	given  int    // jobs that got another handle than they came with
}

// origin is where a number comes from.
type origin uint8

const (
	brought origin = iota // imported with the job, now or earlier
	here                  // assigned by this import
)

// NewImporter returns an importer for a directory, which is created with the first job if necessary. A
// directory in use is an ErrLocked. accept checks whether a job could have been submitted, and may change it;
// nil accepts all.
func NewImporter(dir string, accept func(*store.Job) error) (*Importer, error) {
	return newImporter(machine, dir, accept)
}

func newImporter(fs vfs.FS, dir string, accept func(*store.Job) error) (*Importer, error) {
	im := &Importer{fs: fs, dir: dir, accept: accept, flow: transfer.NewFlow(), there: map[uint64]origin{}}
	switch err := exists(fs, dir); {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, ErrNoStore):
		return im, nil
	case err != nil:
		return nil, err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return nil, err
	}
	return im, l.Close()
}

// open opens the directory.
func (im *Importer) open() error {
	d, err := Open(Options{Dir: im.dir, fs: im.fs, resume: true})
	if err != nil {
		return err
	}
	if err := d.Start(im); err != nil {
		return errors.Join(err, d.Close())
	}
	im.d = d
	return nil
}

// Adopt implements store.Events.
func (im *Importer) Adopt(jobs []store.Job) bool {
	for i := range jobs {
		im.there[jobs[i].Number] = brought
	}
	return true
}

// Add implements transfer.Importer. The directory takes every job that it has begun to store, or none any
// more.
func (im *Importer) Add(job *store.Job, _ func(error)) error {
	if im.accept != nil {
		if err := im.accept(job); err != nil {
			return transfer.Unusable(err)
		}
	}
	if im.d == nil {
		if err := im.open(); err != nil {
			return err
		}
	}
	from, err := im.number(job)
	if err != nil {
		return err
	}
	if err := im.flow.Enter(job); err != nil {
		return err
	}
	if _, err := im.d.Append(job, im.flow); err != nil {
		im.flow.Leave()
		if errors.Is(err, store.ErrTooLarge) {
			return transfer.Unusable(err)
		}
		return err
	}
	im.d.Hurry() // the next job may wait for room
	im.there[job.Number] = from
	return nil
}

// SetSettings implements transfer.Importer. A directory has one broker: the node does not matter.
func (im *Importer) SetSettings(document []byte, _ string) error {
	if im.d == nil {
		if err := im.open(); err != nil {
			return err
		}
	}
	switch own, err := im.d.LoadSettings(); {
	case err != nil:
		return err
	case own != nil:
		return transfer.Unusable(errors.New("settings: the directory has its own"))
	}
	if err := transfer.CheckSettings(document); err != nil {
		return err
	}
	return im.d.SaveSettings(document)
}

// number assigns a number if necessary.
func (im *Importer) number(job *store.Job) (origin, error) {
	shard := store.ShardOf(job.Function)
	if n := job.Number; n != 0 {
		from, known := im.there[n]
		switch {
		case known && from == brought:
			return 0, transfer.Unusable(
				fmt.Errorf("number: a job with the number %d is there already (--new-handles gives it another one)", n))
		case !known && store.Valid(n) && store.ShardOfNumber(n) == shard && store.RunOf(n) <= highestImported:
			im.newest = max(im.newest, generationOf(n)+1)
			return brought, nil
		}
		im.given++
	}
	for {
		if im.counts[shard] >= store.RenewAt {
			return 0, errNoRuns(im.dir) // no directory has that many jobs
		}
		job.Number = store.Number(im.d.Run(), im.counts[shard], shard)
		im.counts[shard]++
		if _, known := im.there[job.Number]; !known {
			return here, nil
		}
	}
}

// Close implements transfer.Importer.
func (im *Importer) Close() (jobs, givenAnew int, err error) {
	if im.d == nil {
		return 0, 0, nil
	}
	if own := im.d.Run() / runsPerGeneration; im.newest > own {
		// The broker that assigned the imported numbers may have assigned others near them.
		im.d.skipTo(max(im.newest-1, own+1))
	}
	closed := im.d.Close()
	jobs, err = im.flow.Added()
	return jobs, im.given, errors.Join(err, closed)
}

var _ transfer.Importer = (*Importer)(nil)

package disk

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

const (
	// noHandle marks the number of a job that version 0.1 imported without a handle: it names the job in the
	// store, and the broker gives it a handle at each start. Today an import assigns the handle.
	noHandle = 1 << 63

	// highestImported is the highest run that an imported handle may have: the directory's own runs are above it
	// afterwards.
	highestImported = store.MaxRun / 4 * 3

	// importBytes and importJobs bound what an import has in flight.
	importBytes = defaultMaxQueued / 2
	importJobs  = 10_000
)

// An ImportError says why a job cannot be imported. It does not affect other jobs.
type ImportError struct{ error }

// Unusable returns an ImportError.
func Unusable(why error) error { return ImportError{why} }

// Importer adds jobs from elsewhere to a directory that no broker has open, behind the existing ones. Jobs
// that were added stay, whatever happens to later ones. It must be used by one goroutine.
type Importer struct {
	store.NoEvents
	// Accept checks whether a job could have been submitted, and may change it. nil accepts all.
	Accept func(*store.Job) error

	fs     vfs.FS
	dir    string
	d      *Disk             // nil until the first job is added: an import that adds none changes nothing
	there  map[uint64]origin // the numbers of all jobs
	counts [store.Shards]uint64
	newest uint64 // highest generation of imported numbers plus one; 0 = none
	given  int    // jobs that got another handle than they came with

	mu     sync.Mutex
	cond   *sync.Cond
	queued int
	bytes  int // of arguments since nothing was queued
	added  int
	err    error // of the first job that could not be stored
}

// origin is where a number comes from.
type origin uint8

const (
	brought origin = iota // imported with the job, now or earlier
	here                  // assigned by this import
)

// NewImporter returns an importer for a directory, which is created with the first job if necessary. A
// directory in use is an ErrLocked.
func NewImporter(dir string) (*Importer, error) { return newImporter(machine, dir) }

func newImporter(fs vfs.FS, dir string) (*Importer, error) {
	im := &Importer{fs: fs, dir: dir, there: map[uint64]origin{}}
	im.cond = sync.NewCond(&im.mu)
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

// Stored implements store.Receipt.
func (im *Importer) Stored(_ store.Ref, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.queued--
	if err == nil {
		im.added++
	} else if im.err == nil {
		im.err = err
	}
	im.cond.Broadcast()
}

// Add adds a job. It assigns a new number if the job's is 0 or cannot be a handle of its function. An
// ImportError concerns this job alone; after any other error nothing can be added. The argument must not
// change until Close.
func (im *Importer) Add(job *store.Job) error {
	if im.Accept != nil {
		if err := im.Accept(job); err != nil {
			return ImportError{err}
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
	if err := im.wait(job); err != nil {
		return err
	}
	if _, err := im.d.Append(job, im); err != nil {
		im.mu.Lock()
		im.queued--
		im.mu.Unlock()
		if errors.Is(err, store.ErrTooLarge) {
			return ImportError{err}
		}
		return err
	}
	im.there[job.Number] = from
	return nil
}

// setSettings has what is set on functions stored, as LoadSettings returns it. A directory that has some
// keeps its own.
func (im *Importer) setSettings(document []byte) error {
	if im.d == nil {
		if err := im.open(); err != nil {
			return err
		}
	}
	switch own, err := im.d.LoadSettings(); {
	case err != nil:
		return err
	case own != nil:
		return ImportError{errors.New("settings: the directory has its own")}
	case document[0] != '{':
		return ImportError{errors.New("settings: they must be an object, as in a dump")}
	case len(document) > store.MaxSettings:
		return ImportError{fmt.Errorf("settings: %d bytes are more than %d", len(document), store.MaxSettings)}
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
			return 0, ImportError{fmt.Errorf("number: a job with the number %d is there already", n)}
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

// wait waits for room for one more job in flight, and occupies it.
func (im *Importer) wait(job *store.Job) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	for _, piece := range job.Argument {
		im.bytes += len(piece)
	}
	full := im.queued >= importJobs || im.bytes > importBytes
	for full && im.queued > 0 && im.err == nil {
		im.cond.Wait()
	}
	if full {
		im.bytes = 0
	}
	if im.err == nil {
		im.queued++
	}
	return im.err
}

// givenAnew returns how many jobs got another handle than they came with.
func (im *Importer) givenAnew() int { return im.given }

// Close ends the import and returns how many jobs were added.
func (im *Importer) Close() (int, error) {
	if im.d == nil {
		return 0, nil
	}
	if own := im.d.Run() / runsPerGeneration; im.newest > own {
		// The broker that assigned the imported numbers may have assigned others near them.
		im.d.skipTo(max(im.newest-1, own+1))
	}
	err := im.d.Close()
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.added, errors.Join(im.err, err)
}

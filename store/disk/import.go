package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

const (
	// NoHandle marks the number of a job that was imported without one: it names the job in the store,
	// and the broker gives it a handle of its own when it loads it.
	NoHandle = 1 << 63

	// highestImported is the highest run that a job may bring along: the directory's own are above it from then on.
	highestImported = store.MaxRun / 4 * 3
)

// Importer adds jobs from elsewhere to a directory that no broker has open, behind those that are there.
type Importer struct {
	store.NoEvents
	d      *Disk
	there  map[uint64]bool
	next   uint64 // number for a job without one
	mu     sync.Mutex
	cond   *sync.Cond
	queued int
	bytes  int
	added  int
	err    error // of the first job that could not be stored
}

// NewImporter opens a directory to add jobs to it, and makes it if it is not there.
func NewImporter(dir string) (*Importer, error) { return newImporter(machine, dir) }

func newImporter(fs vfs.FS, dir string) (*Importer, error) {
	d, err := Open(Options{Dir: dir, fs: fs})
	if err != nil {
		return nil, err
	}
	im := &Importer{d: d, there: map[uint64]bool{}, next: NoHandle | d.opened<<32}
	im.cond = sync.NewCond(&im.mu)
	if err := d.Start(im); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return im, nil
}

// Adopt implements store.Events.
func (im *Importer) Adopt(jobs []store.Job) bool {
	for i := range jobs {
		im.there[jobs[i].Number] = true
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

// Add adds a job. A number of 0 says that it has no handle. The argument must stay as it is until Close.
func (im *Importer) Add(job *store.Job) error {
	if job.Number == 0 {
		im.next++
		job.Number = im.next
	} else if job.Number&NoHandle == 0 && store.RunOf(job.Number) > highestImported {
		return fmt.Errorf("store: number %d is too large", job.Number)
	}
	if im.there[job.Number] {
		return fmt.Errorf("store: a job with number %d is there already", job.Number)
	}
	const most = 10_000
	im.mu.Lock()
	for _, piece := range job.Argument {
		im.bytes += len(piece)
	}
	wait := im.queued >= most || im.bytes > defaultMaxQueued/2
	for wait && im.queued > 0 && im.err == nil {
		im.cond.Wait()
	}
	if wait {
		im.bytes = 0
	}
	err := im.err
	im.queued++
	im.mu.Unlock()
	if err == nil {
		_, err = im.d.Append(job, im)
	}
	if err != nil {
		im.mu.Lock()
		im.queued--
		im.mu.Unlock()
		return err
	}
	im.there[job.Number] = true
	return nil
}

// Close ends the import and returns how many jobs were added.
func (im *Importer) Close() (int, error) {
	err := im.d.Close()
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.added, errors.Join(im.err, err)
}

// Import adds jobs, as Dump writes them, and returns how many it added. With an error these stay added.
func Import(dir string, r io.Reader) (int, error) { return importJSON(machine, dir, r) }

func importJSON(fs vfs.FS, dir string, r io.Reader) (int, error) {
	im, err := newImporter(fs, dir)
	if err != nil {
		return 0, err
	}
	in := json.NewDecoder(r)
	in.DisallowUnknownFields()
	for n := 1; ; n++ {
		var j jsonJob
		if err = in.Decode(&j); err == io.EOF {
			err = nil
			break
		}
		var job *store.Job
		if err == nil {
			job, err = j.job()
		}
		if err == nil {
			err = im.Add(job)
		}
		if err != nil {
			err = fmt.Errorf("job %d: %w", n, err)
			break
		}
	}
	added, closed := im.Close()
	return added, errors.Join(err, closed)
}

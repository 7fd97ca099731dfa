package transfer

import (
	"sync"

	"gearloop/store"
)

// Bounds of what an import has in flight.
const (
	MaxBytes = 128 << 20 // of arguments and names
	MaxJobs  = 10_000
)

// Flow bounds the jobs of an import that wait to be stored, and is the receipt of each.
type Flow struct {
	mu     sync.Mutex
	cond   sync.Cond
	queued int
	bytes  int // of arguments and names since nothing was queued
	added  int
	err    error // of the first job that could not be stored
}

// NewFlow returns a Flow without jobs.
func NewFlow() *Flow {
	f := new(Flow)
	f.cond.L = &f.mu
	return f
}

// Enter waits for room for one more job, and occupies it. It returns the error of the first job that could
// not be stored.
func (f *Flow) Enter(job *store.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += len(job.Function) + len(job.Unique) + len(job.Reducer)
	for _, piece := range job.Argument {
		f.bytes += len(piece)
	}
	full := f.queued >= MaxJobs || f.bytes > MaxBytes
	for full && f.queued > 0 && f.err == nil {
		f.cond.Wait()
	}
	if full {
		f.bytes = 0
	}
	if f.err == nil {
		f.queued++
	}
	return f.err
}

// Leave gives back the room of a job that is not stored, without an error of the import.
func (f *Flow) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued--
	f.cond.Broadcast()
}

// Stored implements store.Receipt.
func (f *Flow) Stored(_ store.Ref, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued--
	if err == nil {
		f.added++
	} else if f.err == nil {
		f.err = err
	}
	f.cond.Broadcast()
}

// Added returns how many jobs are stored, and the error of the first that could not be.
func (f *Flow) Added() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.added, f.err
}

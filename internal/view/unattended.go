package view

import (
	"cmp"
	"slices"
	"time"
)

const (
	// unattendedAfter is how long a job waits at a broker that shares its store, without a worker of its function
	// there, until that is said: the worker may be connected to another broker alone.
	unattendedAfter = time.Minute
	// mostUnattended bounds how many functions are remembered as said, and mostSaid how many are said at a time.
	mostUnattended = 10_000
	mostSaid       = 20
)

// knowAll is what is to be done about functions whose jobs wait at one of several brokers.
const knowAll = "workers get jobs only from brokers that they are connected to, so each has to know all brokers"

// Unattended finds functions whose jobs wait at a broker that shares its store, for a minute and more, without a worker
// there. It is for one goroutine.
type Unattended struct {
	Source *Source
	said   map[string]bool
}

// UnattendedFunction is a function without workers.
type UnattendedFunction struct {
	Name    string
	Waiting int
	Oldest  time.Duration
}

// New returns the functions that were attended to when it was called last, at most mostSaid of them, those first whose jobs
// have waited longest; more says how many others there are. A function that gets a worker, or has no job any more, is
// new the next time.
func (u *Unattended) New() (found []UnattendedFunction, more int) {
	snap, _ := u.Source.snapshot()
	said := map[string]bool{}
	for i := range snap.rows {
		f := &snap.rows[i]
		if !f.isUnattended() || len(said) == mostUnattended {
			continue
		}
		said[f.name] = true
		if !u.said[f.name] {
			found = append(found, UnattendedFunction{f.name, int(f.waiting), f.oldest})
		}
	}
	u.said = said
	slices.SortFunc(found, func(a, b UnattendedFunction) int {
		return cmp.Or(cmp.Compare(b.Oldest, a.Oldest), cmp.Compare(a.Name, b.Name))
	})
	more = max(len(found)-mostSaid, 0)
	return found[:len(found)-more], more
}

// isUnattended reports whether jobs of the function have waited for too long, and no worker is there.
func (f *functionRow) isUnattended() bool {
	return f.waiting > 0 && !f.paused && f.workers == 0 && f.oldest >= unattendedAfter
}

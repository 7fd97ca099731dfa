package view

import (
	"cmp"
	"slices"
	"time"
)

const (
	// unattendedAfter is how long a job must wait at a broker that shares its store, without a worker of its
	// function there, before that is reported: the worker may be connected to another broker only.
	unattendedAfter = time.Minute
	// mostUnattended bounds how many functions are remembered as reported, and mostSaid how many are reported at
	// a time.
	mostUnattended = 10_000
	mostSaid       = 20
)

// knowAll is the advice about functions whose jobs wait at one of several brokers.
const knowAll = "workers get jobs only from brokers that they are connected to, so each has to know all brokers"

// Unattended finds functions whose jobs have waited for a minute or more at a broker that shares its store,
// without a worker there. Only one goroutine may use it.
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

// New returns functions that have become unattended since the last call, at most mostSaid of them, those
// whose jobs have waited longest first. more says how many others there are. A function that gets a worker,
// or has no job any more, can be reported again.
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

// isUnattended reports whether jobs of the function have waited for too long without a worker there.
func (f *functionRow) isUnattended() bool {
	return f.waiting > 0 && !f.paused && f.workers == 0 && f.oldest >= unattendedAfter
}

package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"

	"gearloop/store"
)

// ledger is what a broker knows of its jobs: what must be in the store, and what may be.
type ledger struct {
	mu    sync.Mutex
	jobs  map[uint64]*ledgerJob
	order []uint64 // of Append
	run   uint64   // the highest that was opened
}

// ledgerJob is an appended job, as far as the broker knows.
type ledgerJob struct {
	job     store.Job
	updates []update // passed to Update: after a crash any of them may be stored
	acked   bool     // its receipt came without an error, or it was adopted
	refused bool     // its receipt came with an error, or Append refused it
	done    bool
	again   bool // it was appended more than once: it may come in its first place
	gone    bool // a start did not find it: it must not return
}

// update is what Update stores of a job.
type update struct {
	retries  uint16
	priority store.Priority
}

func newLedger() *ledger { return &ledger{jobs: map[uint64]*ledgerJob{}} }

// snapshot returns a copy.
func (l *ledger) snapshot() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &ledger{jobs: maps.Clone(l.jobs), order: slices.Clone(l.order), run: l.run}
	for number, j := range c.jobs {
		k := *j
		k.updates = slices.Clone(j.updates)
		c.jobs[number] = &k
	}
	return c
}

// change updates what is known of a job.
func (l *ledger) change(number uint64, f func(*ledgerJob)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.jobs[number])
}

// add records a job that is about to be appended, perhaps again after it was refused.
func (l *ledger) add(job *store.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := *job
	copied.Argument = [][]byte{bytes.Join(job.Argument, nil)}
	copied.Size = len(copied.Argument[0])
	_, again := l.jobs[job.Number]
	l.jobs[job.Number] = &ledgerJob{job: copied, updates: []update{{job.Retries, job.Priority}}, again: again}
	l.order = append(slices.DeleteFunc(l.order, func(n uint64) bool { return n == job.Number }), job.Number)
}

// lossy forgets acknowledgements: a loss of power may have taken the jobs.
func (l *ledger) lossy() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.jobs {
		j.acked = false
	}
}

// compare checks the jobs that a start adopted. After an orderly end nothing is in doubt. What it found must
// stay from then on, and what it did not find must not return.
func (l *ledger) compare(adopted []store.Job, orderly bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := map[uint64]bool{}
	last := -1
	for i := range adopted {
		got := &adopted[i]
		j := l.jobs[got.Number]
		switch {
		case j == nil:
			return fmt.Errorf("job %d is there, and was never submitted", got.Number)
		case there[got.Number]:
			return fmt.Errorf("job %d is there twice", got.Number)
		case j.gone:
			return fmt.Errorf("job %d is there, and was not at an earlier start", got.Number)
		case orderly && j.refused:
			return fmt.Errorf("job %d is there, and was refused", got.Number)
		case orderly && j.done:
			return fmt.Errorf("job %d is there, and had ended", got.Number)
		}
		there[got.Number] = true
		at := slices.Index(l.order, got.Number)
		if at < last && !j.again {
			return fmt.Errorf("job %d is out of order", got.Number)
		}
		last = max(last, at)
		if j.again {
			last = -1 // nothing can be told of what comes behind it
		}
		if err := j.same(got, orderly); err != nil {
			return err
		}
	}
	for number, j := range l.jobs {
		if j.acked && !j.done && !there[number] {
			return fmt.Errorf("job %d was acknowledged and is gone", number)
		}
	}
	for number, j := range l.jobs {
		if there[number] {
			j.acked, j.refused, j.done = true, false, false
		} else {
			j.acked, j.gone = false, true
		}
	}
	return nil
}

// same compares a job with what was appended, except for a large argument, which is not loaded.
func (j *ledgerJob) same(got *store.Job, orderly bool) error {
	want := &j.job
	if got.Argument != nil && !bytes.Equal(bytes.Join(got.Argument, nil), want.Argument[0]) || got.Size != want.Size {
		return fmt.Errorf("job %d has another argument", got.Number)
	}
	if got.Function != want.Function || got.Unique != want.Unique || got.Due != want.Due ||
		got.Reducer != want.Reducer {
		return fmt.Errorf("job %d is %+v, and was %+v", got.Number, *got, *want)
	}
	possible := j.updates
	if orderly {
		possible = possible[len(possible)-1:]
	}
	state := update{got.Retries, got.Priority}
	if !slices.Contains(possible, state) {
		return fmt.Errorf("job %d has retries and priority %d, noted were %d", got.Number, state, j.updates)
	}
	j.updates = []update{state}
	return nil
}

package disk

import (
	"cmp"
	"fmt"
	"slices"

	"gearloop/store"
)

// Start implements Store. It reports the run that Open opened, a lease without end, and all jobs in the
// directory, and starts the committer. An error means that the directory could not be read; the store must
// then be closed.
func (d *Disk) Start(events store.Events) error {
	events.Opened(d.opened)
	events.Lease(store.Never)
	l := loader{d: d, names: map[string]string{}, events: events}
	err := l.load()
	events.Flushed()
	d.mu.Lock()
	d.index, d.recovered, d.events, d.loaded = nil, nil, events, true
	d.bulk, _ = events.(store.BulkReceipts)
	d.mu.Unlock()
	d.bell.ring()
	return err
}

// loader passes the jobs in the segments to events.
type loader struct {
	d         *Disk
	names     map[string]string // functions and reducers, each string once
	held      []heldJob         // only if the segments are not in order
	events    store.Events
	jobs      []store.Job // for the next call of Adopt
	arguments [store.AdoptMost][1][]byte
}

type heldJob struct {
	order    uint64
	job      store.Job
	argument []byte
}

// load reads the segments again.
func (l *loader) load() error {
	for _, s := range l.d.recovered {
		read, err := scan(l.d.fs, l.d.path(segmentName(s.id)), reading{limit: s.size, visit: func(_ int64, e *entry) error {
			l.visit(s.id, e)
			return nil
		}})
		if err == nil && read.good < s.size {
			err = fmt.Errorf("%w: it can be read up to %d only", store.ErrDamaged, read.good)
		}
		if err != nil {
			return fmt.Errorf("store: %s: %w", segmentName(s.id), err)
		}
	}
	slices.SortFunc(l.held, func(a, b heldJob) int { return cmp.Compare(a.order, b.order) })
	for i := range l.held {
		l.adopt(&l.held[i].job, l.held[i].argument)
		l.held[i] = heldJob{}
	}
	l.flush()
	return nil
}

// adopt queues a job for Adopt. argument is nil if it is in a file.
func (l *loader) adopt(job *store.Job, argument []byte) {
	if len(l.jobs) == store.AdoptMost {
		l.flush()
	}
	if argument != nil {
		piece := &l.arguments[len(l.jobs)]
		piece[0] = argument
		job.Argument = piece[:]
	}
	l.jobs = append(l.jobs, *job)
}

func (l *loader) flush() {
	if len(l.jobs) > 0 {
		l.events.Adopt(l.jobs) // also without room: there is no other use for the jobs
		clear(l.jobs)
		l.jobs = l.jobs[:0]
	}
}

// maxNames bounds the shared names.
const maxNames = 1 << 16

func (l *loader) name(b []byte) string {
	if s, ok := l.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(l.names) < maxNames {
		l.names[s] = s
	}
	return s
}

func (l *loader) visit(segment uint64, e *entry) {
	if e.kind != kindJob {
		return
	}
	i, known := l.d.index[e.number]
	if !known {
		return
	}
	l.d.mu.Lock()
	s := *l.d.jobs.at(i)
	l.d.mu.Unlock()
	// A job may have been written twice; the last one counts.
	if s.number != e.number || s.state != slotStored || uint64(s.segment) != segment {
		return
	}
	job := store.Job{
		Number: e.number, Function: l.name(e.function), Unique: string(e.unique), Reducer: l.name(e.reducer),
		Priority: s.priority, Retries: s.retries, Due: e.due, Size: e.size, Ref: ref(i, e.number),
	}
	var argument []byte
	if !e.large {
		argument = append([]byte{}, e.argument...) // never nil
	}
	if l.d.shuffled {
		l.held = append(l.held, heldJob{e.order, job, argument})
		return
	}
	l.adopt(&job, argument)
}

package disk

import (
	"cmp"
	"slices"

	"gearloop/store"
)

// loader gives back the jobs that are in the segments.
type loader struct {
	d     *Disk
	names map[string]string // functions and reducers, one string each
	held  []heldJob         // when they are not in order
	f     func(*store.Job) error
	job   store.Job
	piece [1][]byte
}

type heldJob struct {
	order uint64
	job   *store.Job
}

// maxNames bounds how many names are kept to be shared.
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

func (l *loader) visit(segment uint64, e *entry) error {
	if e.kind != kindJob {
		return nil
	}
	i, known := l.d.index[e.number]
	if !known {
		return nil
	}
	l.d.mu.Lock()
	s := *l.d.jobs.at(i)
	l.d.mu.Unlock()
	// A job may have been written twice; what counts is where it was written last.
	if s.number != e.number || s.state != slotStored || uint64(s.segment) != segment {
		return nil
	}
	l.job = store.Job{
		Number: e.number, Function: l.name(e.function), Unique: string(e.unique), Reducer: l.name(e.reducer),
		Priority: e.priority, Retries: s.retries, Due: e.due, Size: e.size, Ref: ref(i, e.number),
	}
	if !e.large {
		argument := slices.Clone(e.argument)
		if !l.d.shuffled {
			l.piece[0] = argument
			l.job.Argument = l.piece[:]
			return l.f(&l.job)
		}
		l.job.Argument = [][]byte{argument}
	}
	if !l.d.shuffled {
		return l.f(&l.job)
	}
	job := l.job
	l.held = append(l.held, heldJob{e.order, &job})
	return nil
}

// finish gives back in order what was not given back at once.
func (l *loader) finish() error {
	slices.SortFunc(l.held, func(a, b heldJob) int { return cmp.Compare(a.order, b.order) })
	for i := range l.held {
		if err := l.f(l.held[i].job); err != nil {
			return err
		}
		l.held[i] = heldJob{}
	}
	return nil
}

package disk

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"gearloop/store"
)

// ledger is what a broker knows of its jobs: what must be in the store, and what may be.
type ledger struct {
	mu       sync.Mutex
	d        *Disk
	appended map[uint64]*store.Job
	order    []uint64
	acked    map[uint64]bool
	refused  map[uint64]bool
	done     map[uint64]bool
	refs     map[uint64]store.Ref
	found    []uint64
}

func newLedger() *ledger {
	return &ledger{
		appended: map[uint64]*store.Job{}, acked: map[uint64]bool{}, refused: map[uint64]bool{}, done: map[uint64]bool{},
		refs: map[uint64]store.Ref{},
	}
}

// snapshot is a copy of a ledger, as it was at some moment.
func (l *ledger) snapshot() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{
		appended: maps.Clone(l.appended), acked: maps.Clone(l.acked), refused: maps.Clone(l.refused),
		done: maps.Clone(l.done), order: slices.Clone(l.order),
	}
}

type ledgerReceipt struct {
	l      *ledger
	number uint64
	came   chan error
}

func (r *ledgerReceipt) Stored(_ store.Ref, err error) {
	r.l.mu.Lock()
	if r.l.acked[r.number] || r.l.refused[r.number] {
		panic(fmt.Sprintf("two receipts for job %d", r.number))
	}
	if err == nil {
		r.l.acked[r.number] = true
	} else {
		r.l.refused[r.number] = true
	}
	r.l.mu.Unlock()
	r.came <- err
}

// append submits a job. The channel gets the result of its receipt. It is nil if the job was refused at once.
func (l *ledger) append(job *store.Job) <-chan error {
	r := &ledgerReceipt{l, job.Number, make(chan error, 1)}
	l.mu.Lock()
	l.appended[job.Number] = job
	l.order = append(l.order, job.Number)
	l.mu.Unlock()
	ref, err := l.d.Append(job, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused[job.Number] = true
		return nil
	}
	l.refs[job.Number] = ref
	return r.came
}

func (l *ledger) end(number uint64) {
	l.mu.Lock()
	l.done[number] = true
	ref := l.refs[number]
	l.mu.Unlock()
	l.d.Done(ref)
}

// check compares a store that was opened again with what must and may be in it. After an orderly end nothing
// is in doubt.
func (l *ledger) check(d *Disk, orderly bool) error {
	jobs, err := loadAll(d)
	if err != nil {
		return err
	}
	l.found = numbers(jobs)
	there := map[uint64]bool{}
	last := -1
	for i := range jobs {
		job := &jobs[i]
		want := l.appended[job.Number]
		if want == nil {
			return fmt.Errorf("job %d is there, and was never submitted", job.Number)
		}
		if there[job.Number] {
			return fmt.Errorf("job %d is there twice", job.Number)
		}
		there[job.Number] = true
		at := slices.Index(l.order, job.Number)
		if at < last {
			return fmt.Errorf("job %d is out of order", job.Number)
		}
		last = at
		if err := same(d, job, want); err != nil {
			return err
		}
	}
	for number := range there {
		if orderly && (l.refused[number] || l.done[number]) {
			return fmt.Errorf("job %d is there, refused: %v, ended: %v", number, l.refused[number], l.done[number])
		}
	}
	for number := range l.acked {
		if !there[number] && !l.done[number] {
			return fmt.Errorf("job %d was acknowledged and is gone", number)
		}
	}
	return nil
}

// same compares a loaded job with what was stored.
func same(d *Disk, got, want *store.Job) error {
	argument := bytes.Join(want.Argument, nil)
	var loaded []byte
	if got.Argument == nil {
		var whole bytes.Buffer
		done := make(chan error)
		d.Argument(got.Ref, &whole, func(err error) { done <- err })
		if err := <-done; err != nil {
			return fmt.Errorf("argument of job %d: %w", got.Number, err)
		}
		loaded = whole.Bytes()
	} else {
		loaded = got.Argument[0]
	}
	if !bytes.Equal(loaded, argument) || got.Size != len(argument) || got.Function != want.Function ||
		got.Unique != want.Unique || got.Priority != want.Priority || got.Due != want.Due || got.Reducer != want.Reducer {
		return fmt.Errorf("job %d is not what was stored", got.Number)
	}
	return nil
}

// workload does a little of everything, so that segments are begun, cleaned and dropped. It continues after
// refusals.
func (l *ledger) workload(t testing.TB) {
	number := uint64(0)
	submit := func(job *store.Job) {
		if came := l.append(job); came != nil {
			<-came
		}
	}
	next := func(size int) *store.Job {
		number++
		job := small(number)
		if size > 0 {
			job.Argument = [][]byte{bytes.Repeat([]byte{byte(number)}, size/2), bytes.Repeat([]byte{'x'}, size-size/2)}
		}
		return job
	}
	for range 3 {
		submit(next(0))
	}
	l.end(2)
	var together []<-chan error
	for range 10 {
		if came := l.append(next(700)); came != nil {
			together = append(together, came)
		}
	}
	for _, came := range together {
		<-came
	}
	submit(next(testLarge + 5))
	large := number
	submit(next(testLarge))
	l.d.Update(l.refs[1], 3, store.Normal)
	for n := uint64(4); n < 12; n++ {
		l.end(n)
	}
	flushed(t, l.d)
	l.end(large)
	flushed(t, l.d)
	submit(next(testLarge + 1)) // syncs the directory, from which the argument of the one that ended has gone
	for range 12 {
		submit(next(500))
		l.end(number)
	}
	flushed(t, l.d)
	submit(next(0))
}

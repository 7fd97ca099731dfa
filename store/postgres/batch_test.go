package postgres

import (
	"slices"
	"testing"

	"gearloop/store"
	"gearloop/test/await"
)

// A batch has a bounded number of ends, and no argument goes before its job.
func TestManyEnds(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2*lazyMost + 5
	e.next.updated = map[uint64]update{}
	for number := range uint64(n) {
		e.next.ended = append(e.next.ended, int64(number))
		if number%2 == 0 {
			e.next.args = append(e.next.args, int64(number))
		}
		e.next.updated[number] = update{retries: uint16(number)}
	}
	gone, retried, batches := map[int64]bool{}, 0, 0
	for e.next.lazy() > 0 {
		b := e.cut()
		if len(b.ended) > lazyMost || len(b.updated) > lazyMost {
			t.Fatalf("a batch has %d ends and %d retries", len(b.ended), len(b.updated))
		}
		for _, number := range b.ended {
			gone[number] = true
		}
		for _, number := range b.args {
			if !gone[number] {
				t.Fatalf("the argument of job %d goes before it", number)
			}
		}
		retried += len(b.updated)
		batches++
	}
	if len(gone) != n || retried != n || batches != 3 {
		t.Errorf("%d ends and %d retries of %d in %d batches", len(gone), retried, n, batches)
	}
}

// The end of an attempt that was refused comes no later than the job that was appended again under its number.
func TestEndOfRefusedJob(t *testing.T) {
	e, err := Open(Options{URL: "postgres://h/d"})
	if err != nil {
		t.Fatal(err)
	}
	e.failed, e.runs[1] = nil, true
	number := store.Number(1, 0, store.ShardOf("f"))
	for n := range int64(lazyMost) {
		e.next.ended = append(e.next.ended, -1-n)
	}
	e.next.ended, e.next.args = append(e.next.ended, int64(number), -1-lazyMost), append(e.next.args, int64(number))
	if _, err := e.Append(&store.Job{Number: number, Function: "f", Argument: [][]byte{nil}}, told{}); err != nil {
		t.Fatal(err)
	}
	if b := e.cut(); len(b.jobs) != 1 || !slices.Contains(b.ended, int64(number)) {
		t.Error("the end of the refused job is not in the batch of the new one")
	}
	if rest := e.cut(); len(rest.ended) != 1 || len(rest.args) != 0 {
		t.Errorf("the ends of %d jobs and %d arguments come later, want 1 and 0", len(rest.ended), len(rest.args))
	}
}

// The committer is woken for a batch that is full, whether of jobs or of bytes, before Hurry.
func TestFullBatchNeedsNoHurry(t *testing.T) {
	for _, c := range []struct {
		size, jobs int
		most       int64
	}{{0, batchJobs, 0}, {batchBytes / 4, 4, 0}, {100 << 10, 6, 1 << 20}} {
		e, err := Open(Options{URL: "postgres://h/d", MaxQueued: c.most})
		if err != nil {
			t.Fatal(err)
		}
		if !e.timer.Stop() { // this machine is slow
			await.Until(t, "the timer has rung", func() bool { return len(e.wake) > 0 })
			<-e.wake
		}
		e.failed, e.runs[1], e.timed = nil, true, true
		for n := range c.jobs {
			if len(e.wake) > 0 {
				t.Fatalf("%d bytes each: woken for %d jobs", c.size, n)
			}
			job := store.Job{Number: store.Number(1, uint64(n), 0), Function: "f", Argument: [][]byte{make([]byte, c.size)}}
			if _, err := e.Append(&job, told{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(e.wake) == 0 {
			t.Errorf("%d bytes each: not woken for %d jobs", c.size, c.jobs)
		}
	}
}

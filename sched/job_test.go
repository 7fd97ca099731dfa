package sched

import (
	"bytes"
	"testing"
	"unsafe"

	"gearloop/internal/payload"
)

var made *job // keeps the compiler from leaving out what a test allocates

// TestNewJobHoldsItsArgument: a job has its own copy of an argument of any size, a small one within its own
// memory.
func TestNewJobHoldsItsArgument(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 20)
	for n := range 300 {
		source := bytes.Clone(text[:n])
		j := newJob(payload.Borrow(source))
		clear(source)
		if got := j.argument().Append(nil); !bytes.Equal(got, text[:n]) || j.argument().Footprint() != n {
			t.Fatalf("%d bytes: %q, footprint %d", n, got, j.argument().Footprint())
		}
		want := 1.
		if n > 112 {
			want = 2
		}
		if got := testing.AllocsPerRun(10, func() { made = newJob(payload.Borrow(text[:n])) }); got != want {
			t.Errorf("%d bytes: %v allocations, want %v", n, got, want)
		}
	}
	p := payload.New(50)
	p.Fill(text)
	j := newJob(payload.Of(p))
	p.Release()
	if got := j.argument().Append(nil); !bytes.Equal(got, text[:50]) {
		t.Errorf("of a payload: %q", got)
	}
	j.argument().Release()
}

// TestJobsAreSmall: whoever adds a field to every job has to say so here, see job.
func TestJobsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(job{}); n > 112 {
		t.Errorf("a job without its argument takes %d bytes, want 112 at most", n)
	}
}

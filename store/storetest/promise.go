package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gearloop/store"
)

// reopen closes a process in order and starts the next.
func (p *process) reopen(tb testing.TB, site Site) *process {
	tb.Helper()
	p.mustClose(tb)
	return mustStart(tb, site, p.l, true)
}

// keepsJobs: all fields of a job are stored.
func keepsJobs(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	for _, job := range []*store.Job{
		{Function: "f", Unique: "a\x00b", Reducer: "sum", Priority: store.Low, Retries: 3, Due: 1e18},
		{Function: "", Argument: [][]byte{[]byte("one "), nil, []byte("and two")}},
		{Function: strings.Repeat("f", 70_000), Unique: strings.Repeat("u", 64<<10)},
		{Function: "any\xff bytes", Unique: "\xfe\x80", Reducer: "\x00", Argument: [][]byte{{0, 1, 0xff}}},
		{Function: "again", Priority: store.High, Retries: math.MaxUint16, Due: math.MaxInt64},
		{Function: "same", Unique: "same", Argument: [][]byte{[]byte("first")}},
		{Function: "all but large", Argument: [][]byte{bytes.Repeat([]byte("x"), e.Large-1)}},
		{Function: "large", Argument: [][]byte{bytes.Repeat([]byte("x"), e.Large-1), []byte("y")}},
		{Function: "larger", Argument: [][]byte{bytes.Repeat([]byte("large "), e.Large), nil, []byte("y")}},
	} {
		p.mustPut(t, job)
	}
	second := &store.Job{Function: "same", Unique: "same", Argument: [][]byte{[]byte("second")}}
	if !e.Unique {
		p.mustPut(t, second)
	} else if err := p.put(second); !errors.As(err, new(*store.UniqueTaken)) {
		t.Errorf("a second job with a unique id: %v", err)
	}
	for range 3 {
		p = p.reopen(t, site)
	}
	p.mustClose(t)
}

// keepsOrder: jobs are adopted in the order of Append, whichever ended in between.
func keepsOrder(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	rng := rand.New(rand.NewPCG(1, 2))
	var living []uint64
	for n := range 400 {
		job := small(n)
		if n%50 == 7 {
			job = sized(n, e.Large+n)
		}
		living = append(living, p.mustPut(t, job))
		for len(living) > 60 {
			i := rng.IntN(len(living))
			p.end(living[i])
			living = append(living[:i], living[i+1:]...)
		}
		if n%150 == 149 {
			p = p.reopen(t, site)
		}
	}
	p.reopen(t, site).mustClose(t)
}

// keepsUpdates: the last number of retries and the last priority are stored, and the order of Append stays.
func keepsUpdates(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	first, second, third := p.mustPut(t, small(1)), p.mustPut(t, small(2)), p.mustPut(t, small(3))
	large := p.mustPut(t, sized(4, e.Large+1))
	for n := range uint16(5) {
		p.update(first, n+1, store.Priority(n%3))
	}
	p.update(second, 7, store.Low)
	p.update(third, 0, store.Normal)
	p.update(large, 0, store.High)
	early, err := p.append(small(5)) // an update before the receipt
	if err != nil {
		t.Fatal(err)
	}
	p.update(p.l.order[4], 1, store.High)
	<-early
	p = p.reopen(t, site)
	p.update(second, 8, store.Low)
	p.update(third, 0, store.Low)
	p.update(third, 0, store.High)
	p.Update(0, 9, store.Low)
	p.end(first)
	p.Update(p.ref(first), 10, store.Low)
	p = p.reopen(t, site)
	for n := range 50 { // the engine may move old jobs
		p.end(p.mustPut(t, small(10+n)))
	}
	p.reopen(t, site).mustClose(t)
}

// keepsMany: more jobs than one call of Adopt passes.
func keepsMany(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	for n := range 3*store.AdoptMost + 10 {
		if _, err := p.append(small(n)); err != nil {
			t.Fatal(err)
		}
	}
	p.reopen(t, site).mustClose(t)
}

// endsAreKept: ended jobs do not return after an orderly end, even if Done was called twice or for no job.
func endsAreKept(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	var numbers []uint64
	for n := range 20 {
		size := n
		if n%5 == 0 {
			size = e.Large
		}
		numbers = append(numbers, p.mustPut(t, sized(n, size)))
	}
	for i, number := range numbers {
		if i%2 == 0 {
			p.end(number)
			p.Done(p.ref(number))
		}
	}
	p.Done(0)
	p.Done(store.Ref(math.MaxUint64))
	p = p.reopen(t, site)
	for _, job := range p.adopted {
		p.end(job.Number)
	}
	p = p.reopen(t, site)
	if len(p.adopted) != 0 {
		t.Errorf("%d jobs are left", len(p.adopted))
	}
	p.mustClose(t)
}

// limits: a job that is too large is refused, without harm to others.
func limits(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	piece := make([]byte, 1<<20)
	tooMuch := make([][]byte, store.MaxArgument>>20+1)
	for i := range tooMuch {
		tooMuch[i] = piece
	}
	long := strings.Repeat("x", store.MaxName+1)
	for _, job := range []*store.Job{
		{Function: long}, {Function: "f", Unique: long}, {Function: "f", Reducer: long}, {Function: "f", Argument: tooMuch},
	} {
		// Bypass the ledger, which would copy it.
		job.Number = p.number("f")
		if _, err := p.Append(job, nil); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%.10s, %.10s, %.10s, %d pieces: %v", job.Function, job.Unique, job.Reducer, len(job.Argument), err)
		}
	}
	p.mustPut(t, &store.Job{Function: long[1:], Unique: long[1:], Reducer: long[1:]})
	p.reopen(t, site).mustClose(t)
}

// pieces records the sizes of writes.
type pieces struct {
	bytes.Buffer
	largest int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	return p.Buffer.Write(b)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// arguments: a large argument can be read any number of times, until its job ends.
func arguments(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	want := bytes.Repeat([]byte("0123456789abcde"), max(e.Large, store.LargeArgument)/5)
	large := &store.Job{Function: "f", Argument: [][]byte{want[:100], nil, want[100:]}}
	number := p.mustPut(t, large)
	little := p.mustPut(t, small(2))
	for again := range 2 {
		for range 2 {
			var got pieces
			if err := p.argument(p.ref(number), &got); err != nil || !bytes.Equal(got.Bytes(), want) || got.largest > 256<<10 {
				t.Errorf("%d bytes of %d, at most %d at a time, %v", got.Len(), len(want), got.largest, err)
			}
		}
		full := errors.New("full")
		if err := p.argument(p.ref(number), writerFunc(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
			t.Error("with a writer that fails:", err)
		}
		for _, ref := range []store.Ref{0, p.ref(little), store.Ref(math.MaxUint64)} {
			if err := p.argument(ref, io.Discard); !errors.Is(err, store.ErrGone) {
				t.Errorf("ref %x: %v", ref, err)
			}
		}
		if again == 0 {
			p = p.reopen(t, site)
		}
	}
	ref := p.ref(number)
	p.end(number)
	if err := p.argument(ref, io.Discard); !errors.Is(err, store.ErrGone) {
		t.Error("of a job that has ended:", err)
	}
	p.mustClose(t)
	if err := p.argument(ref, io.Discard); !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrGone) {
		t.Error("after close:", err)
	}
	p = mustStart(t, site, p.l, true)
	if s := p.Stats(); s.Jobs != 1 {
		t.Error(fmt.Sprint("jobs: ", s.Jobs))
	}
	p.mustClose(t)
}

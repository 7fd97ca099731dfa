package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/store"
	"gearloop/test/await"
)

// nothingWaits: while the layer below stalls, no call blocks; jobs are refused when too much waits, and
// everything accepted is stored afterwards.
func nothingWaits(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	old := p.mustPut(t, small(0))
	gate := make(chan struct{})
	site.Intercept(func(string) error {
		<-gate
		return nil
	})
	var receipts []<-chan error
	size := min(e.Large-1, 64<<10)
	busy := false
	for n := 1; n < 20_000 && !busy; n++ {
		came, err := p.append(sized(n, size))
		switch {
		case err == nil:
			receipts = append(receipts, came)
		case errors.Is(err, store.ErrBusy):
			busy = true
		default:
			t.Fatal(err)
		}
	}
	if !busy || len(receipts) < 3 {
		t.Errorf("%d jobs of %d bytes were taken while nothing could be written", len(receipts), size)
	}
	p.update(old, 3, store.High)
	p.end(old)
	if s := p.Stats(); s.Queued < int64(len(receipts)*size) {
		t.Errorf("%d jobs of %d bytes wait, %d bytes are told", len(receipts), size, s.Queued)
	}
	select {
	case err := <-receipts[0]:
		t.Errorf("the receipt of a job that can't be written has come: %v", err)
	default:
	}
	close(gate)
	site.Intercept(nil)
	for _, came := range receipts {
		if err := <-came; err != nil {
			t.Error(err)
		}
	}
	p.mustPut(t, small(1))
	p.reopen(t, site).mustClose(t)
}

// failing makes n calls fail, from number at on.
type failing struct {
	mu    sync.Mutex
	calls int
	at    int // 0: none
	count int
	err   error
	hits  int
}

func (f *failing) call(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.at == 0 || f.calls < f.at || f.calls >= f.at+f.count {
		return nil
	}
	f.hits++
	return f.err
}

func (f *failing) hit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// over ends the faults.
func (f *failing) over() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = 0
}

// recovers waits until the store accepts jobs again by itself.
func (p *process) recovers(tb testing.TB) {
	tb.Helper()
	n := 100_000
	await.Until(tb, "jobs are taken again", func() bool {
		n++
		return p.put(small(n)) == nil
	})
	await.Until(tb, "no failure is left", func() bool { return p.Stats().Failed == nil })
}

// refusedIsNotStored: a job refused because of a fault does not exist once the store has written again.
func refusedIsNotStored(t *testing.T, e Engine) {
	for _, fault := range e.Faults {
		for at := 1; ; at++ {
			site := e.New(t)
			p := mustStart(t, site, newLedger(), true)
			p.mustPut(t, small(1))
			f := &failing{at: at, count: 1, err: fault}
			site.Intercept(f.call)
			refused := p.put(sized(2, at%2*e.Large))
			if refused != nil && !errors.Is(refused, store.ErrFailed) {
				t.Errorf("refused with %v", refused)
			}
			hit := f.hit()
			f.over()
			p.recovers(t)
			site.Intercept(nil)
			p.reopen(t, site).mustClose(t)
			if hit == 0 {
				if at < 2 {
					t.Error("a job is stored without any call")
				}
				break
			}
		}
	}
}

// outage: while nothing can be written, jobs are refused at once, acknowledged ones stay, ends are accepted,
// and the store recovers by itself.
func outage(t *testing.T, e Engine) {
	for _, fault := range e.Faults {
		site := e.New(t)
		p := mustStart(t, site, newLedger(), true)
		first := p.mustPut(t, small(1))
		p.mustPut(t, sized(2, e.Large))
		var broken atomic.Bool
		broken.Store(true)
		site.Intercept(func(string) error {
			if broken.Load() {
				return fault
			}
			return nil
		})
		if err := p.put(small(3)); !errors.Is(err, store.ErrFailed) {
			t.Fatalf("a job in an outage: %v", err)
		}
		await.Until(t, "jobs are refused at once", func() bool {
			_, err := p.append(small(4))
			return errors.Is(err, store.ErrFailed)
		})
		for n := range 50 {
			if _, err := p.append(small(5 + n)); !errors.Is(err, store.ErrFailed) {
				t.Fatalf("a job later in an outage: %v", err)
			}
		}
		if err := p.Stats().Failed; !errors.Is(err, store.ErrFailed) {
			t.Errorf("told of %v", err)
		}
		p.end(first)
		broken.Store(false)
		p.recovers(t)
		p.mustPut(t, small(200))
		site.Intercept(nil)
		if err := p.counted(); err != nil {
			t.Error(err)
		}
		p.reopen(t, site).mustClose(t)
	}
}

// refusedThenTaken: a refused job may be appended again under its number, and is then stored with its
// argument, whatever the first attempt left.
func refusedThenTaken(t *testing.T, e Engine) {
	for _, fault := range e.Faults {
		for at := 1; at < 12; at++ {
			if e.Slow && at%3 != 1 {
				continue
			}
			site := e.New(t)
			p := mustStart(t, site, newLedger(), true)
			f := &failing{at: at, count: 1, err: fault}
			site.Intercept(f.call)
			job := sized(1, e.Large)
			refused := p.put(job)
			f.over()
			p.recovers(t) // a fault may also have come after the receipt
			if refused != nil {
				came, err := p.appendAgain(job)
				if err != nil {
					t.Fatal(err)
				}
				if err := <-came; err != nil {
					t.Fatal(err)
				}
			}
			for n := range 10 { // makes the engine do what it had put off
				p.end(p.mustPut(t, small(10+n)))
			}
			site.Intercept(nil)
			p = p.reopen(t, site)
			p.reopen(t, site).mustClose(t)
		}
	}
}

// closedInOutage: a store that is closed while nothing can be written reports this, and loses nothing that
// was safe.
func closedInOutage(t *testing.T, e Engine) {
	for _, fault := range e.Faults {
		site := e.New(t)
		p := mustStart(t, site, newLedger(), true)
		p.mustPut(t, small(1))
		site.Intercept(func(string) error { return fault })
		came, err := p.append(small(2))
		if err == nil {
			err = <-came
		}
		if err == nil {
			t.Error("a job was stored in an outage")
		}
		if err := p.Close(); err == nil {
			t.Error("it ends as if all were well")
		}
		site.Intercept(nil)
		mustStart(t, site, p.l, false).mustClose(t)
	}
}

// eachCallFails: each call to the layer below fails in turn, once or for a while, in a workload that does a
// little of everything. Acknowledged jobs survive a crash, refused ones do not exist after an orderly end,
// and the store accepts jobs again.
func eachCallFails(t *testing.T, e Engine) {
	for _, fault := range e.Faults {
		for _, count := range []int{1, 6} {
			step := 2 + 3*count
			if e.Slow {
				step *= 6
			}
			if e.Thorough > 0 {
				step = 1
			}
			at := 1
			if e.Slow {
				at += rand.IntN(step)
			}
			for ; ; at += step {
				f := &failing{at: at, count: count, err: fault}
				if err := faultyLife(t, e, f); err != nil {
					t.Fatalf("%d calls fail with %v from number %d on: %v", count, fault, at, err)
				}
				if f.hit() == 0 {
					if at < 20 {
						t.Fatal("there were hardly any calls")
					}
					break
				}
			}
		}
	}
}

func faultyLife(t *testing.T, e Engine, f *failing) error {
	site := e.New(t)
	site.Intercept(f.call)
	l := newLedger()
	var p *process
	var err error
	for range 10 { // a fault at the start is an error; the next attempt may succeed
		if p, err = start(site, l, true); err == nil {
			break
		}
		if f.hit() == 0 {
			return fmt.Errorf("start: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("it never starts: %w", err)
	}
	p.workload(e)
	f.over()
	p.recovers(t)
	power := !e.LosesPower
	crash, books := site.Crash(power), l.snapshot()
	if err := p.close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	site.Intercept(nil)
	for i, left := range []Site{crash, site} {
		if i == 1 {
			books = l
		}
		again, err := start(left, books, i == 1)
		if err != nil {
			return err
		}
		if err := again.close(); err != nil {
			return err
		}
	}
	return nil
}

// workload does a little of everything, and continues after refusals.
func (p *process) workload(e Engine) {
	n := 0
	next := func(size int) *store.Job {
		n++
		if size == 0 {
			return small(n)
		}
		return sized(n, size)
	}
	submit := func(size int) uint64 {
		job := next(size)
		_ = p.put(job)
		return job.Number
	}
	var first []uint64
	for range 8 {
		first = append(first, submit(0))
	}
	p.end(first[1])
	var together []<-chan error
	for range 10 {
		if came, err := p.append(next(700)); err == nil {
			together = append(together, came)
		}
	}
	for _, came := range together {
		<-came
	}
	large := submit(e.Large + 5)
	submit(e.Large)
	p.update(first[0], 3, store.Low)
	for _, number := range first[3:] {
		p.end(number)
	}
	p.pause()
	p.end(large)
	p.pause()
	submit(e.Large + 1)
	for range 12 {
		p.end(submit(500))
	}
	p.NewRun()
	p.pause()
	submit(0)
}

// pause lets the engine do its idle work.
func (p *process) pause() {
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s := p.Stats(); s.Queued == 0 {
			time.Sleep(2 * time.Millisecond)
			return
		}
	}
}

package storetest

import (
	"errors"
	"sync"
	"testing"

	"gearloop/store"
)

// receiptsInOrder: each job gets one receipt, in the order of Append (process checks this), also while jobs
// end.
func receiptsInOrder(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	var last <-chan error
	for n := range 2000 {
		job := small(n)
		if n%300 == 299 {
			job = sized(n, e.Large)
		}
		came, err := p.append(job)
		if err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			p.end(job.Number)
		}
		last = came
	}
	if err := <-last; err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	if len(p.order) > 0 {
		t.Errorf("the last receipt has come, and %d are left", len(p.order))
	}
	p.mu.Unlock()
	p.reopen(t, site).mustClose(t)
}

// receiptsOfClose: a store that is closed at once answers and keeps what it was given.
func receiptsOfClose(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	for n := range 50 {
		if _, err := p.append(sized(n, n%2*e.Large)); err != nil {
			t.Fatal(err)
		}
	}
	p = p.reopen(t, site)
	if len(p.adopted) != 50 {
		t.Errorf("%d jobs of 50 were stored", len(p.adopted))
	}
	p.mustClose(t)
}

// withoutHurry: jobs are stored although Hurry does not come, and a store that is closed does not wait for it.
func withoutHurry(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	p.hurryless = true
	for n := range 3 {
		p.mustPut(t, small(n))
	}
	came, err := p.append(small(3))
	if err != nil {
		t.Fatal(err)
	}
	p.mustClose(t)
	if err := <-came; err != nil {
		t.Error(err)
	}
	p = mustStart(t, site, p.l, true)
	if len(p.adopted) != 4 {
		t.Errorf("%d jobs of 4 were stored", len(p.adopted))
	}
	p.mustClose(t)
}

// doneBeforeReceipt: the receipt comes in any case, and the job is gone.
func doneBeforeReceipt(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	gate := make(chan struct{})
	site.Intercept(func(string) error {
		<-gate
		return nil
	})
	var receipts []<-chan error
	for n := range 30 {
		job := sized(n, n%3/2*e.Large)
		came, err := p.append(job)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, came)
		if n%2 == 0 {
			p.end(job.Number)
		}
	}
	close(gate)
	for _, came := range receipts {
		if err := <-came; err != nil {
			t.Error(err)
		}
	}
	site.Intercept(nil)
	p = p.reopen(t, site)
	if len(p.adopted) != 15 {
		t.Errorf("%d jobs are left, want 15", len(p.adopted))
	}
	p.mustClose(t)
}

// manyAtOnce: the store is used by many goroutines.
func manyAtOnce(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			for n := range 60 {
				job := sized(1000*user+n, n%20/19*e.Large)
				if err := p.put(job); err != nil {
					t.Error(err)
					return
				}
				switch n % 4 {
				case 0:
					p.update(job.Number, uint16(n), store.Priority(n/4%3))
				case 1, 2:
					p.end(job.Number)
				}
				p.Stats()
			}
		})
	}
	users.Wait()
	p = p.reopen(t, site)
	if len(p.adopted) != 8*30 {
		t.Errorf("%d jobs are left, want 240", len(p.adopted))
	}
	p.mustClose(t)
}

// closed: after Close nothing is accepted, and nothing breaks.
func closed(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	number := p.mustPut(t, small(1))
	p.mustClose(t)
	if _, err := p.append(small(2)); !errors.Is(err, store.ErrClosed) {
		t.Error("append:", err)
	}
	ref := p.ref(number)
	p.Done(ref)
	p.Update(ref, 7, store.High)
	p.NewRun()
	p.Lookup(number, func(store.Status) { t.Error("answered after Close") })
	if err := p.Close(); err != nil {
		t.Error("a second time:", err)
	}
	p = mustStart(t, site, p.l, true)
	p.mustClose(t)
}

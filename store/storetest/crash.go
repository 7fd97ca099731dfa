package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// crash is what a crash at some moment leaves, and what the broker knew then.
type crash struct {
	at    int
	call  string
	power bool
	left  Site
	books *ledger
}

// crashAtEachCall: the process dies, or the machine loses power, before each call that changes something,
// while a store is started, filled and closed, twice. The next start finds everything that was acknowledged,
// and so does the one after it.
func crashAtEachCall(t *testing.T, e Engine) {
	turns := max(1, e.Thorough/100)
	for range turns {
		for _, power := range []bool{false, true} {
			crashes, calls := e.crashes(t, power)
			if calls < 30 {
				t.Fatal("there were hardly any calls:", calls)
			}
			for _, c := range crashes {
				if err := c.recovers(e); err != nil {
					t.Fatalf("crash before call %d of %d, %s, power lost: %v: %v", c.at, calls, c.call, power, err)
				}
			}
		}
	}
}

// crashes runs two lifetimes and returns what a crash at each point would have left; of a slow engine, at some of them.
func (e Engine) crashes(t *testing.T, power bool) (all []crash, calls int) {
	site, l := e.New(t), newLedger()
	var mu sync.Mutex
	site.Intercept(func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if e.Slow && e.Thorough == 0 && rand.IntN(16) > 0 {
			return nil
		}
		// The broker's knowledge is recorded first: only later events may be missing from it.
		books := l.snapshot()
		all = append(all, crash{calls, call, power, site.Crash(power), books})
		return nil
	})
	for life := range 2 {
		p := mustStart(t, site, l, true)
		if life == 0 {
			p.workload(e)
		}
		p.mustClose(t)
	}
	site.Intercept(nil)
	return all, calls
}

// recovers opens what a crash left, and again after another crash.
func (c *crash) recovers(e Engine) error {
	if c.power && e.LosesPower {
		c.books.lossy()
	}
	left := c.left
	for again := range 3 {
		p, err := start(left, c.books, false)
		if err != nil {
			return fmt.Errorf("start %d: %w", again+1, err)
		}
		// What this start found must be there at the next, whatever happens now.
		next := left
		if again == 0 {
			next = left.Crash(false)
			p.crashed()
		} else if err := p.close(); err != nil {
			return err
		}
		left = next
	}
	return nil
}

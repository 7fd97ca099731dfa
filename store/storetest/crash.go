package storetest

import (
	"fmt"
	"sync"
	"testing"
)

// crash is what a crash at some moment leaves, and what the broker knew then.
type crash struct {
	call  string
	power bool
	left  Site
	books *ledger
}

// crashAtEachCall: the process dies, or the machine loses power, before each call by which something is
// changed: while a store is started, filled and closed, twice. Whoever opens what is left finds all that was
// acknowledged, and finds the same again.
func crashAtEachCall(t *testing.T, e Engine) {
	turns := max(1, e.Thorough/100)
	for range turns {
		for _, power := range []bool{false, true} {
			crashes := e.crashes(t, power)
			if len(crashes) < 30 {
				t.Fatal("there were hardly any calls:", len(crashes))
			}
			for i, c := range crashes {
				if err := c.recovers(e); err != nil {
					t.Fatalf("crash %d of %d, before %s, power lost: %v: %v", i, len(crashes), c.call, power, err)
				}
			}
		}
	}
}

// crashes lives two lives, and returns what crashes on the way would have left.
func (e Engine) crashes(t *testing.T, power bool) (all []crash) {
	site, l := e.New(t), newLedger()
	var mu sync.Mutex
	site.Intercept(func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		// What the broker knows is noted first: only what happens later may be missing there.
		books := l.snapshot()
		all = append(all, crash{call, power, site.Crash(power), books})
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
	return all
}

// recovers opens what a crash left, and does so again after another crash.
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
		// What was there at this start must be there at the next, whatever happens to it now.
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

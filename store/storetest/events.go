package storetest

import (
	"slices"
	"testing"

	"gearloop/store"
	"gearloop/test/await"
)

// runs: each start opens a run that was never opened, also after a crash. (process checks this.)
func runs(t *testing.T, e Engine) {
	site, l := e.New(t), newLedger()
	for n := range 12 {
		p := mustStart(t, site, l, n%4 == 0)
		if n%2 == 0 {
			p.mustPut(t, small(n))
		}
		if n%4 == 3 {
			p.mustClose(t)
			continue
		}
		power := n%4 == 1
		left := site.Crash(power)
		if power && e.LosesPower {
			l.lossy()
		}
		p.crashed()
		site = left
	}
}

// newRun: another run is opened on request, and jobs of both are kept.
func newRun(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	for n := range 4 {
		p.mustPut(t, small(n))
		came, err := p.append(sized(n, e.Large)) // in flight meanwhile
		if err != nil {
			t.Fatal(err)
		}
		p.NewRun()
		p.NewRun() // without effect
		await.Until(t, "a run is opened", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.runs) >= n+2
		})
		if err := <-came; err != nil {
			t.Error(err)
		}
	}
	p.mustPut(t, small(99))
	p.mu.Lock()
	opened := slices.Clone(p.runs)
	p.mu.Unlock()
	// Two calls may count twice if the first was granted in between, but no more.
	if len(opened) > 9 {
		t.Errorf("runs %d were opened", opened)
	}
	p.reopen(t, site).mustClose(t)
}

// lookup: an engine that nobody shares says so, and a shared one answers.
func lookup(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	number := store.Number(p.run-1, 1, 1)
	answers := make(chan store.Status, 2)
	if p.Lookup(number, func(s store.Status) {
		defer p.enter()()
		answers <- s
	}) {
		if s := <-answers; s.Known {
			t.Errorf("job %d is known: %+v", number, s)
		}
	}
	p.mustClose(t)
	if len(answers) > 0 {
		t.Error("answered, or twice")
	}
}

// stats: the counts match what is stored.
func stats(t *testing.T, e Engine) {
	site := e.New(t)
	p := mustStart(t, site, newLedger(), true)
	if s := p.Stats(); s.Jobs != 0 || s.LiveBytes != 0 || s.Queued != 0 || s.Failed != nil {
		t.Errorf("of an empty store: %+v", s)
	}
	var numbers []uint64
	for n := range 10 {
		numbers = append(numbers, p.mustPut(t, sized(n, 1000)))
	}
	numbers = append(numbers, p.mustPut(t, sized(10, e.Large)))
	s := p.Stats()
	if least := int64(10_000 + e.Large); s.Jobs != 11 || s.LiveBytes < least || s.LiveBytes > least+5000 || s.DiskBytes < s.LiveBytes {
		t.Errorf("with 11 jobs of %d bytes: %+v", least, s)
	}
	for _, number := range numbers {
		p.end(number)
	}
	if s := p.Stats(); s.Jobs != 0 || s.LiveBytes != 0 {
		t.Errorf("when all have ended: %+v", s)
	}
	p.mustClose(t)
}

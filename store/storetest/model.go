package storetest

import (
	"flag"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"gearloop/store"
)

// setRuns sets how often rapid runs a model, which is the same for all engines that a package tests at once.
var setRuns sync.Once

// model: random actions on a store with losses of power, kills, outages and restarts, checked against the
// ledger. The engine runs concurrently, so a seed usually reproduces a failure, but not always.
func model(t *testing.T, e Engine) {
	runs := e.Thorough
	if e.Slow && runs == 0 {
		runs = 4
	}
	if runs > 0 {
		setRuns.Do(func() {
			if err := flag.Set("rapid.checks", strconv.Itoa(runs)); err != nil {
				t.Error(err)
			}
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &modelRun{T: rt, tb: t, e: e, site: e.New(t), l: newLedger()}
		m.p = mustStart(m.tb, m.site, m.l, true)
		actions := map[string]func(*rapid.T){
			"append": m.append, "append large": m.appendLarge, "wait": m.wait, "done": m.done, "update": m.update,
			"many": m.many, "restart": m.restart, "crash": m.crash, "new run": func(*rapid.T) { m.p.NewRun() },
		}
		if len(e.Faults) > 0 {
			actions["outage"] = m.outage
		}
		rt.Repeat(actions)
		m.heal()
		m.restart(rt)
		m.p.mustClose(m.tb)
	})
}

// modelRun is one sequence of actions.
type modelRun struct {
	*rapid.T
	tb      testing.TB
	e       Engine
	site    Site
	l       *ledger
	p       *process
	waiting []<-chan error
	broken  atomic.Pointer[error]
	n       int
}

func (m *modelRun) submit(size int) {
	m.n++
	job := small(m.n)
	if size > 0 {
		job = sized(m.n, size)
	}
	failed := m.p.Stats().Failed // the engine may recover between a refusal and the next look
	if came, err := m.p.append(job); err == nil {
		m.waiting = append(m.waiting, came)
	} else if m.broken.Load() == nil && failed == nil && m.p.Stats().Failed == nil {
		m.tb.Fatalf("a job is refused for nothing: %v", err)
	}
}

func (m *modelRun) append(t *rapid.T) { m.submit(rapid.IntRange(0, 500).Draw(t, "size")) }
func (m *modelRun) appendLarge(t *rapid.T) {
	m.submit(m.e.Large + rapid.IntRange(0, 9).Draw(t, "over"))
}

func (m *modelRun) wait(*rapid.T) {
	for _, came := range m.waiting {
		<-came
	}
	m.waiting = nil
}

// some draws one of the broker's jobs, often the oldest; 0: there is none.
func (m *modelRun) some(t *rapid.T) uint64 {
	m.p.mu.Lock()
	numbers := slices.Sorted(maps.Keys(m.p.refs))
	m.p.mu.Unlock()
	m.l.mu.Lock()
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { return m.l.jobs[n].done || m.l.jobs[n].refused })
	m.l.mu.Unlock()
	if len(numbers) == 0 {
		return 0
	}
	return numbers[max(0, rapid.IntRange(-len(numbers), len(numbers)-1).Draw(t, "which"))]
}

func (m *modelRun) done(t *rapid.T) {
	if n := m.some(t); n != 0 {
		m.p.end(n)
	}
}

func (m *modelRun) update(t *rapid.T) {
	if n := m.some(t); n != 0 {
		m.p.update(n, uint16(rapid.IntRange(0, 9).Draw(t, "retries")), store.Priority(rapid.IntRange(0, 2).Draw(t, "priority")))
	}
}

// many adds and ends many jobs, so that there is garbage to clean.
func (m *modelRun) many(t *rapid.T) {
	for range rapid.IntRange(10, 40).Draw(t, "jobs") {
		m.submit(40)
		m.done(t)
	}
}

func (m *modelRun) restart(t *rapid.T) {
	m.heal()
	m.p.recovers(m.tb)
	m.wait(t)
	m.p = m.p.reopen(m.tb, m.site)
}

func (m *modelRun) crash(t *rapid.T) {
	power := rapid.Bool().Draw(t, "power")
	books := m.l.snapshot() // first: only later events may be missing from it
	left := m.site.Crash(power)
	m.p.crashed()
	m.l = books
	if power && m.e.LosesPower {
		m.l.lossy()
	}
	m.site, m.waiting = left, nil
	m.broken.Store(nil)
	m.p = mustStart(m.tb, m.site, m.l, false)
}

func (m *modelRun) outage(t *rapid.T) {
	if m.broken.Load() != nil {
		m.heal()
		return
	}
	fault := rapid.SampledFrom(m.e.Faults).Draw(t, "fault")
	m.broken.Store(&fault)
	m.site.Intercept(func(string) error {
		if err := m.broken.Load(); err != nil {
			return *err
		}
		return nil
	})
}

func (m *modelRun) heal() { m.broken.Store(nil) }

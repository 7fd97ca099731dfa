package view

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"gearloop/sched"
)

const (
	// failuresEvery is after how many looks it is noted what has failed until then.
	failuresEvery = 300
	// fewFailures is how many jobs of a function may fail in that time without anybody being told.
	fewFailures = 5
	// failingShare is from which share of a function's jobs on it needs attention.
	failingShare = .1
)

// badEnds are the outcomes that count as failures, for whatever reason.
var badEnds = [...]sched.Outcome{sched.Fail, sched.Exception, sched.Timeout, sched.WorkerLost}

// failures counts jobs of a function: those that failed, by badEnds, of those that ended.
type failures struct {
	bad   [len(badEnds)]uint64
	ended uint64
}

func failuresOf(c *sched.Counters) (f failures) {
	for _, n := range c.Ended {
		f.ended += n
	}
	for i, o := range badEnds {
		f.bad[i] = c.Ended[o]
	}
	return f
}

func (f *failures) failed() (n uint64) {
	for _, k := range f.bad {
		n += k
	}
	return n
}

// many reports whether the failures need attention.
func (f *failures) many() bool { return f.failed() >= fewFailures && f.share() >= failingShare }

// share returns the share of failed jobs, from 0 to 1.
func (f *failures) share() float64 {
	if f.ended == 0 {
		return 0
	}
	return float64(f.failed()) / float64(f.ended)
}

// pastFailures is what functions had done by two moments of the past, so that one that failed a week ago is
// not taken for one that fails. It takes 56 bytes for each function whose jobs have ended, twice.
type pastFailures struct {
	mu           sync.Mutex
	former, last endedBy
}

// endedBy is what functions had done by a moment.
type endedBy struct {
	at        time.Time
	functions []endedOf               // by name
	times     map[string]*sched.Times // of those that have histograms of their own
}

type endedOf struct {
	name string
	failures
}

// endedUntil returns what functions have done by now.
func endedUntil(rows []functionRow, now time.Time) endedBy {
	by := endedBy{at: now}
	for i := range rows {
		if f := &rows[i]; f.past.ended > 0 {
			by.functions = append(by.functions, endedOf{f.name, f.past})
		}
	}
	slices.SortFunc(by.functions, func(a, b endedOf) int { return strings.Compare(a.name, b.name) })
	return by
}

// since returns what a function has done since that moment, given what it has done until now.
func (by *endedBy) since(name string, now *failures) failures {
	k := sort.Search(len(by.functions), func(k int) bool { return by.functions[k].name >= name })
	if k == len(by.functions) || by.functions[k].name != name || by.functions[k].ended > now.ended {
		return *now // none had ended then, or it was forgotten since and is known again
	}
	d := *now
	for i, n := range by.functions[k].bad {
		d.bad[i] -= min(n, d.bad[i])
	}
	d.ended -= by.functions[k].ended
	return d
}

// keep notes what functions have done by now.
func (p *pastFailures) keep(by endedBy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.former, p.last = p.last, by
}

// begin returns the former of the two moments, which is from five to ten minutes ago; when counting began, if
// that is later.
func (p *pastFailures) begin(began time.Time) endedBy {
	p.mu.Lock()
	past := p.former
	p.mu.Unlock()
	if past.at.IsZero() {
		past.at = began
	}
	return past
}

// lately returns for each row how many of its jobs have ended and failed since begin. Rows with less than so
// many failures ever are left at zero.
func (p *pastFailures) lately(rows []functionRow, began time.Time, failed uint64) (lately []failures, since time.Time) {
	past := p.begin(began)
	lately = make([]failures, len(rows))
	for i := range rows {
		if f := &rows[i]; f.past.failed() >= failed {
			lately[i] = past.since(f.name, &f.past)
		}
	}
	return lately, past.at
}

package view

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	// failuresEvery is after how many looks it is noted what has failed until then.
	failuresEvery = 300
	// fewFailures is how many jobs of a function may fail in that time without anybody being told.
	fewFailures = 5
	// failingShare is from which share of a function's jobs on it needs attention.
	failingShare = .1
)

// failures is how many jobs of a function have failed, of those that ended.
type failures struct{ failed, ended uint64 }

// many reports whether that needs attention.
func (f failures) many() bool { return f.failed >= fewFailures && f.share() >= failingShare }

// share is from 0 to 1.
func (f failures) share() float64 {
	if f.ended == 0 {
		return 0
	}
	return float64(f.failed) / float64(f.ended)
}

// pastFailures is what functions had done by two moments of the past, so that one that failed a week ago is
// not taken for one that fails. It takes 32 bytes for each function, twice.
type pastFailures struct {
	mu           sync.Mutex
	former, last endedBy
}

// endedBy is what functions had done by a moment.
type endedBy struct {
	at        time.Time
	functions []endedOf // by name
}

type endedOf struct {
	name string
	failures
}

// keep notes what functions have done by now.
func (p *pastFailures) keep(rows []functionRow, now time.Time) {
	by := endedBy{at: now}
	for i := range rows {
		if f := &rows[i]; f.ended > 0 {
			by.functions = append(by.functions, endedOf{f.name, failures{f.failed, f.ended}})
		}
	}
	slices.SortFunc(by.functions, func(a, b endedOf) int { return strings.Compare(a.name, b.name) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.former, p.last = p.last, by
}

// since returns for each row how many of its jobs have ended and failed since the former of the two moments,
// which is from five to ten minutes ago, or since counting began if that is later. Rows with few failures
// ever are left at zero.
func (p *pastFailures) since(rows []functionRow, began time.Time) (lately []failures, since time.Time) {
	p.mu.Lock()
	past := p.former
	p.mu.Unlock()
	if since = past.at; since.IsZero() {
		since = began
	}
	lately = make([]failures, len(rows))
	for i := range rows {
		f := &rows[i]
		if f.failed < fewFailures { // ever
			continue
		}
		lately[i] = failures{f.failed, f.ended}
		k := sort.Search(len(past.functions), func(k int) bool { return past.functions[k].name >= f.name })
		if k == len(past.functions) || past.functions[k].name != f.name || past.functions[k].ended > f.ended {
			continue // none had ended then, or it was forgotten since and is known again
		}
		lately[i].failed -= min(past.functions[k].failed, f.failed)
		lately[i].ended -= past.functions[k].ended
	}
	return lately, since
}

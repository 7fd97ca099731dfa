package metrics

import (
	"cmp"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"gearloop/internal/glob"
	"gearloop/internal/view"
	"gearloop/sched"
	"gearloop/web"
	"gearloop/web/guard"
)

// row is a function with metrics of its own, or the sum of the others.
type row struct {
	label string
	shown bool // the function is known now
	stats sched.FunctionStats
	ever  sched.Counters
	times *sched.Times
	age   time.Duration

	asleep, busy, paused, closed int
}

// add adds the current numbers of another function.
func (r *row) add(st *sched.FunctionStats, age time.Duration, workers sched.WorkerCount) {
	r.shown = true
	r.asleep += workers.Asleep
	r.busy += workers.Busy
	if st.Paused != nil {
		r.paused++
	}
	if st.Closed != nil {
		r.closed++
	}
	r.stats.Total += st.Total
	r.stats.Running += st.Running
	r.stats.Workers += st.Workers
	for p := range st.Waiting {
		r.stats.Waiting[p] += st.Waiting[p]
		r.stats.Delayed[p] += st.Delayed[p]
	}
	r.age = max(r.age, age)
}

// rows returns the functions with metrics of their own by name, and last the sum of the others, if there are
// any.
func (m *Metrics) rows(all *sched.Metrics) (rows []row, hidden int) {
	byName := make(map[string]int, len(all.Own))
	rest := row{label: other, ever: all.Others}
	for i := range all.Own {
		o := &all.Own[i]
		if o.Name == other { // a function of that name would be mistaken for the sum
			rest.ever.Add(&o.Counters)
			continue
		}
		byName[o.Name] = len(rows)
		rows = append(rows, row{label: labelOf(o.Name), ever: o.Counters, times: o.Times})
	}
	now, workers := time.Now(), m.cfg.Source.Workers()
	m.walk(func(st *sched.FunctionStats) {
		age := time.Duration(0)
		if !st.Oldest.IsZero() {
			age = max(now.Sub(st.Oldest), 0)
		}
		i, own := byName[st.Name]
		if !own {
			hidden++
			rest.add(st, age, workers[st.Name])
			return
		}
		rows[i].add(st, age, workers[st.Name])
	})
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.label, b.label) })
	if hidden > 0 || rest.ever != (sched.Counters{}) {
		rows = append(rows, rest)
	}
	return rows, hidden
}

// walk visits all functions in steps, and yields to other goroutines after each.
func (m *Metrics) walk(f func(*sched.FunctionStats)) {
	walk := m.cfg.Source.Sched().ScanFunctions()
	var part []sched.FunctionStats
	for more := true; more; {
		part, more = walk.Next(part[:0])
		for i := range part {
			f(&part[i])
		}
		runtime.Gosched()
	}
}

// functionFamily is a family with samples of each function.
type functionFamily struct {
	family
	short string // its name in ?family=
	past  bool   // also written while the function is not known
	write func(*writer, *row)
}

var functionFamilies = []functionFamily{
	{jobs, "jobs", false, func(w *writer, r *row) { w.count(uint64(r.stats.Total), r.label) }},
	{jobsRunning, "running", false, func(w *writer, r *row) { w.count(uint64(r.stats.Running), r.label) }},
	{jobsWaiting, "jobs_waiting", false, func(w *writer, r *row) { w.count(uint64(max(r.stats.Total-r.stats.Running, 0)), r.label) }},
	{workers, "workers", false, func(w *writer, r *row) { w.count(uint64(r.stats.Workers), r.label) }},
	{waiting, "waiting", false, func(w *writer, r *row) {
		for p, name := range view.Priorities {
			w.count(uint64(r.stats.Waiting[p]-r.stats.Delayed[p]), r.label, name)
		}
	}},
	{delayed, "delayed", false, func(w *writer, r *row) {
		n := 0
		for _, k := range r.stats.Delayed {
			n += k
		}
		w.count(uint64(n), r.label)
	}},
	{oldest, "age", false, func(w *writer, r *row) { w.sample(r.age.Seconds(), r.label) }},
	{sleeping, "sleeping", false, func(w *writer, r *row) { w.count(uint64(r.asleep), r.label) }},
	{busy, "busy", false, func(w *writer, r *row) { w.count(uint64(r.busy), r.label) }},
	{paused, "paused", false, func(w *writer, r *row) {
		if r.paused > 0 {
			w.count(uint64(r.paused), r.label)
		}
	}},
	{closed, "closed", false, func(w *writer, r *row) {
		if r.closed > 0 {
			w.count(uint64(r.closed), r.label)
		}
	}},
	{submitted, "submitted", true, func(w *writer, r *row) {
		w.count(r.ever.Foreground, r.label, "foreground")
		w.count(r.ever.Background, r.label, "background")
	}},
	{coalesced, "coalesced", true, func(w *writer, r *row) { w.count(r.ever.Coalesced, r.label) }},
	{adopted, "adopted", true, func(w *writer, r *row) { w.count(r.ever.Adopted, r.label) }},
	{handedOut, "handed_out", true, func(w *writer, r *row) { w.count(r.ever.HandedOut, r.label) }},
	{putBack, "put_back", true, func(w *writer, r *row) { w.count(r.ever.PutBack, r.label) }},
	{heldBack, "held_back", true, func(w *writer, r *row) { w.count(r.ever.HeldBack, r.label, "paused") }},
	{ended, "ended", true, func(w *writer, r *row) {
		for o, n := range r.ever.Ended {
			// The usual outcomes are written from the beginning, so that their first occurrence is an increase.
			if n > 0 || o <= int(sched.WorkerLost) {
				w.count(n, r.label, sched.Outcome(o).String())
			}
		}
	}},
}

// serveFunctions serves any functions (?match= a pattern) and any of their families (?family= their short
// names). It holds in memory only their order, however many there are.
func (m *Metrics) serveFunctions(w http.ResponseWriter, r *http.Request) {
	families, err := chosenFamilies(r.URL.Query()["family"])
	if err != nil {
		web.WriteProblem(w, r, guard.NewProblem(http.StatusBadRequest, err.Error()))
		return
	}
	select {
	case m.slice <- struct{}{}:
		defer func() { <-m.slice }()
	case <-r.Context().Done():
		return
	}
	match := glob.New(r.URL.Query().Get("match"))
	workers := m.cfg.Source.Workers()
	answer(w, r, func(w *writer) {
		for _, f := range families {
			w.begin(f.family)
			now := time.Now()
			m.walk(func(st *sched.FunctionStats) {
				if w.err != nil || !match.Match(st.Name) {
					return
				}
				f.write(w, rowOf(st, now, workers[st.Name]))
			})
			if w.err != nil {
				return
			}
		}
	})
}

func rowOf(st *sched.FunctionStats, now time.Time, workers sched.WorkerCount) *row {
	age := time.Duration(0)
	if !st.Oldest.IsZero() {
		age = max(now.Sub(st.Oldest), 0)
	}
	r := &row{label: labelOf(st.Name), ever: st.Counters}
	r.add(st, age, workers)
	return r
}

// chosenFamilies returns the families with these short names, which may be separated by commas; all without
// names.
func chosenFamilies(names []string) (chosen []functionFamily, err error) {
	var known []string
	for _, f := range functionFamilies {
		known = append(known, f.short)
	}
	wanted := map[string]bool{}
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			if !slices.Contains(known, name) {
				return nil, fmt.Errorf("family is %q: it must be of %s", name, strings.Join(known, ", "))
			}
			wanted[name] = true
		}
	}
	for _, f := range functionFamilies {
		if len(wanted) == 0 || wanted[f.short] {
			chosen = append(chosen, f)
		}
	}
	return chosen, nil
}

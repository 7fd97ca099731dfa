package sched

import (
	"slices"
	"sync/atomic"
	"time"

	"gearloop/internal/histogram"
)

// MetricsConfig bounds how many functions have numbers that outlive them. Peers choose the names of
// functions, so there must be a bound: the first functions of the process have their own numbers, all others
// are summed.
type MetricsConfig struct {
	Functions  int // functions with counters of their own
	Histograms int // of these, the ones with histograms of their own
}

// Times are the histograms of a function's jobs (histogram.Jobs), by kind of time.
type Times [timeKinds]histogram.Histogram

// The kinds of times of a job.
const (
	Waited    = iota // from submission, or from when it was due or put back, to JOB_ASSIGN
	Ran              // from JOB_ASSIGN until the worker finishes or loses the job
	Lived            // from submission to the end
	timeKinds = iota
)

// add adds other to t.
func (t *Times) add(other *Times) {
	for i := range t {
		t[i].Merge(&other[i])
	}
}

// owned counts what Config.Metrics bounds.
type owned struct{ functions, histograms claims }

// claims counts how many of a bounded number are in use.
type claims struct{ n atomic.Int64 }

// claim takes one of most; false if none is left.
func (c *claims) claim(most int) bool { return c.n.Load() < int64(most) && c.n.Add(1) <= int64(most) }

// count returns how many of most are in use.
func (c *claims) count(most int) int { return int(min(c.n.Load(), int64(most))) }

// own holds the numbers of a function that has its own, for the rest of the process's life.
type own struct {
	counters *Counters // nil before the first submission
	times    *Times    // nil before the first time, or if there are histograms enough
	asked    bool      // whether it was decided if there are
}

// giveOwn gives a new function its earlier numbers, or new ones if any are left. The shard is locked.
func (sh *shard) giveOwn(fn *function) {
	m := sh.sched.cfg.Metrics
	if m == nil {
		return
	}
	o := sh.own[fn.name]
	if o == nil && sh.sched.owned.functions.claim(m.Functions) {
		o = &own{}
		sh.own[fn.name] = o
	}
	if o != nil {
		fn.own, fn.counters = o, o.counters
	}
}

// observe records a time of a job of the function that ends now. The shard is locked, and has times.
func (sh *shard) observe(fn *function, kind int, begin moment, now time.Time) {
	d := begin.until(sh.sched.moment(now))
	in := histogram.Jobs.In(int64(d))
	sh.times[kind].Add(in, int64(d))
	o := fn.own
	if o == nil {
		return
	}
	if o.times == nil && !o.asked {
		o.asked = true
		if sh.sched.owned.histograms.claim(sh.sched.cfg.Metrics.Histograms) {
			o.times = &Times{}
		}
	}
	if o.times != nil {
		o.times[kind].Add(in, int64(d))
	}
}

// OwnStats are the numbers of a function that has its own, whether or not it is known at the moment.
type OwnStats struct {
	Name     string
	Counters Counters
	Times    *Times // nil: no histograms of its own
}

// Metrics are the numbers of all jobs, by function up to the bounds of Config.Metrics.
type Metrics struct {
	Own    []OwnStats
	Others Counters // sum over all other functions
	All    Counters
	Times  Times // of all functions
}

// Metrics returns the numbers since the start. It goes through the functions in steps, so the numbers of two
// functions, and a function's and the sum, may be from different moments; but no counter ever decreases. The
// result is empty without Config.Metrics.
func (s *Sched) Metrics() (m Metrics) {
	if s.cfg.Metrics == nil {
		return m
	}
	m.Own = make([]OwnStats, 0, s.owned.functions.count(s.cfg.Metrics.Functions)+walkOwn)
	times := make([]Times, s.owned.histograms.count(s.cfg.Metrics.Histograms))
	for walk := (ownWalk{sched: s, times: times}); walk.next(&m); {
	}
	s.eachShard(func(sh *shard) {
		m.Others.Add(&sh.others)
		sh.addTo(&m.All)
		m.Times.add(sh.times)
	})
	return m
}

// ownWalk goes through the functions that have numbers of their own.
type ownWalk struct {
	sched *Sched
	shard int
	own   mapSteps
	times []Times // space for copies, so that next need not allocate it with a lock held
}

// next takes a step: it appends at most walkOwn functions to m.Own.
func (w *ownWalk) next(m *Metrics) (more bool) {
	for n := 0; w.shard < shardCount && n < walkOwn; {
		m.Own = slices.Grow(m.Own, walkOwn-n)
		sh := &w.sched.shards[w.shard]
		sh.lock()
		for ; n < walkOwn; n++ {
			if !w.own.next(sh.own) {
				w.shard++
				break
			}
			m.Own = append(m.Own, w.stats(w.own.iter.Key().String(), w.own.iter.Value().Interface().(*own)))
		}
		sh.mu.Unlock()
		w.sched.step()
	}
	return w.shard < shardCount
}

// stats copies the numbers of a function. Its shard is locked.
func (w *ownWalk) stats(name string, o *own) OwnStats {
	st := OwnStats{Name: name}
	if o.counters != nil {
		st.Counters = *o.counters
	}
	if o.times == nil {
		return st
	}
	if len(w.times) == 0 { // it came after they were counted
		w.times = make([]Times, 1)
	}
	st.Times, w.times = &w.times[0], w.times[1:]
	*st.Times = *o.times
	return st
}

// Sums returns what the shards know, summed. It looks at no connection, so Peers, Workers and Sleepers are 0.
// The times are empty without Config.Metrics.
func (s *Sched) Sums() (n Counts, c Counters, times Times) {
	walk := CountWalk{sched: s}
	walk.countShards()
	s.eachShard(func(sh *shard) {
		sh.addTo(&c)
		if sh.times != nil {
			times.add(sh.times)
		}
	})
	return walk.counts, c, times
}

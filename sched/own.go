package sched

import (
	"sync/atomic"
	"time"

	"gearloop/internal/histogram"
)

// MetricsConfig says for how many functions numbers are kept that outlive them. Names of functions come from peers, so
// there has to be a bound: the first functions of the process's life are told of one by one, and all others as a sum.
type MetricsConfig struct {
	Functions  int // that have counters of their own
	Histograms int // of these, such that have histograms of their own
}

// Times are the histograms of what times the jobs of a function took (histogram.Jobs), by timeKind.
type Times [timeKinds]histogram.Histogram

// The kinds of times of a job.
const (
	Waited    = iota // from submission, or from when it is due or put back, to JOB_ASSIGN
	Ran              // from JOB_ASSIGN until the worker is done with the job or loses it
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
type owned struct{ functions, histograms atomic.Int64 }

// claim takes one of so many, false when there is none left.
func claim(n *atomic.Int64, most int) bool {
	return n.Load() < int64(most) && n.Add(1) <= int64(most)
}

// own is what is kept of a function that has numbers of its own, for the rest of the process's life.
type own struct {
	counters *Counters // nil before the first submission
	times    *Times    // nil before the first time, and where there are histograms enough
	asked    bool      // whether there are
}

// giveOwn gives a function that has just been made its numbers from earlier, or those of a new one if there are any left.
// The shard is locked.
func (sh *shard) giveOwn(fn *function) {
	m := sh.sched.cfg.Metrics
	if m == nil {
		return
	}
	o := sh.own[fn.name]
	if o == nil && claim(&sh.sched.owned.functions, m.Functions) {
		o = &own{}
		sh.own[fn.name] = o
	}
	if o != nil {
		fn.own, fn.counters = o, o.counters
	}
}

// observe counts a time of a job of the function that ends now. The shard is locked, and has times.
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
		if claim(&sh.sched.owned.histograms, sh.sched.cfg.Metrics.Histograms) {
			o.times = &Times{}
		}
	}
	if o.times != nil {
		o.times[kind].Add(in, int64(d))
	}
}

// OwnStats is what has happened to the jobs of a function with numbers of its own, whether or not it is known now.
type OwnStats struct {
	Name     string
	Counters Counters
	Times    *Times // nil: it has no histograms of its own
}

// Metrics is what has happened to jobs, by function as far as Config.Metrics goes.
type Metrics struct {
	Own    []OwnStats
	Others Counters // of all other functions together
	All    Counters
	Times  Times // of all functions
}

// Metrics returns what has happened to jobs since the start. In each shard all of it is of one moment, so that no
// counter ever goes back. It is empty without Config.Metrics.
func (s *Sched) Metrics() (m Metrics) {
	if s.cfg.Metrics == nil {
		return m
	}
	s.eachShard(func(sh *shard) {
		others := sh.counters
		for name, o := range sh.own {
			st := OwnStats{Name: name}
			if o.counters != nil {
				st.Counters = *o.counters
				others.subtract(o.counters)
			}
			if o.times != nil {
				times := *o.times
				st.Times = &times
			}
			m.Own = append(m.Own, st)
		}
		m.Others.Add(&others)
		m.All.Add(&sh.counters)
		m.Times.add(sh.times)
	})
	return m
}

// Sums returns what the shards know by themselves of all functions together: no connection is looked at, so Peers,
// Workers and Sleepers are 0. The times are empty without Config.Metrics.
func (s *Sched) Sums() (n Counts, c Counters, times Times) {
	walk := CountWalk{sched: s}
	walk.countShards()
	s.eachShard(func(sh *shard) {
		c.Add(&sh.counters)
		if sh.times != nil {
			times.add(sh.times)
		}
	})
	return walk.counts, c, times
}

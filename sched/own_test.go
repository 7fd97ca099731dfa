package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// A function with its own numbers keeps them when it is forgotten and returns; beyond the bounds functions
// are summed; and the parts always add up to the total.
func TestOwnNumbers(t *testing.T) {
	cfg := perl()
	cfg.Metrics = &MetricsConfig{Functions: 3, Histograms: 2}
	r := newRig(t, cfg)
	c := r.connect()
	jobs := 0
	round := func(functions int) {
		for i := range functions {
			name := fmt.Sprint("f", i)
			w := r.worker(name)
			r.do(c, codec.SubmitJob, name, "", "x")
			r.do(w, codec.GrabJob)
			jobs++
			r.at(r.now.Sub(start) + time.Second)
			if i%2 == 0 {
				r.do(w, codec.WorkComplete, r.handle(fmt.Sprint("h", jobs)), "")
			}
			r.leave(w)
			if _, known := r.statsOf(name); known {
				t.Fatalf("%s is known", name)
			}
		}
	}
	check := func(rounds uint64) {
		t.Helper()
		m := r.s.Metrics()
		sum := m.Others
		var times Times
		histograms := 0
		for _, o := range m.Own {
			if o.Counters.Foreground != rounds || o.Counters.HandedOut != rounds {
				t.Errorf("%s: %+v, want %d", o.Name, o.Counters, rounds)
			}
			sum.Add(&o.Counters)
			if o.Times != nil {
				histograms++
				times.add(o.Times)
				if n := o.Times[Ran].Count(); n != rounds {
					t.Errorf("%s: %d times, %v", o.Name, n, o.Times[Ran])
				}
			}
		}
		if len(m.Own) != 3 || histograms != 2 {
			t.Errorf("%d functions and %d histograms of their own", len(m.Own), histograms)
		}
		if sum != m.All || m.All != r.s.Counters() {
			t.Errorf("the parts are %+v\n   the whole %+v", sum, m.All)
		}
		var ended uint64
		for _, n := range m.All.Ended {
			ended += n
		}
		for kind, want := range map[int]uint64{Waited: m.All.HandedOut, Ran: m.All.HandedOut, Lived: ended} {
			if n := m.Times[kind].Count(); n != want {
				t.Errorf("%d times of kind %d, want %d", n, kind, want)
			}
		}
	}
	round(5)
	check(1)
	round(5)
	check(2)
}

// However many functions of a shard have their own numbers, its lock is held for a few of them at a time, and
// what is counted meanwhile makes no counter decrease.
func TestOwnNumbersInSteps(t *testing.T) {
	const functions = 4 * walkOwn
	var r *rig
	steps, most := 0, 0
	var walking func()
	cfg := perl()
	cfg.Metrics = &MetricsConfig{Functions: functions, Histograms: functions}
	cfg.Step = func() {
		if walking != nil {
			steps++
			walking()
		}
	}
	r = newRig(t, cfg)
	c := r.connect()
	var names []string
	for i := 0; len(names) < functions+1; i++ { // one has none of its own
		if name := fmt.Sprint("f", i); r.s.shardOf([]byte(name)).index == 7 {
			names = append(names, name)
			r.do(c, codec.SubmitJobBg, name, "", "x")
		}
	}
	last := map[string]uint64{}
	for range 3 {
		walking = func() {
			hook := walking
			walking = nil
			r.do(c, codec.SubmitJobBg, names[0], "", "x")
			r.do(c, codec.SubmitJobBg, names[functions], "", "x")
			walking = hook
		}
		steps = 0
		m := r.s.Metrics()
		walking = nil
		most = max(most, len(m.Own))
		if least := shardCount + functions/walkOwn; steps < least {
			t.Fatalf("locks are released %d times, want at least %d", steps, least)
		}
		now := map[string]uint64{"others": m.Others.Background, "all": m.All.Background}
		for _, o := range m.Own {
			now[o.Name] = o.Counters.Background
		}
		for name, n := range now {
			if n < last[name] {
				t.Errorf("%s decreases from %d to %d", name, last[name], n)
			}
		}
		last = now
	}
	if most != functions {
		t.Errorf("%d functions of their own, want %d", most, functions)
	}
}

// Without Config.Metrics nothing of it is kept.
func TestNoOwnNumbers(t *testing.T) {
	r := newRig(t, perl())
	c, w := r.connect(), r.worker("f")
	r.do(c, codec.SubmitJob, "f", "", "x")
	r.do(w, codec.GrabJob)
	if m := r.s.Metrics(); m.All != (Counters{}) || m.Own != nil {
		t.Errorf("%+v", m)
	}
	for i := range r.s.shards {
		if sh := &r.s.shards[i]; sh.own != nil || sh.times != nil {
			t.Fatal("there are numbers")
		}
	}
}

// BenchmarkMetricsOfOneShard reads the numbers of 1,000 functions of one shard, each with histograms, as a
// scrape does. µs-held is the median of the longest time that a step held a lock.
func BenchmarkMetricsOfOneShard(b *testing.B) {
	const functions = 1000
	var longest time.Duration
	var last time.Time
	cfg := perl()
	cfg.Metrics = &MetricsConfig{Functions: functions, Histograms: functions}
	cfg.Step = func() {
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
	}
	s := New(cfg)
	client, worker, fx := &Peer{}, &Peer{}, &Effects{}
	s.Connect(client)
	s.Connect(worker)
	do := func(t codec.Type, args ...string) {
		s.Handle(worker, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), start, fx)
		fx.Reset()
	}
	for i, n := 0, 0; n < functions; i++ {
		name := fmt.Sprint("f", i)
		if s.shardOf([]byte(name)).index != 7 {
			continue
		}
		n++
		do(codec.CanDo, name)
		do(codec.SubmitJobBg, name, "", "x")
		do(codec.GrabJob)
	}
	var all []time.Duration
	for b.Loop() {
		longest, last = 0, time.Now()
		if m := s.Metrics(); len(m.Own) != functions {
			b.Fatalf("%d functions", len(m.Own))
		}
		all = append(all, longest)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "µs-held")
}

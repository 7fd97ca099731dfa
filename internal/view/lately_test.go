package view

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
)

// TestLately: rates, failures by outcome and quantiles are those of the last minutes. Unknown values are
// absent. Functions are sorted by them, and functions that failed long ago do not count as failing.
func TestLately(t *testing.T) {
	r := newRig(t)
	r.sched = sched.New(sched.Config{
		Dialect: dialect.Perl, HandlePrefix: "H:t", Start: start, Metrics: &sched.MetricsConfig{Functions: 10, Histograms: 2},
	})
	r.source = New(Config{Sched: r.sched, Version: "1", Now: func() time.Time { return r.now }, Started: start})
	c, w := r.connect(), r.connect()
	end := func(function string, wait time.Duration, how ...codec.Type) {
		t.Helper()
		r.do(w, codec.CanDo, function)
		for _, h := range how {
			handle := r.submit(c, function, "", "x")
			r.now = r.now.Add(wait)
			r.do(w, codec.GrabJob)
			if h == codec.WorkComplete {
				r.do(w, h, handle, "")
			} else {
				r.do(w, h, handle)
			}
		}
	}
	function := func(name string) api.Function {
		t.Helper()
		f, ok := r.source.Function(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		return f
	}
	wants := func(q FunctionQuery, names ...string) {
		t.Helper()
		r.now = r.now.Add(2 * freshFor)
		page, err := r.source.Functions(q)
		var got []string
		for _, f := range page.Items {
			got = append(got, f.Name)
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("%+v: %q, %v; want %q", q, got, err, names)
		}
	}
	r.source.look(0)
	r.submit(c, "idle", "", "x")
	if f := function("idle"); f.Rate != nil || f.Lately != nil {
		t.Errorf("at the start: %v, %+v", f.Rate, f.Lately)
	}
	end("slow", 10*time.Second, codec.WorkComplete, codec.WorkFail, codec.WorkComplete)
	end("fast", 3*time.Millisecond, codec.WorkComplete, codec.WorkComplete, codec.WorkComplete, codec.WorkComplete, codec.WorkFail, codec.WorkComplete)
	end("third", 0, codec.WorkComplete) // beyond the histograms
	f := function("slow")
	if f.Lately == nil || f.Lately.Ended != 3 || fmt.Sprint(f.Lately.Failed) != "map[fail:1]" || f.Lately.Seconds != 30 {
		t.Errorf("slow: %+v", f.Lately)
	}
	if q := f.Lately.Wait; q == nil || q.Jobs != 3 || q.P50 < 5 || q.P50 > 10 || q.P99 < q.P90 || q.P90 < q.P50 || q.P99 > 10 {
		t.Errorf("slow jobs waited for %+v", q)
	}
	if q := f.Lately.Run; q == nil || q.P99 > .0005 {
		t.Errorf("slow jobs ran for %+v", q)
	}
	if q := f.Lately.Duration; q == nil || q.P50 < 5 {
		t.Errorf("slow jobs took %+v", q)
	}
	if f := function("third"); f.Lately.Wait != nil || f.Lately.Ended != 1 {
		t.Errorf("third: %+v", f.Lately)
	}
	if f.Rate == nil || *f.Rate < .09 || *f.Rate > .11 {
		t.Errorf("slow: %v jobs per second, want 3 in 30 s", *f.Rate)
	}
	if f := function("idle"); *f.Rate != 0 || f.Lately.Ended != 0 || f.Lately.Wait != nil {
		t.Errorf("idle: %v, %+v", *f.Rate, f.Lately)
	}
	wants(FunctionQuery{Sort: "rate"}, "fast", "slow", "third", "idle")
	wants(FunctionQuery{Sort: "fail_share"}, "slow", "fast", "third", "idle")
	wants(FunctionQuery{Sort: "wait_p99"}, "slow", "fast", "idle", "third")
	wants(FunctionQuery{Sort: "state"}, "idle", "fast", "slow", "third")
	wants(FunctionQuery{Sort: "-state"}, "fast", "slow", "third", "idle")
	wants(FunctionQuery{Only: "failing"}, "fast", "slow")

	for range 2 { // what was is over
		r.now = r.now.Add(5 * time.Minute)
		r.source.look(failuresEvery)
	}
	r.now = r.now.Add(time.Minute)
	f = function("slow")
	if *f.Rate != 0 || f.Lately.Ended != 0 || len(f.Lately.Failed) > 0 || f.Lately.Wait != nil || f.Lately.Seconds < 300 || sum(f.Ended) != 3 {
		t.Errorf("slow, later: %v, %+v", *f.Rate, f.Lately)
	}
	wants(FunctionQuery{Only: "failing"})
	end("slow", time.Millisecond, codec.WorkFail)
	if f := function("slow"); f.Lately.Ended != 1 || f.Lately.Failed["fail"] != 1 || f.Lately.Wait.P99 > .001 {
		t.Errorf("slow, which is fast now: %+v, %+v", f.Lately, f.Lately.Wait)
	}
	wants(FunctionQuery{Only: "failing"}, "slow")

	// While somebody looks, rates cover the last half minute.
	for range 3 {
		r.source.look(ratesEvery)
		r.now = r.now.Add(15 * time.Second)
		end("fast", 0, slices.Repeat([]codec.Type{codec.WorkComplete}, 30)...)
	}
	r.source.look(ratesEvery)
	r.now = r.now.Add(leastWindow)
	if f := function("fast"); *f.Rate < 1.5 || *f.Rate > 2.5 {
		t.Errorf("fast: %v jobs per second, want 2", *f.Rate)
	}
	r.now = r.now.Add(2 * ratesFor)
	r.source.look(ratesEvery)
	if _, ok := r.source.rates.begin(r.now); ok || r.source.rates.last.functions != nil {
		t.Error("rates are noted though nobody looks")
	}
}

func sum(counts map[string]api.Count) (n api.Count) {
	for _, c := range counts {
		n += c
	}
	return n
}

// TestQueueLimit: the bounds of queues are shown and sorted by; functions without one come last.
func TestQueueLimit(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	for _, name := range []string{"none", "low", "high"} {
		r.submit(c, name, "", "x")
	}
	r.sched.SetMaxQueue("low", [sched.Priorities]int32{-1, 5, -1})
	r.sched.SetMaxQueue("high", [sched.Priorities]int32{100, 100, 100})
	page, err := r.source.Functions(FunctionQuery{Sort: "max_queue"})
	var got []string
	for _, f := range page.Items {
		got = append(got, fmt.Sprint(f.Name, f.MaxQueue))
	}
	if err != nil || !slices.Equal(got, []string{"high[100 100 100]", "low[-1 5 -1]", "none[]"}) {
		t.Errorf("%v, %v", got, err)
	}
}

// BenchmarkFunctions makes a page of 100,000 functions without queued jobs, in orders that use recent counts,
// as after a second without a request.
func BenchmarkFunctions(b *testing.B) {
	r := newRig(b)
	c, w := r.connect(), r.connect()
	for i := range 100_000 {
		name := fmt.Sprintf("tenant%06d.resize", i)
		r.do(w, codec.CanDo, name)
		handle := r.submit(c, name, "", "x")
		r.submit(c, name, "", "x")
		r.do(w, codec.GrabJob)
		if i%100 == 0 {
			r.do(w, codec.WorkFail, handle)
		} else {
			r.do(w, codec.WorkComplete, handle, "")
		}
		r.do(w, codec.CantDo, name)
	}
	r.source.WatchFunctions()
	for range 2 {
		r.now = r.now.Add(5 * time.Second)
		r.source.look(failuresEvery)
		r.source.look(ratesEvery)
	}
	for _, q := range []FunctionQuery{{}, {Sort: "rate"}, {Sort: "fail_share"}, {Sort: "wait_p99"}, {Sort: "asleep"}, {Sort: "state"}, {Only: "failing"}} {
		b.Run(q.Sort+q.Only, func(b *testing.B) {
			for b.Loop() {
				r.now = r.now.Add(2 * time.Second)
				if _, err := r.source.Functions(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("note", func(b *testing.B) {
		for b.Loop() {
			r.now = r.now.Add(2 * time.Second)
			r.source.WatchFunctions()
			r.source.look(ratesEvery)
		}
	})
}

package view

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
)

// The history has steps of three lengths. Each has rates and means over its steps, and a bounded number of
// them.
func TestHistory(t *testing.T) {
	r := newRig(t)
	r.source.past.rings = rings()
	c, w := r.connect(), r.connect()
	r.do(w, codec.CanDo, "f")
	const looks = 700
	for i := range looks {
		r.source.remember(i)
		r.now = r.now.Add(time.Second)
		for range 2 {
			r.submit(c, "f", "", "x")
		}
		if i%2 == 0 {
			r.do(w, codec.GrabJob)
		}
	}
	r.source.remember(looks)
	for step, points := range map[int]int{1: 600, 10: looks / 10, 300: looks / 300} {
		h, err := r.source.History(step)
		if err != nil || len(h.Times) != points || h.Step != step {
			t.Fatalf("steps of %d s: %d points, %v; want %d", step, len(h.Times), err, points)
		}
		for i := 1; i < points; i++ {
			if h.Times[i]-h.Times[i-1] != int64(step) {
				t.Fatalf("steps of %d s are at %v", step, h.Times)
			}
		}
		if step == 1 && h.Times[points-1] != r.now.Unix() {
			t.Errorf("the last step ends at %d, want %d", h.Times[points-1], r.now.Unix())
		}
		for _, name := range []string{api.SeriesSubmitted, api.SeriesWaiting, api.SeriesWorkers, api.SeriesSyncP99} {
			if len(h.Series[name]) != points {
				t.Errorf("%s has %d points of %d", name, len(h.Series[name]), points)
			}
		}
		if len(h.Series) != seriesCount {
			t.Errorf("%d series, want %d", len(h.Series), seriesCount)
		}
		for i, rate := range h.Series[api.SeriesSubmitted] {
			if rate < 1.99 || rate > 2.01 {
				t.Fatalf("steps of %d s: %v jobs a second in step %d, want 2", step, rate, i)
			}
		}
		if out := h.Series[api.SeriesHandedOut]; step > 1 && (out[0] < .45 || out[0] > .55) {
			t.Errorf("steps of %d s: %v jobs handed out a second", step, out[0])
		}
		waiting := h.Series[api.SeriesWaiting]
		if !slices.IsSorted(waiting) || waiting[points-1] < waiting[0] {
			t.Errorf("steps of %d s: waiting is %v", step, waiting)
		}
	}
	if _, err := r.source.History(2); err == nil {
		t.Error("there are steps of 2 s")
	}
}

// Recent counts are kept of functions that somebody looks at, and of a bounded number.
func TestRecent(t *testing.T) {
	var p recent
	ended := map[string]uint64{"f": 7}
	now := start
	step := func() {
		now = now.Add(5 * time.Second)
		p.step(now, func(name string) uint64 { return ended[name] })
	}
	if got := p.show("f", 7, now); got != nil {
		t.Errorf("before the first step: %v", got)
	}
	ended["f"] = 10
	step()
	step()
	ended["f"] = 2 // it was forgotten, and is known again
	step()
	if got := p.show("f", 2, now); !slices.Equal(got, []int{3, 0, 2}) {
		t.Errorf("%v", got)
	}
	for i := range uint64(2 * recentSteps) {
		ended["f"] += i
		step()
	}
	if got := p.show("f", 0, now); len(got) != recentSteps || got[0] != recentSteps || got[recentSteps-1] != 2*recentSteps-1 {
		t.Errorf("%v", got)
	}
	for i := range recentMost + 10 {
		now = now.Add(time.Millisecond)
		p.show(fmt.Sprint("g", i), 0, now)
	}
	if len(p.functions) != recentMost || p.functions["f"] != nil || p.functions[fmt.Sprint("g", recentMost+9)] == nil {
		t.Errorf("%d functions are kept", len(p.functions))
	}
	now = now.Add(recentFor)
	step()
	if len(p.functions) > 0 {
		t.Errorf("%d functions are kept that nobody looks at", len(p.functions))
	}
}

package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 4}, 4}, {[]float64{8, 2, 4, 1}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("the median of %v is %v, not %v", c.values, got, c.want)
		}
	}
	// Each figure has its own median.
	got := medians([]figures{{1, 30, 5, 3, 9}, {2, 10, 6, 1, 8}, {3, 20, 4, 2, 7}})
	if want := (figures{2, 20, 5, 2, 8}); got != want {
		t.Errorf("the medians are %v, not %v", got, want)
	}
}

// Only what ended between the marks counts.
func TestFiguresOf(t *testing.T) {
	var times []took
	for ms := 1; ms <= 300; ms++ {
		times = append(times, took{end: time.Duration(ms) * time.Millisecond, time: time.Duration(ms) * time.Microsecond})
	}
	before := mark{at: 100 * time.Millisecond, server: usage{cpu: time.Second}, own: 2 * time.Second}
	after := mark{at: 200 * time.Millisecond, server: usage{cpu: time.Second + 500*time.Microsecond}, own: 2*time.Second + time.Millisecond}
	got, err := figuresOf([][]took{times[:150], nil, times[150:]}, before, after)
	if want := (figures{PerSecond: 1000, CPU: 5, Load: 10, P50: 151, P99: 200}); err != nil || got != want {
		t.Errorf("figures are %+v, %v, not %+v", got, err, want)
	}
	if _, err := figuresOf([][]took{times[:50]}, before, after); err == nil {
		t.Error("a turn without jobs has figures")
	}
}

func TestMarkdown(t *testing.T) {
	results := []*result{
		{row: &row{inMemory, "a", "A", "lacks b"}, jobs: 1000, memory: 69_400, turns: map[shape][]figures{
			shapes[0]: {{PerSecond: 98_765.4, CPU: 9.876, P50: 1234, P99: 56_789}}, shapes[1]: {{PerSecond: 512, CPU: 1234.5, P50: 9, P99: 99}},
		}},
		{row: &row{request, "a", "A", "so"}, turns: map[shape][]figures{}},
	}
	const want = `| | 4 × 64: jobs/s | CPU µs/job | p50; p99, µs | 1 × 1: jobs/s | CPU µs/job | p50; p99, µs | memory/queued job, B | |
|---|--:|--:|--:|--:|--:|--:|--:|---|
| **background jobs in memory** | | | | | | | | **what it does not do** |
| A | 98,765 | 9.88 | 1,234; 56,789 | 512 | 1,234 | 9; 99 | 69 (of 1,000) | lacks b |
| **request and result** | | | | | | | | **how** |
| A | 0 | 0.00 | 0; 0 | 0 | 0.00 | 0; 0 |  | so |
`
	if got := markdown(results, 2000); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := markdown(results[:1], 1000); strings.Contains(got, "of 1,000") {
		t.Errorf("all jobs were queued, but the table says:\n%s", got)
	}
}

func TestBetween(t *testing.T) {
	got, err := between("a\n"+begins+"old\n"+ends+"\nz\n", "new\n")
	if want := "a\n" + begins + "new\n" + ends + "\nz\n"; err != nil || got != want {
		t.Errorf("%q, %v, not %q", got, err, want)
	}
	for _, text := range []string{"a", ends + begins, "a\n" + begins} {
		if _, err := between(text, ""); err == nil {
			t.Errorf("there are marks in %q", text)
		}
	}
}

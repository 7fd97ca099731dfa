package main

import (
	"strings"
	"testing"
	"time"
)

// TestRegressions: only what is worse in every round, by more than noise, is reported.
func TestRegressions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		was    float64   // ratio in the committed results
		rounds []float64 // the same, of single rounds; nil: not recorded
		now    []float64
		worse  bool
	}{
		{"the same", 1.2, nil, []float64{1.2, 1.21, 1.19}, false},
		{"better", 1.2, nil, []float64{1.0, 1.1, 1.05}, false},
		{"worse within noise", 1.2, nil, []float64{1.3, 1.31, 1.32}, false},
		{"worse by more", 1.2, nil, []float64{1.4, 1.35, 1.5}, true},
		{"one round is as before", 1.2, nil, []float64{1.9, 1.25, 1.9}, false},
		{"it varied as much then", 1.2, []float64{1.1, 1.2, 1.45}, []float64{1.4, 1.42, 1.41}, false},
		{"more than it varied then", 1.2, []float64{1.1, 1.2, 1.38}, []float64{1.4, 1.42, 1.41}, true},
		{"nothing measured", 1.2, nil, nil, false},
	} {
		before := &scenario{Name: "deep", Servers: []cell{{Server: "floor", CPU: 10}, {Server: "gearloop", CPU: 10 * tt.was, Ratios: tt.rounds}}}
		now := &scenario{Name: "deep", Servers: []cell{{Server: "floor", CPU: 30}, {Server: "gearloop", Ratios: tt.now}, {Server: "new", Ratios: []float64{9}}}}
		lines := regressions(before, now)
		if worse := len(lines) == 1 && strings.HasPrefix(lines[0], "deep: gearloop costs "); worse != tt.worse || len(lines) > 1 {
			t.Errorf("%s: %q", tt.name, lines)
		}
	}
	// Without the floor of then there is nothing to compare with.
	if lines := regressions(&scenario{}, &scenario{Servers: []cell{{Server: "gearloop", Ratios: []float64{9}}}}); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

func TestBudget(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		b           budget
		asked, left int
		want        int
	}{
		{budget{}, 3, 10, 3},
		{budget{limit: 600 * s}, 3, 10, 3},                            // nothing is known yet
		{budget{limit: 600 * s, elapsed: 60 * s, done: 6}, 3, 10, 3},  // 300 of 540 s
		{budget{limit: 600 * s, elapsed: 300 * s, done: 6}, 3, 3, 2},  // 50 s each, 300 s for 3
		{budget{limit: 600 * s, elapsed: 590 * s, done: 10}, 3, 5, 1}, // too late
		{budget{limit: 600 * s, elapsed: 700 * s, done: 10}, 3, 5, 1},
		{budget{limit: 600 * s, elapsed: 60 * s, done: 6}, 3, 0, 3},
	} {
		if got := tt.b.rounds(tt.asked, tt.left); got != tt.want {
			t.Errorf("%+v, %d asked, %d left: %d, want %d", tt.b, tt.asked, tt.left, got, tt.want)
		}
	}
}

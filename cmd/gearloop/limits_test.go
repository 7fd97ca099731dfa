package main

import (
	"runtime"
	"testing"
)

// There is a processor for each loop, as far as there are cores, and at least one more, so that new
// connections do not wait for a busy loop. A user's setting is kept.
func TestLimitProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	for _, c := range []struct{ loops, others, want int }{{1, 1, 2}, {2, 1, 3}, {4, 1, 5}, {16, 1, 5}, {1, 2, 3}, {2, 4, 6}} {
		runtime.GOMAXPROCS(4) // as many as there are cores
		limitProcessors(c.loops, c.others)
		if got := runtime.GOMAXPROCS(0); got != c.want {
			t.Errorf("%d loops and %d others of 4 cores: %d, want %d", c.loops, c.others, got, c.want)
		}
	}
	t.Setenv("GOMAXPROCS", "7")
	runtime.GOMAXPROCS(7)
	limitProcessors(1, 1)
	if got := runtime.GOMAXPROCS(0); got != 7 {
		t.Errorf("%d, the user wants 7", got)
	}
}

package slim

import (
	"maps"
	"runtime"
	"testing"
)

// A map that has been large has the memory of a small one again, and the entries that are left.
func TestMap(t *testing.T) {
	memory := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	const many, left = 200_000, 5
	var peak Peak
	m := map[int]int{}
	before, copies := memory(), 0
	for round := range 2 {
		for i := range many {
			m[i] = round
		}
		for i := left; i < many; i++ {
			old := len(m)
			delete(m, i)
			next := Map(m, &peak)
			if len(next) != old-1 {
				t.Fatalf("%d entries of %d", len(next), old-1)
			}
			m[many] = 0
			if _, same := next[many]; !same {
				copies++
			}
			delete(m, many)
			m = next
			delete(m, many)
		}
	}
	if after := memory(); after > before+128<<10 {
		t.Errorf("%d bytes for %d entries", after-before, len(m))
	}
	if want := map[int]int{0: 1, 1: 1, 2: 1, 3: 1, 4: 1}; !maps.Equal(m, want) {
		t.Errorf("left are %v", m)
	}
	if copies < 2 || copies > 10 {
		t.Errorf("copied %d times", copies)
	}
}

// A small map stays what it is.
func TestMapThatWasNeverLarge(t *testing.T) {
	var peak Peak
	m := map[int]int{}
	for i := range least - 1 {
		m[i] = 0
	}
	for i := range least - 1 {
		delete(m, i)
		next := Map(m, &peak)
		if next[-1] = 1; len(m) != len(next) {
			t.Fatalf("copied with %d entries", len(m))
		}
		delete(next, -1)
	}
}

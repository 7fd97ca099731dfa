package main

import (
	"runtime/debug"
	"testing"
)

// What a burst leaves behind is returned to the system once the process is idle, also if it is no more than
// what some thousand connections need.
func TestGiveBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing is collected unless look does it
	debug.FreeOSMemory()
	h := newHeap()
	h.base, h.allocs = h.read()
	base := h.base
	makeGarbage(int(base/2) + 20<<20)
	h.look()
	if held, _ := h.read(); held < base+base/2+16<<20 {
		t.Errorf("right after the burst %d bytes are held, before it %d: the process is not idle yet", held, base)
	}
	h.look()
	if held, _ := h.read(); held >= base+base/2+12<<20 {
		t.Errorf("when the process is idle %d bytes are held, before the burst %d", held, base)
	}
}

// garbage makes allocations escape to the heap.
var garbage []byte

func makeGarbage(bytes int) {
	for range bytes >> 10 {
		garbage = make([]byte, 1<<10)
	}
	garbage = nil
}

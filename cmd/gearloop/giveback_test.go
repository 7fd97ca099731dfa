package main

import (
	"runtime/debug"
	"testing"
)

// Memory is given back when neither allocations nor jobs need it: here as much as 15,000 connections leave, besides
// what half of the heap may grow.
func TestGiveBackMemory(t *testing.T) {
	jobs := uint64(0)
	h := newHeap(func() uint64 { return jobs })
	debug.FreeOSMemory() // what other tests have left would be part of the burst
	h.base, h.allocs = h.read()
	began := h.base
	func() {
		burst := make([]byte, began/2+16<<20)
		for i := 0; i < len(burst); i += 4096 {
			burst[i] = 1
		}
	}()
	h.allocs = 0
	h.look()
	if h.base != began {
		t.Error("memory was given back though so much was allocated")
	}
	resident, _ := h.read()
	jobs += resident / idleShare / jobMemory * 2
	h.look()
	if h.base != began {
		t.Error("memory was given back though jobs came")
	}
	h.look()
	if h.base == began || h.base > began+giveBackFrom {
		t.Errorf("%d bytes are left of %d, with %d at the start", h.base, resident, began)
	}
}

package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// Memory is given back when neither allocations nor jobs need it: here as much as 15,000 connections leave, besides
// what half of the heap may grow.
func TestGiveBackMemory(t *testing.T) {
	jobs := uint64(0)
	h := newHeap(demand{jobs: func() uint64 { return jobs }, held: func() int64 { return 0 }})
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
	if left, _ := h.read(); left > began+giveBackFrom {
		t.Errorf("%d bytes are left of %d, with %d at the start", left, resident, began)
	}
}

// What jobs have that stood in a queue while nothing happened is given back when they are done, though that allocates nothing.
func TestGiveBackWhatWasKept(t *testing.T) {
	debug.FreeOSMemory()
	held := int64(0)
	h := newHeap(demand{jobs: func() uint64 { return 0 }, held: func() int64 { return held }})
	began, _ := h.read()
	held = int64(began) + 64<<20
	queue := make([]byte, held)
	for i := 0; i < len(queue); i += 4096 {
		queue[i] = 1
	}
	h.look() // so much was allocated
	h.look()
	full := h.base
	if full < uint64(held) {
		t.Fatalf("%d bytes while the queue has %d", full, held)
	}
	h.look()
	if h.base != full {
		t.Error("memory was given back though nothing changed")
	}
	runtime.KeepAlive(queue)
	queue, held = nil, 0 //nolint:ineffassign,wastedassign // the collector may take it
	h.look()
	if left, _ := h.read(); left > began+giveBackFrom {
		t.Errorf("%d bytes are left of %d, with %d at the start", left, full, began)
	}
}

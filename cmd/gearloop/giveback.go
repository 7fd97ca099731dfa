package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a burst of large jobs the collector has no reason to run any more, and would keep what they
// took. These say when it is made to.
const (
	giveBackEvery = 2 * time.Second
	giveBackFrom  = 32 << 20 // bytes that it has to be about
	idleShare     = 8        // idle: not more than one part of so many of the heap was allocated since the last look
)

// heap is what is looked at to find out whether memory should be given back.
type heap struct {
	samples [4]metrics.Sample
	base    uint64 // bytes of the heap after memory was last given back
	allocs  uint64 // at the last look
}

func newHeap() *heap {
	h := &heap{}
	for i, name := range []string{
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
		"/gc/heap/allocs:bytes",
	} {
		h.samples[i].Name = name
	}
	return h
}

// read returns the memory of the heap that the system has not got back, and all that was ever
// allocated there, in bytes.
func (h *heap) read() (resident, allocs uint64) {
	metrics.Read(h.samples[:])
	for _, s := range h.samples[:3] {
		resident += s.Value.Uint64()
	}
	return resident, h.samples[3].Value.Uint64()
}

// look gives memory back to the system if the heap has grown since that was last done and nothing
// happens any more.
func (h *heap) look() {
	resident, allocs := h.read()
	idle := allocs-h.allocs < resident/idleShare
	h.allocs = allocs
	if !idle || resident < h.base+h.base/2+giveBackFrom {
		return
	}
	debug.FreeOSMemory()
	debug.FreeOSMemory() // pools keep what they hold for one collection more
	h.base, h.allocs = h.read()
}

// giveBackMemory looks after the heap for as long as the process lives.
func giveBackMemory() {
	h := newHeap()
	for range time.Tick(giveBackEvery) {
		h.look()
	}
}

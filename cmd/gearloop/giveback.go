package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a burst of large jobs, or when a crowd of connections has left, the garbage collector has no reason to run
// for two minutes, and would keep their memory. These constants say when it is forced to.
const (
	giveBackEvery = 2 * time.Second
	// giveBackFrom is the smallest amount, in bytes: what 4,000 connections take. Two collections of a heap that small
	// take some milliseconds, and a process that is idle needs ten seconds and more to allocate as much again.
	giveBackFrom = 4 << 20
	idleShare    = 8 // idle: at most this fraction (one of 8) of the heap was allocated since the last check
	// jobMemory is what a job counts as, in bytes allocated: most jobs get the memory of one that has ended, and
	// giving that back while jobs come would have each of them allocate again.
	jobMemory = 176
)

// heap decides whether memory should be returned.
type heap struct {
	jobs    func() uint64 // the number of jobs ever submitted
	samples [4]metrics.Sample
	base    uint64 // heap size in bytes after memory was last returned
	allocs  uint64 // at the last check
}

func newHeap(jobs func() uint64) *heap {
	h := &heap{jobs: jobs}
	for i, name := range []string{
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
		"/gc/heap/allocs:bytes",
	} {
		h.samples[i].Name = name
	}
	return h
}

// read returns the bytes of heap that the system has not got back, and the bytes ever allocated, or used by
// jobs.
func (h *heap) read() (resident, allocs uint64) {
	metrics.Read(h.samples[:])
	for _, s := range h.samples[:3] {
		resident += s.Value.Uint64()
	}
	return resident, h.samples[3].Value.Uint64() + h.jobs()*jobMemory
}

// look returns memory to the system if the heap has grown since the last time and the process is idle.
func (h *heap) look() {
	resident, allocs := h.read()
	idle := allocs-h.allocs < resident/idleShare
	h.allocs = allocs
	if !idle || resident < h.base+h.base/2+giveBackFrom {
		return
	}
	debug.FreeOSMemory()
	debug.FreeOSMemory() // pools keep their content for one more collection
	h.base, h.allocs = h.read()
}

// giveBackMemory checks the heap for as long as the process lives. jobs returns the number of jobs ever submitted.
func giveBackMemory(jobs func() uint64) {
	h := newHeap(jobs)
	for range time.Tick(giveBackEvery) {
		h.look()
	}
}

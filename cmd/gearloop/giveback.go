package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"

	"gearloop/internal/payload"
	"gearloop/reactor"
	"gearloop/sched"
)

// After a burst of large jobs, or when a crowd of connections has left, the garbage collector has no reason to run
// for two minutes, and would keep their memory. These constants say when it is forced to.
const (
	giveBackEvery = 2 * time.Second
	// giveBackFrom is the smallest amount, in bytes: what 4,000 connections take (connectionHeap). Two collections of a
	// heap that small take some milliseconds, and a process that is idle needs ten seconds and more to allocate as much again.
	giveBackFrom = 4 << 20
	idleShare    = 8 // idle: at most this fraction (one of 8) of the heap was allocated since the last check
	// jobMemory is what a job counts as, in bytes allocated: most jobs get the memory of one that has ended, and
	// giving that back while jobs come would have each of them allocate again.
	jobMemory = 176
	// connectionHeap and chargedPart make a cautious guess of what the heap has for connections, and for what the scheduler
	// has charged: small jobs are charged twice what they take.
	connectionHeap = 1 << 10
	chargedPart    = 2 // one of 2
)

// demand reports what a broker uses memory for.
type demand struct {
	jobs func() uint64 // the number of jobs ever submitted
	held func() int64  // bytes that jobs and connections take at least
}

// demandOf is the demand of a server and its scheduler.
func demandOf(scheduler *sched.Sched, server *reactor.Server) demand {
	return demand{
		jobs: func() uint64 {
			counters := scheduler.Counters()
			return counters.Foreground + counters.Background
		},
		held: func() int64 {
			_, payloads := payload.InUse()
			connections, _ := server.Connections()
			return payloads + max(scheduler.Memory()-payloads, 0)/chargedPart + int64(connections)*connectionHeap
		},
	}
}

// heap decides whether memory should be returned.
type heap struct {
	demand
	samples [4]metrics.Sample
	base    uint64 // heap size in bytes after memory was last returned
	kept    int64  // what was held then
	allocs  uint64 // at the last check
}

func newHeap(d demand) *heap {
	h := &heap{demand: d}
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

// look returns memory to the system if the heap is larger than it need be and the process is idle. Jobs that end and
// connections that leave allocate nothing, so the collector does not run for them: look subtracts from the base what they
// held at the last return and hold no longer.
func (h *heap) look() {
	resident, allocs := h.read()
	idle := allocs-h.allocs < resident/idleShare
	h.allocs = allocs
	gone := uint64(max(h.kept-h.held(), 0))
	base := h.base - min(h.base, gone)
	if !idle || resident < base+base/2+giveBackFrom {
		return
	}
	debug.FreeOSMemory()
	debug.FreeOSMemory() // pools keep their content for one more collection
	h.base, h.allocs = h.read()
	h.kept = h.held()
}

// giveBackMemory checks the heap for as long as the process lives.
func giveBackMemory(d demand) {
	h := newHeap(d)
	for range time.Tick(giveBackEvery) {
		h.look()
	}
}

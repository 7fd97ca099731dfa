package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// How the memory that the process may have is divided, so that all bounds together stay below it:
//
//	total ─┬─ sockets    what the kernel keeps for them, where it counts
//	       ├─ files      pages of the program itself
//	       └─ heap       GOMEMLIMIT. A fifth of it is left to the collector, the rest is
//	           ├─ own          the program without peers
//	           ├─ connections  each with what it takes while it is idle
//	           └─ charged      --max-memory for jobs, and in proportion to it packets in transit, requests of the
//	                           HTTP gateway, and jobs that wait for the disk, with what the allocator adds
const (
	minMemory = 1 << 20 // the least --max-memory: a few packets and some thousand small jobs

	filesMemory = 8 << 20
	ownMemory   = 11 << 20 // with what may be in transit however small --max-memory is
	arenaMemory = 64 << 20 // the heap's addresses come in pieces of this size

	// What a connection takes while it is idle, in the process; TLS keeps its keys and a buffer.
	connectionMemory    = 4 << 10
	tlsConnectionMemory = 48 << 10

	// What may be taken beside --max-memory, in parts of it: the reactor's brim, the HTTP gateway's requests, the
	// store's queue.
	inTransitShare = 3. / 4
	gatewayShare   = 1. / 4
	queuedShare    = 1. / 4
	// allocatorShare is what the allocator adds to what is charged: sizes are rounded, and pools keep some.
	allocatorShare = 1. / 4
	// liveShare is the part of the heap that may be in use, for the collector to have something to collect.
	liveShare = 0.8
	// connectionShare is the part of it that connections may take by default.
	connectionShare = 1. / 8
)

// memoryBound is a limit of what the process may take, in bytes.
type memoryBound struct {
	bytes int64
	heap  int64  // of it, for the heap
	whose string // who sets it
}

// memoryAsked is what of the options has to do with memory.
type memoryAsked struct {
	jobs        size // --max-memory
	connections int  // --max-connections
	tls         bool
	gateway     bool
	store       bool
}

// memoryPlan is how memory is divided. Sizes are in bytes.
type memoryPlan struct {
	tightest     memoryBound
	jobs         int64 // --max-memory; 0: no bound
	heap         int64 // for the collector; 0: no bound
	connections  int   // that there may be unless --max-connections says; 0: as many as descriptors allow
	socketBuffer int   // in each direction; 0: what the kernel finds right
	queued       int64 // that wait for the disk
	needed       int64 // what all bounds together come to; 0: there is none
}

// connectionCost returns what a connection takes while it is idle.
func (a *memoryAsked) connectionCost() int64 {
	if a.tls {
		return tlsConnectionMemory
	}
	return connectionMemory
}

// perJobByte returns how much may be taken for each byte of --max-memory.
func (a *memoryAsked) perJobByte() float64 {
	sum := 1 + inTransitShare
	if a.gateway {
		sum += gatewayShare
	}
	if a.store {
		sum += queuedShare
	}
	return sum * (1 + allocatorShare)
}

// plan divides the memory that the tightest of some bounds allows.
func (a *memoryAsked) plan(bounds []memoryBound) memoryPlan {
	p := memoryPlan{tightest: memoryBound{heap: math.MaxInt64}}
	for _, b := range bounds {
		if b.heap < p.tightest.heap {
			p.tightest = b
		}
	}
	known := p.tightest.bytes > 0
	live := float64(p.tightest.heap) * liveShare
	cost := a.connectionCost()
	connections := int64(a.connections) * cost
	if a.connections == 0 && known {
		p.connections = max(int(live*connectionShare)/int(cost), 64)
		connections = int64(p.connections) * cost
	}
	switch {
	case a.jobs != automatic:
		p.jobs = int64(a.jobs)
	case known:
		left := live - ownMemory - min(float64(connections), live/2)
		p.jobs = max(int64(left/a.perJobByte()), minMemory) &^ (1<<12 - 1)
	}
	if p.jobs > 0 {
		charged := int64(float64(p.jobs) * a.perJobByte())
		p.needed = ownMemory + connections + charged
		p.heap = min(p.tightest.heap, charged+connections+heapReserve)
		p.queued = max(p.jobs/4, minMemory)
	} else if known {
		p.heap = p.tightest.heap
	}
	if known && p.tightest.bytes < 2<<30 {
		p.socketBuffer = int(max(p.tightest.bytes>>12, 64<<10))
	}
	return p
}

// heapReserve is the heap that a server without jobs may use before it is limited, in bytes.
const heapReserve = 64 << 20

// tooLarge reports whether all bounds together come to more than what the process may have.
func (p *memoryPlan) tooLarge() bool {
	return p.tightest.bytes > 0 && float64(p.needed) > float64(p.tightest.heap)
}

// memoryBounds returns what limits the memory of this process.
func memoryBounds() (bounds []memoryBound, err error) {
	for _, source := range []struct {
		whose string
		limit memlimit.Provider
	}{{"the machine", memlimit.FromSystem}, {"the control group", memlimit.FromCgroup}} {
		if n, err := source.limit(); err == nil && n > 0 && n < math.MaxInt64/2 {
			bounds = append(bounds, physical(int64(n), source.whose))
		}
	}
	if len(bounds) == 0 {
		err = fmt.Errorf("cannot find out how much memory there is")
	}
	for _, r := range []struct {
		whose, used string
		resource    int
		lost        int64 // of what is left
	}{{"RLIMIT_AS", "VmSize", unix.RLIMIT_AS, arenaMemory}, {"RLIMIT_DATA", "VmData", unix.RLIMIT_DATA, 0}} {
		var limit unix.Rlimit
		if unix.Getrlimit(r.resource, &limit) != nil {
			continue
		}
		if n, ok := finite(limit.Cur); ok {
			// Addresses are not given back, so what is free between the objects of a heap counts as well.
			left := max(n-virtualMemory(r.used)-r.lost, 0)
			bounds = append(bounds, memoryBound{n, left / 2, r.whose})
		}
	}
	return bounds, err
}

// finite returns a field of unix.Rlimit, whose type differs between systems. false: there is no limit.
func finite[T int64 | uint64](limit T) (int64, bool) {
	n := int64(limit)
	return n, n >= 0 && n < math.MaxInt64/2
}

// physical returns a bound of memory that is really there, of which the kernel takes a part for the sockets.
func physical(bytes int64, whose string) memoryBound {
	sockets := min(bytes/16, 512<<20)
	return memoryBound{bytes, max(bytes/10*9-sockets-filesMemory, bytes/4), whose}
}

// virtualMemory returns what this process has of a kind of memory that /proc/self/status tells of, in bytes; 0 where
// there is no such file.
func virtualMemory(name string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if f := strings.Fields(rest); len(f) == 2 && f[1] == "kB" {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n << 10
			}
		}
	}
	return 0
}

// planMemory divides the memory that there is as the options have it.
func (o *options) planMemory() (memoryPlan, error) {
	asked := memoryAsked{
		jobs: o.maxMemory, connections: o.maxConnections, tls: o.speaksTLS(),
		gateway: o.protocol == "http", store: o.dataDir != "",
	}
	bounds, err := memoryBounds()
	if err != nil && o.maxMemory == automatic {
		return memoryPlan{}, fmt.Errorf("%w: set --max-memory", err)
	}
	return asked.plan(bounds), nil
}

// speaksTLS reports whether Gearman is spoken over TLS on some address.
func (o *options) speaksTLS() bool {
	return o.tls.on || slices.ContainsFunc(o.listen, func(a string) bool { return strings.HasPrefix(a, tlsScheme) })
}

// limitHeap lets the collector work harder when the heap comes near to what it may take, unless the user has set a
// limit for it.
func (p *memoryPlan) limitHeap() {
	if p.heap > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(p.heap)
	}
}

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

// How the process's memory is divided, so that all bounds together stay below it:
//
//	total ─┬─ sockets    what the kernel needs for them, where it counts
//	       ├─ files      pages of the program itself
//	       └─ heap       GOMEMLIMIT. A fifth of it is left to the garbage collector, the rest is
//	           ├─ own          the program without peers
//	           ├─ connections  each with the memory of an idle one
//	           └─ charged      --max-memory for jobs, and in proportion to it packets in transit, requests of the
//	                           HTTP gateway, and jobs that wait for the disk, plus the allocator's overhead
const (
	minMemory = 1 << 20 // the smallest --max-memory: a few packets and some thousand small jobs

	filesMemory = 8 << 20
	ownMemory   = 11 << 20 // including what may be in transit however small --max-memory is
	arenaMemory = 64 << 20 // the heap grows by pieces of this size

	// Memory of an idle connection in the process; TLS needs keys and a buffer.
	connectionMemory    = 4 << 10
	tlsConnectionMemory = 48 << 10

	// What may be used in addition to --max-memory, as parts of it: the reactor's brim, the HTTP gateway's
	// requests, the store's queue.
	inTransitShare = 3. / 4
	gatewayShare   = 1. / 4
	queuedShare    = 1. / 4
	// allocatorShare is the allocator's overhead relative to what is charged: sizes are rounded up, and pools
	// keep some.
	allocatorShare = 1. / 4
	// liveShare is the part of the heap that may be in use; the collector needs the rest.
	liveShare = 0.8
	// connectionShare is the part of it that connections may use by default.
	connectionShare = 1. / 8
)

// memoryBound is a limit on the process's memory, in bytes.
type memoryBound struct {
	bytes int64
	heap  int64  // the part of it for the heap
	whose string // what sets it
}

// memoryAsked are the options that concern memory.
type memoryAsked struct {
	jobs        size // --max-memory
	connections int  // --max-connections
	tls         bool
	gateway     bool
	store       bool
}

// memoryPlan is the division of memory. Sizes are in bytes.
type memoryPlan struct {
	tightest     memoryBound
	jobs         int64 // --max-memory; 0: no limit
	heap         int64 // GOMEMLIMIT; 0: no limit
	connections  int   // limit unless --max-connections is given; 0: as many as descriptors allow
	socketBuffer int   // in each direction; 0: the kernel's default
	queued       int64 // that wait for the disk
	needed       int64 // sum of all bounds; 0: unbounded
}

// connectionCost returns the memory of an idle connection.
func (a *memoryAsked) connectionCost() int64 {
	if a.tls {
		return tlsConnectionMemory
	}
	return connectionMemory
}

// perJobByte returns how many bytes may be used for each byte of --max-memory.
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

// plan divides the memory that the tightest bound allows.
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

// tooLarge reports whether the sum of all bounds exceeds the process's memory.
func (p *memoryPlan) tooLarge() bool {
	return p.tightest.bytes > 0 && float64(p.needed) > float64(p.tightest.heap)
}

// memoryBounds returns the limits of this process's memory.
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
		lost        int64 // of the rest
	}{{"RLIMIT_AS", "VmSize", unix.RLIMIT_AS, arenaMemory}, {"RLIMIT_DATA", "VmData", unix.RLIMIT_DATA, 0}} {
		var limit unix.Rlimit
		if unix.Getrlimit(r.resource, &limit) != nil {
			continue
		}
		if n, ok := finite(limit.Cur); ok {
			// Addresses are not returned to the system, so free space between the objects of the heap counts as well.
			left := max(n-virtualMemory(r.used)-r.lost, 0)
			bounds = append(bounds, memoryBound{n, left / 2, r.whose})
		}
	}
	return bounds, err
}

// finite converts a field of unix.Rlimit, whose type depends on the system. false: no limit.
func finite[T int64 | uint64](limit T) (int64, bool) {
	n := int64(limit)
	return n, n >= 0 && n < math.MaxInt64/2
}

// physical returns a bound on physical memory, of which the kernel uses a part for sockets.
func physical(bytes int64, whose string) memoryBound {
	sockets := min(bytes/16, 512<<20)
	return memoryBound{bytes, max(bytes/10*9-sockets-filesMemory, bytes/4), whose}
}

// virtualMemory returns a figure of /proc/self/status, in bytes; 0 if there is no such file.
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

// planMemory divides the available memory according to the options.
func (o *options) planMemory() (memoryPlan, error) {
	asked := memoryAsked{
		jobs: o.maxMemory, connections: o.maxConnections, tls: o.speaksTLS(),
		gateway: o.protocol == "http", store: o.keeps(),
	}
	bounds, err := memoryBounds()
	if err != nil && o.maxMemory == automatic {
		return memoryPlan{}, fmt.Errorf("%w: set --max-memory", err)
	}
	return asked.plan(bounds), nil
}

// speaksTLS reports whether any Gearman address uses TLS.
func (o *options) speaksTLS() bool {
	return o.tls.on || slices.ContainsFunc(o.listen, func(a string) bool { return strings.HasPrefix(a, tlsScheme) })
}

// limitHeap sets the garbage collector's limit, unless GOMEMLIMIT is set.
func (p *memoryPlan) limitHeap() {
	if p.heap > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(p.heap)
	}
}

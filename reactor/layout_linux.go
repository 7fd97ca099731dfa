package reactor

import (
	"math"
	"sync/atomic"
	"time"
)

// layout says which loops run by themselves: the first ones. The others lodge with them, each with the one whose
// index is its own modulo their number. Loops look at the machine in their turns, so that a server that does
// nothing is not woken for it.
type layout struct {
	server  *Server
	running atomic.Int32 // how many loops run by themselves; 0: all, and for good
	lodgers atomic.Int32 // loops that lodge or are about to
	judged  atomic.Int64 // when a loop last looked, in nanoseconds since the server began

	// Guarded by judging: the loop that has set it measures.
	judging   atomic.Bool
	processor time.Duration // processor time of the process by then
	worked    []int64       // loop.worked of all loops by then
	idle      idleTime
	quota     quota
}

// begin lets loops lodge. They must have pacers.
func (y *layout) begin(s *Server) {
	y.server = s
	all := s.allLoops()
	for _, l := range all {
		if !l.canStay() {
			return
		}
	}
	y.worked = make([]int64, len(all))
	least := s.cfg.MinLoops
	if least <= 0 {
		least = 1
	}
	if least < len(all) {
		y.running.Store(int32(least))
	}
}

// end brings all loops home, for good.
func (y *layout) end() {
	y.set(0)
	for y.lodgers.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// set changes the number of loops that run.
func (y *layout) set(running int) {
	y.running.Store(int32(running))
	y.tell()
}

// tell makes all loops look at the layout.
func (y *layout) tell() {
	for _, l := range y.server.allLoops() {
		y.server.rouse(l)
	}
}

// hostOf returns with whom a loop should lodge; nil: it should run by itself.
func (y *layout) hostOf(l *loop) *loop {
	n := int(y.running.Load())
	if n == 0 || l.index < n {
		return nil
	}
	return l.server.allLoops()[l.index%n]
}

// look changes the number of running loops if the last look was long enough ago and shows that it should. A loop
// calls it between two turns.
func (y *layout) look(now time.Time) {
	running := int(y.running.Load())
	if running == 0 {
		return
	}
	at := int64(now.Sub(y.server.begun))
	if at-y.judged.Load() < int64(lookEvery) || !y.judging.CompareAndSwap(false, true) {
		return
	}
	defer y.judging.Store(false)
	last := y.judged.Load()
	if at-last < int64(lookEvery) {
		return // another loop has looked just now
	}
	y.judged.Store(at)
	u := y.measure(now, time.Duration(at-last))
	n := u.loops(running, max(y.server.cfg.MinLoops, 1), len(y.worked))
	if n != running && y.running.CompareAndSwap(int32(running), int32(n)) {
		y.server.log.Debug("event loops that run by themselves", "loops", n, "before", running,
			"busiest", u.top, "load", u.load, "idle", u.idle)
		y.tell()
	}
}

// usage is what loops and the machine did for a while.
type usage struct {
	top  float64 // of its time, what the busiest loop worked; waiting for a processor counts
	load float64 // processors that loops used, or more
	idle float64 // processors that nobody used and the process may use; NaN: not known yet, infinite: never known
}

// measure returns what was done since the last call, some time ago.
func (y *layout) measure(now time.Time, took time.Duration) (u usage) {
	processor := processorTime()
	sum := 0.0
	for i, l := range y.server.allLoops() {
		worked := l.worked.Load()
		busy := min(float64(worked-y.worked[i])/float64(took), 1)
		y.worked[i] = worked
		sum += busy
		u.top = max(u.top, busy)
	}
	used := float64(processor-y.processor) / float64(took)
	u.load = min(sum, used)
	y.processor = processor
	u.idle = math.Inf(1)
	if u.top > fullLoop || y.running.Load() > 1 {
		u.idle = min(y.idle.since(now, took), y.quota.processors()-used)
	}
	return u
}

// loops returns how many of all loops should run, where running do.
func (u usage) loops(running, least, all int) int {
	n := running
	fits := max(int(math.Ceil(u.load/calmLoop)), 1)
	switch {
	case u.top > fullLoop && u.load > goodLoop && u.idle >= spareProcessor:
		// With a smaller load, top is that of a single long turn among the few that are timed.
		n = max(running+1, int(math.Ceil(u.load/goodLoop)))
	case u.top <= fullLoop && fits < running:
		n = fits
	case u.idle < shortProcessor && u.load < float64(running-1):
		n = running - 1 // loops wait for a processor; fewer need less time for the same work
	}
	return min(max(n, least), all)
}

package heapgoal

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// usual is Go's own percentage.
	usual = 100
	// leastHeap is the heap at which Go collects for the first time with the usual percentage, in bytes. It
	// is proportional to the percentage.
	leastHeap = 4 << 20
	// step is by how much the known memory grows before the goal is set again, in bytes, if a quarter of it
	// is less. Setting it stops all goroutines for some ten microseconds.
	step = 1 << 20
	// slack is how much the heap may grow beyond what is alive before it is collected while a queue grows, in
	// bytes, if what is alive is less. Without it the first megabytes of a queue cause two collections. Each
	// goes on for as long as it takes to queue thousands of jobs, which help it.
	slack = 8 << 20
	// chargedPart is the part of the known memory that counts. Small jobs are charged twice what they take.
	chargedPart = 2
)

// Known is memory whose growth the keeper follows.
type Known interface {
	// Memory returns the known memory in bytes. Any goroutine may call it.
	Memory() int64
	// WhenAbove requests one call of the keeper's Wake when more bytes are known than n.
	WhenAbove(n int64)
}

// Keeper sets the collector's goal.
type Keeper struct {
	known   Known
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	marked  int64 // known when the last collection ended
	cycles  uint64
	percent int
	samples []metrics.Sample
}

// Indexes in samples.
const (
	sampleCycles = iota
	sampleLive
	sampleStacks
	sampleGlobals
)

// NewKeeper returns a keeper that does nothing before Start.
func NewKeeper() *Keeper {
	return &Keeper{
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}), percent: usual,
		samples: []metrics.Sample{
			{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"},
			{Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
		},
	}
}

// Start begins to follow known, in a goroutine that Stop ends.
func (k *Keeper) Start(known Known) {
	k.known = known
	k.adjust()
	go func() {
		defer close(k.stopped)
		k.watch()
		for {
			select {
			case <-k.wake:
				k.adjust()
			case <-k.stop:
				return
			}
		}
	}()
}

// Stop ends the goroutine and restores the usual goal.
func (k *Keeper) Stop() {
	close(k.stop)
	<-k.stopped
	debug.SetGCPercent(usual)
}

// Wake makes the keeper set the goal. It does not block, and any goroutine may call it.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// sentinel is an object that nothing refers to, so that every collection finds it.
type sentinel struct{ _ [4]*byte }

// watch has each collection wake the keeper.
func (k *Keeper) watch() {
	runtime.AddCleanup(&sentinel{}, func(k *Keeper) {
		select {
		case <-k.stop:
		default:
			k.Wake()
			k.watch()
		}
	}, k)
}

// adjust sets the goal for what is alive now.
func (k *Keeper) adjust() {
	metrics.Read(k.samples)
	known := k.known.Memory()
	if cycles := k.samples[sampleCycles].Value.Uint64(); cycles != k.cycles || known < k.marked {
		k.cycles, k.marked = cycles, known
	}
	live := int64(k.samples[sampleLive].Value.Uint64())
	roots := int64(k.samples[sampleStacks].Value.Uint64() + k.samples[sampleGlobals].Value.Uint64())
	if percent := percentFor(live, roots, (known-k.marked)/chargedPart); percent != k.percent {
		k.percent = percent
		debug.SetGCPercent(percent)
	}
	k.known.WhenAbove(known + max(step, known/4))
}

// percentFor returns the percentage with which the next collection is due when the heap is twice what is
// alive, or has slack: alive is what the last collection found (live), and the growth since then. roots is
// what the collector scans besides. All are bytes.
func percentFor(live, roots, growth int64) int {
	if growth < step/chargedPart {
		return usual
	}
	// Go's goal is live + (live + roots) * percent / 100, but at least leastHeap * percent / 100.
	alive := live + growth
	goal := alive + max(alive, slack)
	percent := min((goal-live)*100/max(live+roots, 1), goal*100/leastHeap)
	return int(max(percent, usual))
}

package heapgoal

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"testing"

	"gearloop/test/await"
)

func TestPercentFor(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		live, roots, growth int64
		want                int
	}{
		{0, 0, 0, 100},
		{100 * mib, mib, 0, 100},
		{100 * mib, mib, -50 * mib, 100},
		{100 * mib, mib, mib / 4, 100}, // not worth it
		{3 * mib, 0, mib, 300},         // 12 MiB are the goal
		{0, 0, mib, 225},
		{100 * mib, 0, 100 * mib, 300}, // 400 MiB are the goal
		{100 * mib, 50 * mib, 100 * mib, 200},
		{mib, 0, 99 * mib, 200 * mib / leastHeap * 100}, // more would raise the least heap above the goal
		{0, 0, 10 * mib, 500},
	} {
		if got := percentFor(tt.live, tt.roots, tt.growth); got != tt.want {
			t.Errorf("live %d, roots %d, growth %d: %d, want %d", tt.live, tt.roots, tt.growth, got, tt.want)
		}
	}
}

// queue is known memory that a test changes.
type queue struct {
	bytes, above atomic.Int64
}

func (q *queue) Memory() int64     { return q.bytes.Load() }
func (q *queue) WhenAbove(n int64) { q.above.Store(n) }

func read(name string) int64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

const (
	cycles  = "/gc/cycles/total:gc-cycles"
	percent = "/gc/gogc:percent"
	goal    = "/gc/heap/goal:bytes"
)

// TestGrowth: while a queue grows nothing is collected, however much it grows, and whether little or much is alive
// before; and the goal is never more than twice what is alive, or slack more.
func TestGrowth(t *testing.T) {
	for _, first := range []int{0, 256} {
		t.Run(fmt.Sprint(first), func(t *testing.T) { testGrowth(t, first) })
	}
}

// testGrowth has first pieces alive before the queue grows.
func testGrowth(t *testing.T, first int) {
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	const piece, pieces = 64 << 10, 2048
	q, k := &queue{}, NewKeeper()
	k.known = q
	var alive [][]byte
	grow := func() {
		alive = append(alive, make([]byte, piece))
		q.bytes.Add(2 * piece)
	}
	for range first {
		grow()
	}
	runtime.GC()
	k.adjust()
	before, base := read(cycles), read("/gc/heap/live:bytes")
	for i := range int64(pieces) {
		if grow(); q.Memory() > q.above.Load() {
			k.adjust()
			alive := base + (i+1)*piece
			if most := alive + max(alive, slack) + leastHeap; read(goal) > most {
				t.Fatalf("with %d bytes more than %d the goal is %d, more than %d", (i+1)*piece, base, read(goal), most)
			}
		}
	}
	if n := read(cycles) - before; n > 0 {
		t.Errorf("%d collections while %d bytes were queued", n, pieces*piece)
	}
	// Garbage is collected when it takes as much as what is alive.
	for n := 0; read(cycles) == before; n++ {
		if n == 10*pieces {
			t.Fatalf("no collection with %d bytes of garbage beside %d", n*piece, pieces*piece)
		}
		garbage = make([]byte, piece)
	}
	runtime.KeepAlive(alive)
}

var garbage []byte // a global, or the compiler would not allocate it

// TestCollectionResets: a collection finds what is alive by itself, so the usual percentage holds again, and Stop
// restores it.
func TestCollectionResets(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	q, k := &queue{}, NewKeeper()
	k.Start(q)
	grow := func() {
		await.Until(t, "a higher goal", func() bool { // what grows before a collection is noticed does not count
			q.bytes.Add(64 << 20)
			k.Wake()
			return read(percent) > usual
		})
	}
	for range 3 {
		grow()
		runtime.GC()
		await.Until(t, "the usual goal after a collection", func() bool { return read(percent) == usual })
	}
	grow()
	k.Stop()
	if got := read(percent); got != usual {
		t.Errorf("after Stop: %d", got)
	}
	runtime.GC()
}

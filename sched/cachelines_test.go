package sched

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"gearloop/codec"
)

// cacheLine is the smallest unit that processors cache; many fetch two at a time.
const cacheLine = 64

// linesOf returns the addresses of the cache lines of an object.
func linesOf(p unsafe.Pointer, size uintptr) (lines []uintptr) {
	for at := uintptr(p) &^ (cacheLine - 1); at < uintptr(p)+size; at += cacheLine {
		lines = append(lines, at)
	}
	return lines
}

// TestPacketIsOneLine: one is written and emptied for each job that is submitted, handed out or done.
func TestPacketIsOneLine(t *testing.T) {
	if size := unsafe.Sizeof(Packet{}); size > cacheLine {
		t.Errorf("a packet has %d bytes, want %d at most", size, cacheLine)
	}
}

// changes calls f and returns the cache lines of an object whose bytes it has changed.
func changes[T any](object *T, f func()) (lines []uintptr) {
	now := unsafe.Slice((*byte)(unsafe.Pointer(object)), unsafe.Sizeof(*object))
	before := bytes.Clone(now)
	f()
	for i := range now {
		if at := uintptr(unsafe.Pointer(&now[i])) &^ (cacheLine - 1); now[i] != before[i] && !slices.Contains(lines, at) {
			lines = append(lines, at)
		}
	}
	return lines
}

// A job writes only to its function's shard, and no other core reads the same cache lines: so loops with
// functions of different shards do not slow each other, however many there are.
func TestJobsOfShardsAreApart(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 1 << 40
	r := newRig(t, cfg)
	names := map[int]string{} // a function of each shard
	for i := 0; len(names) < shardCount; i++ {
		name := fmt.Sprint("function_", i)
		names[r.s.shardOf([]byte(name)).index] = name
	}
	client, worker := r.connect(), r.connect()
	job := func(name string) {
		r.do(client, codec.SubmitJob, name, "", "argument")
		got := r.got[worker]
		r.do(worker, codec.GrabJob)
		if len(r.got[worker]) != len(got)+1 {
			t.Fatalf("no job of %s", name)
		}
		sh := r.s.shardOf([]byte(name))
		number := (sh.sequence-1)*shardCount + uint64(sh.index) + 1 // of the last job
		r.do(worker, codec.WorkComplete, fmt.Sprint("H:t:", number), "result")
	}
	for _, name := range names {
		r.do(worker, codec.CanDo, name)
		job(name) // from now on it has a lease on the budget, and pages for its jobs
	}
	// What every job reads.
	shared := linesOf(unsafe.Pointer(r.s), unsafe.Offsetof(r.s.budget)+unsafe.Sizeof(r.s.budget))
	shared = append(shared, linesOf(unsafe.Pointer(&r.s.budget.max), unsafe.Sizeof(int64(0)))...)
	for i, name := range names {
		sh := &r.s.shards[i]
		own := linesOf(unsafe.Pointer(sh), unsafe.Sizeof(*sh)-unsafe.Sizeof(sh.apart))
		apart := func(what string, lines []uintptr) {
			if slices.ContainsFunc(own, func(at uintptr) bool { return slices.Contains(lines, at) }) {
				t.Errorf("shard %d has a cache line in common with %s", i, what)
			}
		}
		apart("what everybody reads", shared)
		apart("the table of connections", linesOf(unsafe.Pointer(&r.s.peersMu), unsafe.Sizeof(r.s.peersMu)))
		if i > 0 {
			before := &r.s.shards[i-1]
			apart("the one before it", linesOf(unsafe.Pointer(before), unsafe.Sizeof(*before)-unsafe.Sizeof(before.apart)))
		}
		var ofBudget []uintptr
		changed := changes(r.s, func() {
			ofBudget = changes(r.s.budget, func() {
				for range 5 {
					job(name)
				}
			})
		})
		if len(changed) == 0 || len(ofBudget) > 0 {
			t.Errorf("jobs of shard %d change %d cache lines of the scheduler, %d of its budget", i, len(changed), len(ofBudget))
		}
		for _, at := range changed {
			if !slices.Contains(own, at) {
				t.Errorf("jobs of shard %d change what is not its own alone, %d bytes from its beginning", i, int(at)-int(uintptr(unsafe.Pointer(sh))))
			}
		}
	}
	// Drawing on the budget must not slow those that only check whether there is one.
	if lines := changes(r.s.budget, func() { r.s.budget.take(1, 1<<40) }); slices.Contains(lines, linesOf(unsafe.Pointer(&r.s.budget.max), 8)[0]) {
		t.Error("what is drawn from the budget lies in a cache line with its bound")
	}
}

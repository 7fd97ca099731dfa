package sched

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"unsafe"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/internal/slim"
)

// When a crowd has left, no map keeps memory for it (package slim).
func TestMapsGiveMemoryBack(t *testing.T) {
	const many = 2000
	s := New(perl())
	var fx Effects
	handle := func(p *Peer, t codec.Type, data string) {
		fx.Reset()
		s.Handle(p, t, payload.Borrow([]byte(data)), start, &fx)
	}
	sh := &s.shards[0]
	var names []string
	for i := 0; len(names) < many; i++ {
		if name := "f" + strconv.Itoa(i); s.shardOf([]byte(name)) == sh {
			names = append(names, name)
		}
	}
	var peers []*Peer
	for i := range many {
		p := &Peer{FD: i + 3}
		s.Connect(p)
		peers = append(peers, p)
	}
	worker, f := peers[0], names[0]
	for i, name := range names {
		handle(worker, codec.CanDo, name)
		handle(peers[1], codec.SubmitJobBg, f+"\x00u"+strconv.Itoa(i)+"\x00x")
		// A page for each of them.
		sh.jobs.add(numbered(uint64(i+1) * 10 * pageJobs))
	}
	large := map[string]func() unsafe.Pointer{
		"peers":      func() unsafe.Pointer { return reflect.ValueOf(s.peers).UnsafePointer() },
		"functions":  func() unsafe.Pointer { return reflect.ValueOf(sh.functions).UnsafePointer() },
		"uniques":    func() unsafe.Pointer { return reflect.ValueOf(sh.uniques).UnsafePointer() },
		"sameUnique": func() unsafe.Pointer { return reflect.ValueOf(sh.sameUnique).UnsafePointer() },
		"pages":      func() unsafe.Pointer { return reflect.ValueOf(sh.jobs.pages).UnsafePointer() },
	}
	before := map[string]unsafe.Pointer{}
	for name, at := range large {
		before[name] = at()
	}
	for i := range names {
		sh.jobs.remove(numbered(uint64(i+1) * 10 * pageJobs).number)
		handle(worker, codec.GrabJob, "")
		job, _, _ := bytes.Cut(fx.Args(&fx.Packets[0]), []byte{0})
		handle(worker, codec.WorkComplete, string(job)+"\x00y")
	}
	for _, p := range peers {
		for fx.Again = true; fx.Again; {
			fx.Reset()
			s.Disconnect(p, start, &fx)
		}
	}
	for name, at := range large {
		if at() == before[name] {
			t.Errorf("%s is the map that had %d entries", name, many)
		}
	}
	if n := s.Count(); n != (Counts{Memory: n.Memory}) {
		t.Errorf("left are %+v", n)
	}
}

// A walk meets every entry that is there throughout once, and none that has been removed, when the map is copied
// meanwhile.
func TestStepsOverCopiedMap(t *testing.T) {
	const many, stay = 2000, 20
	type entry struct{ n int }
	var peak slim.Peak
	all, kept := map[string]*entry{}, map[string]*entry{}
	for i := range many {
		all[strconv.Itoa(i)] = &entry{i}
	}
	for i := range stay {
		name := strconv.Itoa(i * many / stay)
		kept[name] = all[name]
	}
	names := slices.Collect(maps.Keys(all))
	first := reflect.ValueOf(all).UnsafePointer()
	var steps mapSteps
	seen := map[*entry]int{}
	next := func() bool {
		more := steps.next(all)
		if more {
			seen[steps.iter.Value().Interface().(*entry)]++
		}
		return more
	}
	for range many / 2 {
		next()
	}
	for _, name := range names {
		if kept[name] == nil {
			delete(all, name)
			all = slim.Map(all, &peak)
		}
	}
	if reflect.ValueOf(all).UnsafePointer() == first {
		t.Fatal("the map was not copied")
	}
	stale := names[len(names)-1]
	for i := 1; kept[stale] != nil; i++ {
		stale = names[len(names)-1-i]
	}
	all[stale] = &entry{-1} // the same name, and another one
	before := maps.Clone(seen)
	for next() {
	}
	for name, e := range kept {
		if seen[e] != 1 {
			t.Errorf("%s was met %d times", name, seen[e])
		}
	}
	for e, n := range seen {
		if n > 1 || before[e] == 0 && e.n >= 0 && kept[strconv.Itoa(e.n)] == nil {
			t.Errorf("%d was met %d times, or when it was gone", e.n, n)
		}
	}
}

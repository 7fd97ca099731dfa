package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gearloop/codec"
)

// A scan finds what a walk finds, and can be resumed at any of its positions.
func TestScans(t *testing.T) {
	r := newRig(t, perl())
	c := r.connect()
	for i := range 500 {
		r.do(c, codec.SubmitJobBg, fmt.Sprint("f", i%150), "", "x")
	}
	for i := range 150 {
		for j := range 3 {
			if (i+j)%4 == 0 {
				r.cancel(r.handle(fmt.Sprint("h", 1+i+150*j)))
			}
		}
	}
	all := func(string, int, string) bool { return true }
	var got []uint64
	scan := r.s.ScanJobs(0, "")
	for more := true; more; {
		var part []JobDetail
		if part, more = scan.Next(nil, all); len(part) > walkJobs || scan.Looked() > walkJobs {
			t.Errorf("a step comes by %d jobs and looks at %d", len(part), scan.Looked())
		}
		for _, d := range part {
			got = append(got, d.Number)
		}
		if len(part) > 0 && more {
			scan = r.s.ScanJobs(scan.At(), "") // as good as the same
		}
	}
	var want []uint64
	for _, j := range r.s.Jobs() {
		want = append(want, j.Number)
	}
	slices.Sort(want)
	if sorted := slices.Sorted(slices.Values(got)); !slices.Equal(sorted, want) {
		t.Errorf("a scan that is begun again each time comes by %d jobs, want %d", len(got), len(want))
	}
	for _, from := range got {
		scan := r.s.ScanJobs(Behind(from), "")
		var next []JobDetail
		for more := true; more && len(next) == 0; {
			next, more = scan.Next(next, all)
		}
		i := slices.Index(got, from)
		if i+1 < len(got) && (len(next) == 0 || next[0].Number != got[i+1]) || i+1 == len(got) && len(next) > 0 {
			t.Fatalf("behind %d comes %v", from, next)
		}
	}
	var functions []string
	walk := r.s.ScanFunctions()
	for more := true; more; {
		var part []FunctionStats
		part, more = walk.Next(nil)
		for _, st := range part {
			functions = append(functions, st.Name)
		}
	}
	slices.Sort(functions)
	var walked []string
	for _, f := range r.s.Functions() {
		walked = append(walked, f.Name)
	}
	if !slices.Equal(functions, walked) || !slices.IsSortedFunc(walked, strings.Compare) {
		t.Errorf("a scan comes by %d functions, a walk by %d", len(functions), len(walked))
	}
}

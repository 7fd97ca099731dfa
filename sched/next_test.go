package sched

import (
	"fmt"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// TestNextJobs: the jobs that wait are listed in the order in which workers get them, in pages of any size; a
// list whose last job has gone begins anew, and jobs of other functions, delayed and running ones are none of
// it.
func TestNextJobs(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		r := newRig(t, Config{Dialect: d})
		client, w := r.connect(), r.connect()
		for i := range 40 {
			kind := []codec.Type{codec.SubmitJobBg, codec.SubmitJobHighBg, codec.SubmitJobLowBg}[i%3]
			r.do(client, kind, "f", fmt.Sprint(i), "x")
			r.do(client, kind, "g", fmt.Sprint(i), "x")
		}
		r.do(client, codec.SubmitJobEpoch, "f", "later", "4000000000", "x")
		r.do(w, codec.CanDo, "f")
		pages := func(size int) (all []string) {
			behind := uint64(0)
			for more := true; more; {
				var part []JobDetail
				if part, more = r.s.NextJobs("f", behind, size); len(part) == 0 || len(part) > size {
					t.Fatalf("a page of %d jobs, want %d", len(part), size)
				}
				for _, j := range part {
					all = append(all, j.Unique)
				}
				behind = part[len(part)-1].Number
			}
			return all
		}
		want := pages(100)
		if len(want) != 40 {
			t.Fatalf("%d jobs wait", len(want))
		}
		for _, size := range []int{1, 3, 39, 40} {
			if got := fmt.Sprint(pages(size)); got != fmt.Sprint(want) {
				t.Errorf("pages of %d jobs: %v, want %v", size, got, want)
			}
		}
		first, _ := r.s.NextJobs("f", 0, 2)
		for i, unique := range want {
			r.do(w, codec.GrabJob)
			if i == 0 {
				if again, _ := r.s.NextJobs("f", first[0].Number, 1); again[0].Unique != want[1] {
					t.Errorf("behind a job that has gone: %s, want %s", again[0].Unique, want[1])
				}
			}
			if j, _ := r.s.JobsByUnique(unique, 0, func(d *JobDetail) bool { return d.Function == "f" }, 1); len(j) != 1 || j[0].State != "running" {
				t.Fatalf("job %d is not %s: %+v", i, unique, j)
			}
		}
		if found, more := r.s.NextJobs("f", 0, 10); len(found) > 0 || more {
			t.Errorf("%d jobs wait when all are handed out", len(found))
		}
		if found, more := r.s.NextJobs("none", 0, 10); len(found) > 0 || more {
			t.Errorf("%d jobs of no function", len(found))
		}
	}
}

package sched

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// numbered returns the n-th job of the first shard.
func numbered(n uint64) *job { return &job{number: n*shardCount + 1} }

// Jobs that come and go one at a time share pages, whose memory is reused.
func TestJobTableKeepsPage(t *testing.T) {
	table := jobTable{pages: map[uint64]*jobPage{}}
	first := numbered(0)
	table.add(first)
	table.remove(first.number)
	page := table.newest
	for n := range uint64(10 * pageJobs) {
		j := numbered(n + 1)
		if allocs := testing.AllocsPerRun(1, func() {
			table.add(j)
			table.remove(j.number)
		}); allocs > 0 {
			t.Fatalf("job %d takes %v allocations", n+1, allocs)
		}
		if len(table.pages) != 1 || table.newest != page || table.count != 0 {
			t.Fatalf("after job %d there are %d pages and %d jobs", n+1, len(table.pages), table.count)
		}
	}
}

// Whatever the order in which jobs come and go, existing ones are found, and no empty page stays except the
// newest.
func TestJobTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		table := jobTable{pages: map[uint64]*jobPage{}}
		there := map[uint64]*job{}
		for range 2000 {
			number := numbered(r.Uint64N(1000)).number
			j := there[number]
			if got := table.get(number); got != j {
				t.Fatalf("job %d is %v, want %v", number, got, j)
			}
			if j == nil {
				there[number] = &job{number: number}
				table.add(there[number])
			} else {
				delete(there, number)
				table.remove(number)
			}
			if table.count != len(there) {
				t.Fatalf("%d jobs, want %d", table.count, len(there))
			}
		}
		all := map[uint64]*job{}
		for j := range table.all() {
			all[j.number] = j
		}
		if !maps.Equal(all, there) {
			t.Fatal("these are not all jobs")
		}
		for number := range there {
			table.remove(number)
		}
		if len(table.pages) > 1 || table.count != 0 {
			t.Fatalf("%d pages and %d jobs stay", len(table.pages), table.count)
		}
	}
}

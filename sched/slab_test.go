package sched

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// last returns the job that the function's shard numbered last.
func (r *rig) last(function string) *job {
	sh := r.s.shardOf([]byte(function))
	return sh.jobs.get((sh.sequence-1)*shardCount + uint64(sh.index) + 1)
}

// A new job of the same size gets the memory of one that has ended, and its own argument.
func TestMemoryOfEndedJobsIsUsedAgain(t *testing.T) {
	for _, size := range []int{0, 1, 16, 17, 64, maxRoom, maxRoom + 1, 5000} {
		r := newRig(t, perl())
		client, worker := r.connect(), r.worker("f")
		var before *job
		for i := range 3 {
			argument := strings.Repeat(string(rune('a'+i)), size)
			r.do(client, codec.SubmitJob, "f", "", argument)
			j := r.last("f")
			if i > 0 && j != before {
				t.Errorf("%d bytes: the memory of the job before was not used", size)
			}
			before = j
			r.got[worker] = nil
			r.do(worker, codec.GrabJob)
			got, ok := strings.CutSuffix(strings.Join(r.got[worker], " "), "|f|"+argument)
			if !ok || !strings.HasPrefix(got, "JOB_ASSIGN ") {
				t.Fatalf("%d bytes: %.200q, want the argument %.100q", size, r.got[worker], argument)
			}
			r.do(worker, codec.WorkComplete, fmt.Sprint("H:t:", j.number), "")
		}
	}
}

// fillSlabs submits background jobs to a function until n slabs are full, and returns the slabs.
func (r *rig) fillSlabs(client *Peer, n int, argument string) (slabs []*slab) {
	for full := 0; full < n; {
		r.do(client, codec.SubmitJobBg, "f", "", argument)
		s := r.last("f").slab()
		if !slices.Contains(slabs, s) {
			slabs = append(slabs, s)
		}
		if s.spare == 0 {
			full++
		}
	}
	return slabs
}

// inUse returns the jobs of a shard that are in these slabs.
func inUse(sh *shard, slabs []*slab) map[*slab][]*job {
	jobs := map[*slab][]*job{}
	for j := range sh.jobs.all() {
		if s := j.slab(); slices.Contains(slabs, s) {
			jobs[s] = append(jobs[s], j)
		}
	}
	return jobs
}

// slabsLeft returns how many slabs are in memory after collections. A pool keeps what it has for two of them.
func slabsLeft(slabs []weak.Pointer[slab]) (n int) {
	for range 3 {
		runtime.GC()
	}
	for _, s := range slabs {
		if s.Value() != nil {
			n++
		}
	}
	return n
}

func weakly(slabs []*slab) (weaker []weak.Pointer[slab]) {
	for _, s := range slabs {
		weaker = append(weaker, weak.Make(s))
	}
	return weaker
}

// The jobs of a slab fill it, without touching each other or each other's room.
func TestJobsOfSlabs(t *testing.T) {
	for size := range jobSizes {
		s := makeSlab[size](size)
		behind := size * roomStep
		if size == viewSize {
			behind = int(unsafe.Sizeof(payload.View{}))
		}
		step := int(unsafe.Sizeof(job{})) + behind
		end := int(unsafe.Sizeof(slab{}))
		for s.spare != 0 {
			j := s.at(s.spare)
			s.spare = 0
			if j.next != nil {
				s.spare = j.next.offset
			}
			if int(j.offset) != end || j.slab() != s {
				t.Fatalf("size %d: a job at %d behind one that ends at %d", size, j.offset, end)
			}
			end += step
		}
		if end > slabSize || end+step <= slabSize {
			t.Errorf("size %d: the slab is full at %d of %d bytes", size, end, slabSize)
		}
	}
}

// The memory of a queue that has been emptied goes to the collector, but for a slab of each shard.
func TestSpareJobsGoToTheCollector(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	slabs := weakly(r.fillSlabs(client, 5, "x"))
	worker := r.worker("f")
	for r.s.shardOf([]byte("f")).jobs.count > 0 {
		r.do(worker, codec.GrabJob)
		r.do(worker, codec.WorkComplete, fmt.Sprint("H:t:", worker.doing[0].number), "")
	}
	if n := slabsLeft(slabs); n > 1 {
		t.Errorf("%d slabs are kept, want 1 at most", n)
	}
	runtime.KeepAlive(r)
}

// However often a queue fills and empties but for a few jobs: the memory around these is used again, even when the
// collector has emptied the pools in between.
func TestSlabsWithJobsAreUsedFirst(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	sh := r.s.shardOf([]byte("f"))
	const full = 5
	for round := range 6 {
		slabs := r.fillSlabs(client, full, strings.Repeat("x", 64))
		total := 0
		seen := map[*slab]bool{}
		for j := range sh.jobs.all() {
			if !seen[j.slab()] {
				seen[j.slab()] = true
				total++
			}
		}
		if most := full + 1; total > most {
			t.Fatalf("round %d: %d slabs have jobs, want %d at most", round, total, most)
		}
		for _, jobs := range inUse(sh, slabs) {
			for _, j := range jobs[1:] {
				r.acts(CancelJob, fmt.Sprint("H:t:", j.number))
			}
		}
		slabsLeft(nil)
	}
}

// A slab with jobs that may not be used again goes to the collector with its last job.
func TestSlabsWithLostJobsGoToTheCollector(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	sh := r.s.shardOf([]byte("f"))
	filled := r.fillSlabs(client, 5, "x")
	slabs := weakly(filled)
	for _, jobs := range inUse(sh, filled) {
		jobs[0].more()
		for _, j := range jobs {
			r.acts(CancelJob, fmt.Sprint("H:t:", j.number))
		}
	}
	if n := slabsLeft(slabs); n > 0 {
		t.Errorf("%d slabs are kept", n)
	}
	runtime.KeepAlive(r)
}

// The memory of a job to which its worker's recall refers is not used again: the worker has not been told yet
// that the job was given up.
func TestMemoryOfRecalledJobsIsLeft(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	r.do(client, codec.SubmitJob, "f", "", "x")
	r.do(worker, codec.GrabJob)
	ended := r.last("f")
	handle := fmt.Sprint("H:t:", ended.number)
	r.acts(GiveUpJob, handle)
	r.do(worker, codec.WorkComplete, handle, "")
	if r.last("f") != nil {
		t.Fatal("the job has not ended")
	}
	r.do(client, codec.SubmitJob, "f", "", "y")
	if r.last("f") == ended {
		t.Error("its memory was used again")
	}
}

// endingWriter ends a job while its argument is being written.
type endingWriter struct {
	bytes.Buffer
	end func()
}

func (w *endingWriter) Write(b []byte) (int, error) {
	w.end()
	return w.Buffer.Write(b)
}

// An argument that is being written stays what it is when its job ends and another one gets the memory.
func TestArgumentIsWrittenWhileItsJobEnds(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	r.do(client, codec.SubmitJobBg, "f", "", "before")
	j := r.last("f")
	w := &endingWriter{end: func() {
		r.acts(CancelJob, fmt.Sprint("H:t:", j.number))
		r.do(client, codec.SubmitJobBg, "f", "", "behind")
		if r.last("f") != j {
			t.Error("the memory was not used again")
		}
	}}
	err := r.s.WriteArgument(fmt.Sprint("H:t:", j.number), func(int) io.Writer { return w })
	if err != nil || w.String() != "before" {
		t.Errorf("%q, %v", w.String(), err)
	}
}

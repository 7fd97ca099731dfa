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
		if s.isFull() {
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
	for i, kind := range slabKinds {
		size, limit := i%jobSizes, smallSlab
		if i >= jobSizes {
			limit = largeSlab
		}
		behind := size * roomStep
		if size == viewSize {
			behind = int(unsafe.Sizeof(payload.View{}))
		}
		step := int(unsafe.Sizeof(job{})) + behind
		if int(kind.step) != step {
			t.Errorf("size %d: jobs take %d bytes, want %d", size, kind.step, step)
		}
		end := int(unsafe.Sizeof(slab{}))
		if s := kind.allocate(); int(s.fresh) != end {
			t.Errorf("size %d: the first job is at %d, want %d", size, s.fresh, end)
		}
		for end+step <= limit {
			end += step
		}
		if int(kind.end) != end {
			t.Errorf("size %d: the jobs end at %d, want %d", size, kind.end, end)
		}
	}
}

// A shard with many slabs makes large ones, and says where they are. When its jobs have ended it keeps a small one.
func TestManyJobsAreInLargeSlabs(t *testing.T) {
	for size := range jobSizes {
		var populated [][]byte
		cfg := perl()
		cfg.Populate = func(memory []byte) { populated = append(populated, memory) }
		sh := &New(cfg).shards[0]
		var jobs []*job
		var slabs []*slab
		const want = manySlabs + 3
		for len(slabs) < want || !slabs[want-1].isFull() {
			j := sh.take(size)
			j.number = uint64(len(jobs))
			jobs = append(jobs, j)
			if s := j.slab(); len(slabs) == 0 || slabs[len(slabs)-1] != s {
				slabs = append(slabs, s)
			}
		}
		for i, s := range slabs {
			if s.isLarge() != (i >= manySlabs) || s.size() != size {
				t.Errorf("size %d: slab %d is for size %d, large: %v", size, i, s.size(), s.isLarge())
			}
		}
		if len(slabs) != want || sh.slabsHeld[size] != want || len(populated) != want-manySlabs {
			t.Fatalf("size %d: %d slabs, %d counted, %d populated; want %d", size, len(slabs), sh.slabsHeld[size], len(populated), want)
		}
		for i, memory := range populated {
			s := slabs[manySlabs+i]
			if unsafe.Pointer(unsafe.SliceData(memory)) != unsafe.Pointer(s) || len(memory) != int(slabKinds[s.kind].end) {
				t.Errorf("size %d: %d bytes at %p were populated, for the slab at %p", size, len(memory), memory, s)
			}
		}
		for i, j := range jobs {
			if j.number != uint64(i) {
				t.Fatalf("size %d: job %d was overwritten with job %d", size, i, j.number)
			}
			sh.free(j, true)
		}
		if s := sh.slabs[size]; sh.slabsHeld[size] != 1 || s == nil || s.next != nil || s.isLarge() || s.used != 0 {
			t.Errorf("size %d: %d slabs are kept, want a small one without jobs: %+v", size, sh.slabsHeld[size], s)
		}
		left := weakly(slabs)
		slabs, jobs, populated = nil, nil, nil
		if n := slabsLeft(left); n != 1 {
			t.Errorf("size %d: %d slabs are in memory, want 1", size, n)
		}
		runtime.KeepAlive(sh)
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

package sched

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"weak"

	"gearloop/codec"
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
			if got, ok := strings.CutSuffix(strings.Join(r.got[worker], " "), "|f|"+argument); !ok || !strings.HasPrefix(got, "JOB_ASSIGN ") {
				t.Fatalf("%d bytes: %.200q, want the argument %.100q", size, r.got[worker], argument)
			}
			r.do(worker, codec.WorkComplete, fmt.Sprint("H:t:", j.number), "")
		}
	}
}

// The memory of a queue that has been emptied goes to the collector, but for a few jobs of each shard.
func TestSpareJobsGoToTheCollector(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	var jobs []weak.Pointer[job]
	for range 1000 {
		r.do(client, codec.SubmitJobBg, "f", "", "x")
		jobs = append(jobs, weak.Make(r.last("f")))
	}
	worker := r.worker("f")
	for range jobs {
		r.do(worker, codec.GrabJob)
		r.do(worker, codec.WorkComplete, fmt.Sprint("H:t:", worker.doing[0].number), "")
	}
	for range 3 { // a pool keeps what it has for two collections
		runtime.GC()
	}
	left := 0
	for _, w := range jobs {
		if w.Value() != nil {
			left++
		}
	}
	if left > 2*chainJobs {
		t.Errorf("%d jobs are kept, want %d at most", left, 2*chainJobs)
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
	if err := r.s.WriteArgument(fmt.Sprint("H:t:", j.number), func(int) io.Writer { return w }); err != nil || w.String() != "before" {
		t.Errorf("%q, %v", w.String(), err)
	}
}

package sched

import (
	"math"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// TestStrangers: only a job's worker may report on it.
func TestStrangers(t *testing.T) {
	r := newRig(t, perl())
	client, worker, other := r.connect(), r.worker("f"), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "")
	results := []codec.Type{codec.WorkComplete, codec.WorkData, codec.WorkWarning, codec.WorkException, codec.WorkStatus}
	speak := func(p *Peer, handle string) {
		t.Helper()
		for _, typ := range results {
			r.do(p, typ, handle, "x", "y")
			r.want(p, "ERROR not_worker|")
		}
		r.do(p, codec.WorkFail, handle)
		r.want(p, "ERROR not_worker|")
	}
	speak(worker, h) // nobody has it yet
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h1|f|")
	speak(other, h)
	speak(client, h)
	for _, handle := range []string{"", "H:t:0", "H:t:999999", "H:elsewhere:1", h + "0", "H:t:0" + h[len("H:t:"):]} {
		speak(worker, handle)
	}
	r.want(client)
	for _, typ := range results[1:4] {
		r.do(worker, typ, h) // the NUL may be left out when nothing comes after it
	}
	r.want(worker)
	r.want(client, "WORK_DATA h1|", "WORK_WARNING h1|")
	r.do(worker, codec.WorkData, strings.Repeat("h", MaxHandle))
	r.want(worker, "ERROR not_worker|")
	r.do(worker, codec.WorkFail, h)
	r.want(client, "WORK_FAIL h1")
	speak(worker, h)
}

// TestLostClientWhileRunning: the worker continues and may report anything.
func TestLostClientWhileRunning(t *testing.T) {
	r := newRig(t, perl())
	one, two, worker := r.connect(), r.connect(), r.worker("f")
	r.submit(one, codec.SubmitJob, "f", "u", "x")
	r.submit(two, codec.SubmitJob, "f", "u", "x")
	r.do(worker, codec.GrabJob)
	r.leave(one)
	r.do(worker, codec.WorkData, r.handle("h1"), "y")
	r.want(one)
	r.want(two, "WORK_DATA h1|y")
	r.leave(two)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "z")
	r.want(worker, "JOB_ASSIGN h1|f|x")
	r.want(two)
}

// TestDropUnwanted: unwanted jobs are removed, and nothing else.
func TestDropUnwanted(t *testing.T) {
	r := newRig(t, perl())
	goes, stays, worker := r.connect(), r.connect(), r.worker("f")
	r.submit(goes, codec.SubmitJob, "f", "", "runs")
	r.do(worker, codec.GrabJob)
	r.submit(goes, codec.SubmitJob, "f", "", "unwanted")
	r.submit(goes, codec.SubmitJob, "alone", "u", "unwanted")
	r.submit(goes, codec.SubmitJobBg, "f", "", "background")
	r.submit(goes, codec.SubmitJob, "f", "v", "both")
	r.submit(stays, codec.SubmitJob, "f", "v", "both")
	r.submit(goes, codec.SubmitJobEpoch, "g", "", "4000000000", "delayed")
	r.s.DropUnwanted(r.now)
	if c := r.s.Count(); c.Queued != 4 {
		t.Errorf("%+v", c)
	}
	r.leave(goes)
	r.s.DropUnwanted(r.now)
	r.check()
	if c := r.s.Count(); c.Queued != 2 || c.Running != 1 || c.Delayed != 1 || c.Unique != 1 || c.Functions != 2 {
		t.Errorf("%+v", c)
	}
	r.do(worker, codec.WorkComplete, r.handle("h1"), "")
	for range 3 {
		r.do(worker, codec.GrabJob)
	}
	r.want(worker, "JOB_ASSIGN h1|f|runs", "JOB_ASSIGN h4|f|background", "JOB_ASSIGN h5|f|both", "NO_JOB")
}

// TestManyComeAndGo: nothing of a peer stays behind, in whatever state it leaves.
func TestManyComeAndGo(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 8 << 20
	r := newRig(t, cfg)
	client := r.connect()
	for i := range 300 {
		p := r.worker("f", "g", "h")
		switch i % 6 {
		case 1:
			r.do(p, codec.PreSleep)
		case 2:
			r.submit(client, codec.SubmitJobBg, "f", "u", "x")
			r.do(p, codec.GrabJob)
		case 3:
			r.do(p, codec.AllYours)
		case 4:
			r.submit(p, codec.SubmitJob, "g", "", "x")
		case 5:
			r.do(p, codec.ResetAbilities)
		}
		r.leave(p)
	}
	p := r.worker("g")
	r.do(p, codec.GrabJob)
	r.want(p, "NO_JOB")
	r.leave(p)
	r.leave(client)
	if c := r.s.Count(); c != (Counts{}) {
		t.Errorf("%+v", c)
	}
	if used := r.s.budget.used.Load(); used > cfg.MaxMemory/4 {
		t.Errorf("%d bytes of the budget are in use", used)
	}
}

// TestCountOfLosses: the counter stops at its maximum instead of wrapping around, so that bounds hold.
func TestCountOfLosses(t *testing.T) {
	for _, c := range []struct {
		bound int
		stays bool
	}{{-1, true}, {0, true}, {math.MaxUint16, false}} {
		r := newRig(t, Config{Dialect: dialect.C, Wakeup: 3, WakeupDelay: -1, JobRetries: c.bound})
		client := r.connect()
		r.submit(client, codec.SubmitJob, "f", "", "x")
		for range 3 {
			w := r.worker("f")
			r.do(w, codec.GrabJob)
			for _, j := range w.doing {
				j.retries = max(j.retries, math.MaxUint16-2)
			}
			r.leave(w)
		}
		if n := len(r.s.Jobs()); (n == 1) != c.stays {
			t.Errorf("bound %d: %d jobs", c.bound, n)
		}
	}
}

package sched

import (
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// TestLargeArgument has an argument leave memory when that is short, and come back for the worker.
func TestLargeArgument(t *testing.T) {
	for _, c := range []struct {
		name     string
		push     bool
		meantime func(r *rig, w *Peer)
		fault    error
		want     string // what the worker is sent
		left     int    // jobs
	}{
		{"read", false, nil, nil, "JOB_ASSIGN h1|f|" + largeArgument, 1},
		{"not read", false, nil, errDisk, "NO_JOB", 0},
		{"the worker runs out of time", false, func(r *rig, w *Peer) { r.at(2 * time.Second) }, nil, "NO_JOB", -1},
		{"cancelled", false, func(r *rig, w *Peer) { r.cancel(r.number(0)) }, nil, "NO_JOB", 0},
		{"the worker leaves", false, func(r *rig, w *Peer) { r.leave(w) }, nil, "NO_JOB", 1},
		{"read by a worker that is given jobs", true, nil, nil, "JOB_ASSIGN h1|f|" + largeArgument, 1},
		{"not read by a worker that is given jobs", true, nil, errDisk, "NO_JOB", 0},
		{"out of time with a worker that is given jobs", true, func(r *rig, w *Peer) { r.at(2 * time.Second) }, nil, "NO_JOB", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothDialects(t, func(t *testing.T, cfg Config) {
				if c.push && cfg.Dialect.AllYours != dialect.Accept {
					return
				}
				cfg.MaxMemory = 1 << 20
				r, bg, w := stored(t, cfg)
				r.do(w, codec.CanDoTimeout, "f", "1")
				r.sends(bg, codec.SubmitJobBg, "f\x00u\x00"+largeArgument, true)
				r.receive(1, nil)
				r.want(bg, "JOB_CREATED h1")
				if n, _ := payload.InUse(); n != 0 && len(r.s.Jobs()) == 1 {
					var j *Job
					for i := range r.s.shards {
						for k := range r.s.shards[i].jobs.all() {
							j = k
						}
					}
					if !j.onDisk {
						t.Fatal("a large argument stays in memory that is short")
					}
				}
				if c.push {
					r.do(w, codec.AllYours)
				} else {
					r.do(w, codec.GrabJob)
				}
				r.want(w, "#1")
				if c.meantime != nil {
					c.meantime(r, w)
				}
				r.fetch(c.fault)
				if got := r.got[w]; len(got) == 0 || got[0] != c.want {
					t.Fatalf("sent %.60q, want %.60q", got, c.want)
				}
				if n := len(r.s.Jobs()); c.left >= 0 && n != c.left {
					t.Errorf("%d jobs are left, want %d", n, c.left)
				}
				if c.push && c.fault != nil {
					// It is given the next one.
					r.do(bg, codec.SubmitJob, "f", "", "next")
					if got := r.got[w]; len(got) != 2 || !strings.HasSuffix(got[1], "|f|next") {
						t.Errorf("a worker that was given no argument gets no job any more: %.60q", got)
					}
				}
				r.leave(bg)
				if !w.Gone() {
					r.leave(w)
				}
				for len(r.fetches) > 0 {
					r.fetch(nil)
				}
				for _, e := range r.store.living() {
					r.cancel(string(r.s.AppendHandle(nil, e.job.Number)))
				}
			})
		})
	}
}

// TestEmptyArgumentIsKept joins a running job with an empty argument that lies in a payload.
func TestEmptyArgumentIsKept(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, bg, w := stored(t, cfg)
		fg := r.connect()
		r.sends(fg, codec.SubmitJob, "f\x00u\x00", true)
		r.do(w, codec.GrabJob)
		r.sends(bg, codec.SubmitJobBg, "f\x00u\x00yy", true)
		r.receive(1, nil)
		r.do(w, codec.WorkComplete, r.number(0), "")
	})
}

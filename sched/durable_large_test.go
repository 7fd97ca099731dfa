package sched

import (
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// TestLargeArgument: an argument leaves memory when that is short, and is read back for the worker.
func TestLargeArgument(t *testing.T) {
	for _, c := range []struct {
		name     string
		push     bool
		meantime func(r *rig, w *Peer)
		fault    error
		want     string // what the worker gets
		left     int    // jobs
	}{
		{"read", false, nil, nil, "JOB_ASSIGN h1|f|" + largeArgument, 1},
		{"not read", false, nil, errDisk, "NO_JOB", 0},
		{"read late", false, func(r *rig, w *Peer) { r.at(2 * time.Second) }, nil, "JOB_ASSIGN h1|f|" + largeArgument, 1},
		{"cancelled", false, func(r *rig, w *Peer) { r.cancel(r.number(0)) }, nil, "NO_JOB", 0},
		{"the worker leaves", false, func(r *rig, w *Peer) { r.leave(w) }, nil, "NO_JOB", 1},
		{"read by a worker that is given jobs", true, nil, nil, "JOB_ASSIGN h1|f|" + largeArgument, 1},
		{"not read by a worker that is given jobs", true, nil, errDisk, "NO_JOB", 0},
		{"read late for a worker that is given jobs", true, func(r *rig, w *Peer) { r.at(2 * time.Second) }, nil, "JOB_ASSIGN h1|f|" + largeArgument, 1},
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
					var j *job
					for i := range r.s.shards {
						for k := range r.s.shards[i].jobs.all() {
							j = k
						}
					}
					if j.where != onDisk {
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
				if n := len(r.s.Jobs()); n != c.left {
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
				r.dropStored()
			})
		})
	}
}

// largeJob submits a job with a large argument that leaves memory once it is stored.
func (r *rig) largeJob(client *Peer, unique string) {
	r.Helper()
	r.sends(client, codec.SubmitJobBg, "f\x00"+unique+"\x00"+largeArgument, true)
	r.receive(-1, nil)
	r.got[client] = nil
}

// TestLimitBeginsAtDelivery: however long reading an argument takes, the worker has its full time for the
// job.
func TestLimitBeginsAtDelivery(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.MaxMemory = 1 << 20
		r, bg, w := stored(t, cfg)
		r.do(w, codec.CanDoTimeout, "f", "5")
		r.largeJob(bg, "u")
		r.do(w, codec.GrabJob)
		r.at(time.Hour)
		if len(r.timers) != 0 {
			t.Errorf("the limit of a job that was not delivered runs")
		}
		r.fetch(nil)
		limit := w.limitAt
		if got := limit.Sub(r.now); len(r.s.Jobs()) != 1 || got <= 0 || len(r.timers) != 1 {
			t.Fatalf("delivered, the limit is %v", got)
		}
		r.until(limit.Add(-time.Millisecond))
		if n := len(w.doing); n != 1 {
			t.Fatalf("%d jobs in hand before the limit", n)
		}
		r.until(limit)
		if n := len(w.doing); n != 0 {
			t.Fatalf("%d jobs in hand after the limit", n)
		}
		r.dropStored()
	})
}

// TestUndeliveredJobIsNotLost: a job whose worker has not got the argument yet is handed out next when it is
// taken back, and that is not a loss.
func TestUndeliveredJobIsNotLost(t *testing.T) {
	for name, requeue := range map[string]func(r *rig, w *Peer){
		"the worker leaves": func(r *rig, w *Peer) { r.leave(w) },
		"put off": func(r *rig, w *Peer) {
			var fx Effects
			r.s.PutOff(&r.fetches[0], r.now, &fx)
			r.carry(&fx)
			r.want(w, "NO_JOB")
		},
		"the worker gives the function up": func(r *rig, w *Peer) {
			if r.s.dialect.DropRequeues {
				r.do(w, codec.CantDo, "f")
			} else {
				r.leave(w)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bothDialects(t, func(t *testing.T, cfg Config) {
				cfg.MaxMemory, cfg.JobRetries = 1<<20, 1
				r, bg, w := stored(t, cfg)
				other := r.worker("f")
				r.largeJob(bg, "first")
				r.largeJob(bg, "second")
				r.do(other, codec.PreSleep)
				r.got[other] = nil
				r.do(w, codec.GrabJob)
				r.want(w, "#1")
				requeue(r, w)
				r.fetches = r.fetches[1:]
				if _, running := r.s.Outstanding(); running != 0 {
					t.Errorf("%d jobs run", running)
				}
				if e := r.store.entries[0]; e.retries != 0 || e.done {
					t.Errorf("the store was told of %d retries, done is %v", e.retries, e.done)
				}
				r.do(other, codec.GrabJobUniq)
				r.fetch(nil)
				if got := r.got[other][len(r.got[other])-1]; !strings.Contains(got, "|f|first|") {
					t.Errorf("the next job is %.60q", got)
				}
				// Delivered, it is lost with its worker: JobRetries is 1.
				r.leave(other)
				if n := len(r.s.Jobs()); n != 1 {
					t.Errorf("%d jobs are left", n)
				}
				r.dropStored()
			})
		})
	}
}

// TestEndingPutsOff: a server that ends gracefully does not wait for stored jobs, even if their arguments are
// being read.
func TestEndingPutsOff(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.MaxMemory = 1 << 20
		r, bg, w := stored(t, cfg)
		r.largeJob(bg, "u")
		r.do(w, codec.GrabJob)
		r.s.Shelve()
		r.fetch(nil)
		r.want(w, "NO_JOB")
		if queued, running := r.s.Outstanding(); queued+running != 0 {
			t.Errorf("%d queued, %d running: the server waits for them", queued, running)
		}
		if n := len(r.store.living()); n != 1 {
			t.Errorf("%d jobs are stored", n)
		}
		r.dropStored()
	})
}

// dropStored cancels all stored jobs.
func (r *rig) dropStored() {
	r.Helper()
	for _, e := range r.store.living() {
		r.cancel(string(r.s.AppendHandle(nil, e.job.Number)))
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

// TestReducerGoesWithTheArgument: a submission with another reducer joins a running job whose argument was
// freed. The acknowledged submission is stored, with its own argument and reducer.
func TestReducerGoesWithTheArgument(t *testing.T) {
	for _, c := range []struct{ name, first, reducer string }{
		{"none", "", "second"}, {"another", "first", "second"}, {"none any more", "first", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothDialects(t, func(t *testing.T, cfg Config) {
				r, bg, w := stored(t, cfg)
				fg := r.connect()
				if c.first == "" {
					r.sends(fg, codec.SubmitJob, "f\x00u\x00", true)
				} else {
					r.sends(fg, codec.SubmitReduceJob, "f\x00u\x00"+c.first+"\x000\x00", true)
				}
				r.do(w, codec.GrabJob)
				r.sends(bg, codec.SubmitReduceJobBack, "f\x00u\x00"+c.reducer+"\x000\x00yy", true)
				for _, e := range r.store.living() {
					if e.job.Reducer != c.reducer || e.whole != "yy" {
						t.Errorf("kept with reducer %q and argument %q", e.job.Reducer, e.whole)
					}
				}
				r.receive(1, nil)
				r.do(w, codec.WorkComplete, r.number(0), "")
			})
		})
	}
}

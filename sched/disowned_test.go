package sched

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store"
)

// TestDisowned: stored jobs belong to another broker. Nobody is informed, and no end is reported to the
// store.
func TestDisowned(t *testing.T) {
	const due = 5
	for _, c := range []struct {
		name string
		// before is what happened to a background job of f with the unique id u.
		before func(r *rig, bg, fg, w *Peer)
		left   int // jobs that go on
		after  func(r *rig, bg, fg, w *Peer)
	}{
		{"it waits", nil, 0, nil},
		{"it runs", func(r *rig, bg, fg, w *Peer) { r.wantGrabs(w, "x") }, 1, func(r *rig, bg, fg, w *Peer) {
			r.do(w, codec.WorkComplete, r.number(0), "y")
			r.want(w)
		}},
		{"it runs, and its worker is lost", func(r *rig, bg, fg, w *Peer) { r.wantGrabs(w, "x") }, 1, func(r *rig, bg, fg, w *Peer) {
			r.leave(w)
			if n := len(r.s.Jobs()); n != 0 {
				r.Errorf("%d jobs are left: the other broker has it", n)
			}
		}},
		{"it waits, with a listener", listens, 1, func(r *rig, bg, fg, w *Peer) {
			r.wantGrabs(w, "x")
			r.do(w, codec.WorkComplete, r.number(0), "y")
			r.want(fg, "WORK_COMPLETE h1|y")
		}},
		{"it waits, with a listener that leaves", listens, 1, func(r *rig, bg, fg, w *Peer) {
			r.leave(fg)
			r.wantGrabs(w, "")
		}},
		{"it runs, with a listener", func(r *rig, bg, fg, w *Peer) {
			listens(r, bg, fg, w)
			r.wantGrabs(w, "x")
		}, 1, func(r *rig, bg, fg, w *Peer) {
			r.do(w, codec.WorkComplete, r.number(0), "y")
			r.want(fg, "WORK_COMPLETE h1|y")
		}},
		{"it runs, and was cancelled", func(r *rig, bg, fg, w *Peer) {
			r.wantGrabs(w, "x")
			r.cancel(r.number(0))
			r.store.entries[0].done = false // as if the end had not been written
		}, 1, func(r *rig, bg, fg, w *Peer) { r.do(w, codec.WorkComplete, r.number(0), "y") }},
		{"it is on the shelf", func(r *rig, bg, fg, w *Peer) {
			r.lease(0)
			r.wantGrabs(w, "")
		}, 0, nil},
		{"it is on the shelf, with a listener", func(r *rig, bg, fg, w *Peer) {
			listens(r, bg, fg, w)
			r.lease(0)
			r.wantGrabs(w, "")
			r.do(w, codec.PreSleep)
		}, 1, func(r *rig, bg, fg, w *Peer) {
			r.want(w, "NOOP")
			r.wantGrabs(w, "x") // it is not stored any more, so no lease is needed
			r.do(w, codec.WorkComplete, r.number(0), "y")
			r.want(fg, "WORK_COMPLETE h1|y")
		}},
		{"another is delayed", func(r *rig, bg, fg, w *Peer) {
			r.do(bg, codec.SubmitJobEpoch, "f", "v", strconv.FormatInt(start.Unix()+due, 10), "later")
			r.receive(1, nil)
		}, 0, func(r *rig, bg, fg, w *Peer) { r.at(due * time.Second) }},
		{"another is delayed, with a listener", func(r *rig, bg, fg, w *Peer) {
			r.do(bg, codec.SubmitJobEpoch, "f", "v", strconv.FormatInt(start.Unix()+due, 10), "later")
			r.receive(1, nil)
			r.do(fg, codec.SubmitJob, "f", "v", "later")
			r.got[fg] = nil
		}, 1, func(r *rig, bg, fg, w *Peer) {
			r.wantGrabs(w, "")
			r.at(due * time.Second)
			r.wantGrabs(w, "later")
			r.do(w, codec.WorkComplete, r.number(1), "y")
			r.want(fg, "WORK_COMPLETE h2|y")
		}},
		{"another is being stored", func(r *rig, bg, fg, w *Peer) { r.do(bg, codec.SubmitJobBg, "f", "v", "y") }, 0,
			func(r *rig, bg, fg, w *Peer) { r.want(bg, r.full()) }},
		{"another is being stored, with a listener", func(r *rig, bg, fg, w *Peer) {
			r.do(bg, codec.SubmitJobBg, "f", "v", "y")
			r.do(fg, codec.SubmitJob, "f", "v", "y")
		}, 1, func(r *rig, bg, fg, w *Peer) {
			r.want(bg, r.full())
			r.wantGrabs(w, "y")
		}},
		{"the store alone has an argument, and a client listens", func(r *rig, bg, fg, w *Peer) {
			r.sends(bg, codec.SubmitJobBg, "f\x00v\x00"+largeArgument, true)
			r.receive(1, nil)
			r.sends(fg, codec.SubmitJob, "f\x00v\x00"+largeArgument, true)
			r.got[fg] = nil
		}, 0, func(r *rig, bg, fg, w *Peer) { r.want(fg, "WORK_FAIL h2") }},
		{"a worker has an argument that the store alone had, and a client listens", func(r *rig, bg, fg, w *Peer) {
			r.sends(bg, codec.SubmitJobHighBg, "f\x00v\x00"+largeArgument, true)
			r.receive(1, nil)
			r.wantGrabs(w, largeArgument)
			r.sends(fg, codec.SubmitJob, "f\x00v\x00"+largeArgument, true)
			r.got[fg] = nil
		}, 1, func(r *rig, bg, fg, w *Peer) {
			r.leave(w) // nobody else could get it
			r.want(fg, "WORK_FAIL h2")
		}},
		{"an argument is being read, and a client listens", func(r *rig, bg, fg, w *Peer) {
			r.sends(bg, codec.SubmitJobHighBg, "f\x00v\x00"+largeArgument, true)
			r.receive(1, nil)
			r.do(w, codec.GrabJob)
			r.sends(fg, codec.SubmitJob, "f\x00v\x00"+largeArgument, true)
			r.got[fg] = nil
		}, 1, func(r *rig, bg, fg, w *Peer) {
			r.leave(w)
			r.want(fg, "WORK_FAIL h2")
		}},
		{"an argument is being read", func(r *rig, bg, fg, w *Peer) {
			r.sends(bg, codec.SubmitJobBg, "f\x00v\x00"+largeArgument, true)
			r.receive(1, nil)
			r.wantGrabs(w, "x")
			r.do(w, codec.GrabJob)
			r.want(w, "#1")
		}, 2, func(r *rig, bg, fg, w *Peer) {
			r.fetch(nil)
			r.want(w, "NO_JOB")
			if n := len(r.s.Jobs()); n != 1 {
				r.Errorf("%d jobs, want the one that runs", n)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothDialects(t, func(t *testing.T, cfg Config) {
				cfg.MaxMemory = 1 << 20 // a large argument is let go of when it is stored
				r, bg, w := stored(t, cfg)
				fg := r.connect()
				r.do(bg, codec.SubmitJobBg, "f", "u", "x")
				r.receive(1, nil)
				r.want(bg, "JOB_CREATED h1")
				if c.before != nil {
					c.before(r, bg, fg, w)
				}
				for _, name := range r.got[bg] {
					if name == "JOB_CREATED h2" {
						r.got[bg] = nil
					}
				}
				r.store.disown()
				if n := len(r.s.Jobs()); n != c.left {
					t.Errorf("%d jobs go on, want %d", n, c.left)
				}
				if c.after != nil {
					c.after(r, bg, fg, w)
				}
				// Nothing can be stored before a run is opened, which has its own numbers.
				r.got[bg] = nil
				r.do(bg, codec.SubmitJobBg, "f", "w", "new")
				r.want(bg, r.full())
				r.store.open(7)
				r.lease(time.Hour)
				handle := ""
				r.do(bg, codec.SubmitJobBg, "f", "w", "new")
				r.receive(1, nil)
				if answer := r.got[bg][0]; strings.HasPrefix(answer, "JOB_CREATED ") {
					handle = r.handle(strings.TrimPrefix(answer, "JOB_CREATED "))
				}
				if run := store.RunOf(r.s.parseHandle([]byte(handle))); run != 7 {
					t.Errorf("the new job has handle %q, of run %d", handle, run)
				}
				for _, p := range []*Peer{bg, fg, w} {
					if !p.Gone() {
						r.leave(p)
					}
				}
				r.store.events.Lease(store.Never)
				r.finish()
				for _, e := range r.store.entries {
					if e.gone && e.done && c.name != "it runs, and was cancelled" {
						t.Errorf("the store was told of the end of %s, which is another's", e.job.Unique)
					}
				}
			})
		})
	}
}

// listens makes a foreground client join the job.
func listens(r *rig, _, fg, _ *Peer) {
	r.do(fg, codec.SubmitJob, "f", "u", "x")
	r.want(fg, "JOB_CREATED h1")
}

// TestJoinOfOldRun: a job of a disowned run cannot be stored any more, but goes on.
func TestJoinOfOldRun(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, bg, w := stored(t, cfg)
		fg := r.connect()
		r.do(fg, codec.SubmitJob, "f", "u", "x")
		r.store.disown()
		r.store.open(2)
		r.do(bg, codec.SubmitJobBg, "f", "u", "x")
		r.want(bg, r.full())
		r.wantGrabs(w, "x")
		r.do(w, codec.WorkComplete, r.handle("h1"), "y")
		r.want(fg, "JOB_CREATED h1", "WORK_COMPLETE h1|y")
	})
}

// A client joined a job that was disowned and ended here. When this broker adopts the job it has the same number, and is
// another one: the end of the client's connection does not concern it.
func TestAdoptedAgain(t *testing.T) {
	for _, joins := range []int{0, 1, 3} { // of others, since it came back
		bothDialects(t, func(t *testing.T, cfg Config) {
			r, bg, w := stored(t, cfg)
			before, since := r.connect(), r.connect()
			r.do(bg, codec.SubmitJobBg, "f", "u", "x")
			r.receive(1, nil)
			for range 3 {
				r.do(before, codec.SubmitJob, "f", "u", "x")
			}
			r.store.disown()
			r.wantGrabs(w, "x")
			r.do(w, codec.WorkComplete, r.handle("h1"), "y")
			again := elsewhere(1, 1, "f", "u", "x")
			again.job.Number = r.store.entries[0].job.Number
			r.store.adopt(again)
			for range joins {
				r.do(since, codec.SubmitJob, "f", "u", "x")
			}
			want := r.s.Jobs()[0].Listeners
			r.leave(before)
			r.check()
			if got := r.s.Jobs(); len(got) != 1 || got[0].Listeners != want || want != joins {
				t.Errorf("%+v, want %d listeners", got, joins)
			}
			r.wantGrabs(w, "x")
			for _, p := range []*Peer{bg, since, w} {
				r.leave(p)
			}
		})
	}
}

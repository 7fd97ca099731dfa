package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store"
)

// In these tests the store reports events that the disk engine never does, but that an engine shared by
// several brokers will.

// elsewhere is a job of another broker's run.
func elsewhere(run, count uint64, function, unique, argument string) *entry {
	return &entry{
		job: store.Job{
			Number: store.Number(run, count, store.ShardOf(function)), Function: function, Unique: unique, Priority: store.Normal,
		},
		whole: argument,
	}
}

// lease moves the end of the lease to a time after the beginning.
func (r *rig) lease(after time.Duration) { r.store.events.Lease(start.Add(after)) }

// full is the dialect's error for a submission that may be repeated later.
func (r *rig) full() string {
	return "ERROR " + r.s.dialect.QueueFull.Code + "|" + r.s.dialect.QueueFull.Text
}

// grabs makes a worker ask for a job, and returns its argument, "" for none. The job stays unfinished.
func (r *rig) grabs(w *Peer) string {
	r.Helper()
	r.do(w, codec.GrabJob)
	for len(r.fetches) > 0 {
		r.fetch(nil)
	}
	last := r.got[w][len(r.got[w])-1]
	r.got[w] = nil
	if last == "NO_JOB" {
		return ""
	}
	return last[strings.LastIndex(last, "|")+1:]
}

func (r *rig) wantGrabs(w *Peer, arguments ...string) {
	r.Helper()
	for _, want := range arguments {
		if got := r.grabs(w); got != want {
			r.Fatalf("a worker gets %.40q, want %.40q", got, want)
		}
	}
}

// TestAdoptWhileRunning: a broker takes over another one's jobs while its own clients and workers go on.
func TestAdoptWhileRunning(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "own", "own")
		r.receive(1, nil)
		r.do(c, codec.SubmitJobBg, "f", "both", "own, both")
		r.receive(1, nil)
		r.wantGrabs(w, "own", "own, both", "")
		r.do(w, codec.PreSleep)
		r.got[w], r.got[c] = nil, nil

		r.store.run = 3
		r.store.open(3) // our own numbers are newer than all adopted ones
		due := elsewhere(2, 3, "f", "due", "due")
		due.job.Due = store.Due(start.Add(5 * time.Second))
		low := elsewhere(2, 4, "f", "low", "low")
		low.job.Priority = store.Low
		retried := elsewhere(2, 5, "f", "u5", "retried")
		retried.retries = 2
		large := elsewhere(2, 6, "f", "large", largeArgument)
		older := elsewhere(0, 1, "f", "both", "older")
		if !r.store.adopt(low, elsewhere(2, 2, "f", "u2", "first"), due, retried, large, older) {
			t.Error("there is no room, and no bound")
		}
		r.want(w, "NOOP")
		r.wantGrabs(w, "first", "retried", largeArgument, "older", "low", "")
		r.at(5 * time.Second)
		r.wantGrabs(w, "due")

		// A handle or a unique id finds the job.
		handle := string(r.s.AppendHandle(nil, due.job.Number))
		r.do(c, codec.GetStatus, handle)
		r.do(c, codec.SubmitJobBg, "f", "due", "x")
		none := r.s.dialect.NoNumber
		r.want(c, "STATUS_RES h8|1|1|"+none+"|"+none, "JOB_CREATED h8")
		// Of two jobs with one unique id the newer one keeps it, and both are done.
		r.do(c, codec.SubmitJobBg, "f", "both", "x")
		if got := r.got[c]; len(got) != 1 || got[0] != "JOB_CREATED h2" {
			t.Errorf("the unique id of two jobs leads to %q, want the newer, h2", got)
		}
		for _, j := range r.s.Jobs() {
			if j.Retries == 2 != (j.Unique == "u5") {
				t.Errorf("job %s was lost %d times", j.Unique, j.Retries)
			}
		}
		r.leave(w)
		r.leave(c)
		r.finish()
	})
}

// TestAdoptWithoutRoom: the engine learns when memory is short, and when it no longer is. All jobs it passes
// are accepted.
func TestAdoptWithoutRoom(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.MaxMemory = 256 << 10
		r, _, w := stored(t, cfg)
		given, room := 0, true
		for ; room && given < 1000; given++ {
			room = r.store.adopt(elsewhere(5, uint64(given), "f", "", strings.Repeat("x", 1000)))
		}
		if room || given < 50 {
			t.Fatalf("after %d jobs of 1 KB there is room: %v, of 256 KB", given, room)
		}
		if n := len(r.s.Jobs()); n != given {
			t.Fatalf("%d jobs of %d were taken", n, given)
		}
		for range given {
			r.do(w, codec.GrabJob)
			r.do(w, codec.WorkComplete, string(r.s.AppendHandle(nil, w.doing[0].number)), "")
		}
		if !r.store.events.Adopt(nil) {
			t.Error("there is no room when all jobs are done")
		}
	})
}

// TestAdoptAgain: a job that was disowned while it ran, and comes back, is one job.
func TestAdoptAgain(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "u", "x")
		r.receive(1, nil)
		r.wantGrabs(w, "x")
		r.store.disown()
		r.store.open(2)
		e := r.store.entries[0]
		back := &entry{job: e.job, whole: e.whole}
		r.store.adopt(back)
		if n := len(r.s.Jobs()); n != 1 {
			t.Fatalf("%d jobs, want one", n)
		}
		r.leave(w)
		w = r.worker("f")
		r.wantGrabs(w, "x", "")
		r.do(w, codec.WorkComplete, r.number(0), "")
		if !back.done {
			t.Error("the store was not told of the end")
		}
	})
}

// TestAdoptWhileArgumentIsRead: a worker waits for an argument when the job is disowned and returns. The
// worker gets none, and the job is handed out again.
func TestAdoptWhileArgumentIsRead(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.MaxMemory = 1 << 20
		r, c, w := stored(t, cfg)
		r.sends(c, codec.SubmitJobBg, "f\x00u\x00"+largeArgument, true)
		r.receive(1, nil)
		r.do(w, codec.GrabJob)
		r.store.disown()
		r.store.open(2)
		e := r.store.entries[0]
		r.store.adopt(&entry{job: e.job, whole: e.whole})
		r.fetch(nil)
		r.want(w, "NO_JOB")
		r.wantGrabs(w, largeArgument)
		r.leave(w)
		r.leave(c)
		r.finish()
	})
}

// TestCancelledAndAdopted: a job cancelled here while another broker had it does not return.
func TestCancelledAndAdopted(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "u", "x")
		r.receive(1, nil)
		r.wantGrabs(w, "x")
		r.store.disown()
		r.store.open(2)
		r.cancel(r.number(0))
		e := r.store.entries[0]
		r.store.adopt(&entry{job: e.job, whole: e.whole})
		if n := len(r.store.living()); n != 0 {
			t.Errorf("%d jobs live in the store", n)
		}
		r.leave(w)
		w = r.worker("f")
		r.wantGrabs(w, "")
	})
}

// TestTaken: a submission whose unique id another broker's job has gets that job's handle.
func TestTaken(t *testing.T) {
	const other = 12345
	for _, c := range []struct {
		name     string
		meantime func(r *rig, bg, fg, w *Peer)
		answer   string
		left     int // jobs that go on
	}{
		{"alone", nil, "other", 0},
		{"the submitter leaves", func(r *rig, bg, fg, w *Peer) { r.leave(bg) }, "other", 0},
		{"joined by a second", func(r *rig, bg, fg, w *Peer) { r.do(bg, codec.SubmitJobBg, "f", "u", "x") }, "other", 0},
		{"joined by a listener", func(r *rig, bg, fg, w *Peer) { r.do(fg, codec.SubmitJob, "f", "u", "x") }, "other", 1},
		{"cancelled", func(r *rig, bg, fg, w *Peer) { r.cancel(r.number(0)) }, "own", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothDialects(t, func(t *testing.T, cfg Config) {
				r, bg, w := stored(t, cfg)
				fg := r.connect()
				r.do(bg, codec.SubmitJobBg, "f", "u", "x")
				if c.meantime != nil {
					c.meantime(r, bg, fg, w)
				}
				for len(r.store.waiting) > 0 { // the store is asked again for whoever joined
					r.receive(-1, fmt.Errorf("wrapped: %w", &store.UniqueTaken{Number: other}))
				}
				for _, answer := range r.got[bg] {
					name, _ := strings.CutPrefix(answer, "JOB_CREATED ")
					if number := r.s.parseHandle([]byte(r.handle(name))); (number == other) != (c.answer == "other") {
						t.Errorf("answered %q, job %d", answer, number)
					}
				}
				if n := len(r.owed[bg]); n > 0 {
					t.Errorf("%d submissions are not answered", n)
				}
				if n := len(r.s.Jobs()); n != c.left {
					t.Errorf("%d jobs are here, want %d", n, c.left)
				}
				for _, p := range []*Peer{bg, fg, w} {
					if !p.Gone() {
						r.leave(p)
					}
				}
				r.finish()
			})
		})
	}
}

// TestForeignStatus: GET_STATUS for another broker's job goes through the store, and answers keep the order
// of requests.
func TestForeignStatus(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "own", "x")
		r.receive(1, nil)
		handle := func(number uint64) string { return string(r.s.AppendHandle(nil, number)) }
		theirs, ended := store.Number(4, 7, 3), store.Number(4, 8, 3)
		none := r.s.dialect.NoNumber
		// Nobody shares the store: the answer is known at once.
		r.do(c, codec.GetStatus, handle(theirs))
		r.want(c, "JOB_CREATED h1", "STATUS_RES h2|0|0|"+none+"|"+none)

		r.store.foreign = map[uint64]func(store.Status){}
		r.do(c, codec.GetStatus, handle(theirs))
		r.do(c, codec.GetStatus, handle(ended))
		r.do(c, codec.GetStatus, r.handle("h1"))
		for _, nobodys := range []uint64{store.Number(1, 99, 3), store.Number(0, 1, 3), 1 << 63} { // ours, of no run, of none that can be
			r.do(c, codec.GetStatus, handle(nobodys))
		}
		if n := len(r.store.foreign); n != 2 {
			t.Errorf("the store was asked for %d jobs", n)
		}
		r.want(c, "#3", "#4", "STATUS_RES h1|1|0|"+none+"|"+none, "STATUS_RES h3|0|0|"+none+"|"+none,
			"STATUS_RES h4|0|0|"+none+"|"+none, "STATUS_RES h5|0|0|"+none+"|"+none)
		r.store.foreign[ended](store.Status{})
		r.store.events.Flushed()
		r.want(c, "STATUS_RES h6|0|0|"+none+"|"+none)
		r.store.foreign[theirs](store.Status{Known: true, Running: true, Numerator: "3", Denominator: "7"})
		r.store.events.Flushed()
		r.want(c, "STATUS_RES h2|1|1|3|7")
		// Whoever asked may be gone.
		r.do(c, codec.GetStatus, handle(theirs))
		r.leave(c)
		r.store.foreign[theirs](store.Status{Known: true})
		r.store.events.Flushed()
		r.leave(w)
		r.finish()
	})
}

// TestNumbersEnd: a shard that runs out of numbers requests another run in time, once; without one, jobs are
// refused rather than numbers reused.
func TestNumbersEnd(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		sh := r.s.shardOf([]byte("f"))
		given := map[uint64]bool{}
		submit := func(typ codec.Type) uint64 {
			before := len(r.got[c])
			r.do(c, typ, "f", "", "x")
			r.receive(-1, nil)
			name, ok := strings.CutPrefix(r.got[c][before], "JOB_CREATED ")
			if !ok {
				return 0
			}
			number := r.s.parseHandle([]byte(r.handle(name)))
			if given[number] {
				t.Fatalf("number %d is given twice", number)
			}
			given[number] = true
			return number
		}
		sh.sequence = 1<<store.CountBits + store.RenewAt - 1
		submit(codec.SubmitJobBg)
		if r.store.renewed != 0 {
			t.Error("a new run is asked for too early")
		}
		for range 3 {
			submit(codec.SubmitJob)
			submit(codec.SubmitJobBg)
		}
		if r.store.renewed != 1 {
			t.Errorf("a new run is asked for %d times", r.store.renewed)
		}
		// It does not come: the last number that a job may have, then none.
		sh.sequence = 1<<store.CountBits + store.MaxCount - 1
		if n := submit(codec.SubmitJob); store.RunOf(n) != 1 || store.CountOf(n) != store.MaxCount-1 || store.ShardOfNumber(n) != sh.index {
			t.Errorf("the last number is %d", n)
		}
		for _, typ := range []codec.Type{codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobHigh} {
			if n := submit(typ); n != 0 {
				t.Errorf("number %d was given behind the last, of run %d", n, store.RunOf(n))
			}
		}
		r.do(c, codec.SubmitJobBg, "another shard", "", "x")
		r.receive(-1, nil)
		r.store.open(2)
		if n := submit(codec.SubmitJobBg); store.RunOf(n) != 2 || store.CountOf(n) != 0 {
			t.Errorf("the first number of run 2 is %d", n)
		}
		r.leave(c)
		r.leave(w)
		r.finish()
	})
}

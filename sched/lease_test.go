package sched

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/store"
)

// TestLease: without a lease no stored job is handed out, but foreground jobs are. The next lease continues
// where the last one ended.
func TestLease(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		cfg.HandlePrefix = r.s.cfg.HandlePrefix
		r.lease(5 * time.Second)
		for _, argument := range []string{"1", "2", "3"} {
			r.do(c, codec.SubmitJobBg, "f", "", argument)
		}
		r.do(c, codec.SubmitJobLowBg, "f", "", "low")
		r.do(c, codec.SubmitJobBg, "f", "cancelled", "cancelled")
		r.receive(-1, nil)
		r.do(c, codec.SubmitJob, "f", "", "foreground")
		r.wantGrabs(w, "1")

		r.at(5 * time.Second) // the lease is over
		r.wantGrabs(w, "foreground", "")
		r.do(w, codec.PreSleep)
		if got := r.got[w]; len(got) > 0 {
			t.Errorf("a worker that goes to sleep is sent %q", got)
		}
		// What comes meanwhile is stored, and waits.
		r.do(c, codec.SubmitJobBg, "f", "", "4")
		r.receive(1, nil)
		if got := r.got[w]; len(got) != 1 || got[0] != "NOOP" {
			t.Errorf("a sleeper is sent %q", got)
		}
		r.wantGrabs(w, "")
		r.do(w, codec.PreSleep)
		for _, f := range r.s.Functions() {
			if f.Waiting != [Priorities]int{0, 4, 1} {
				t.Errorf("told of %d waiting jobs", f.Waiting)
			}
		}
		for _, j := range r.s.Jobs() {
			if j.Unique == "cancelled" {
				r.cancel(string(r.s.AppendHandle(nil, j.Number)))
			}
		}
		r.do(c, codec.SubmitJobBg, "f", "", "5") // in the queue when the lease comes

		r.receive(1, nil)
		r.lease(10 * time.Second)
		r.wantGrabs(w, "2", "3", "4", "5", "low", "")

		// A renewed lease wakes a sleeper only if there is a job.
		r.do(c, codec.SubmitJobBg, "f", "", "6")
		r.receive(1, nil)
		r.at(10 * time.Second)
		r.wantGrabs(w, "")
		r.do(w, codec.PreSleep)
		r.lease(20 * time.Second)
		r.want(w, "NOOP")
		r.wantGrabs(w, "6")
		r.do(w, codec.PreSleep)
		r.store.events.Lease(store.Never)
		r.want(w)
		r.leave(w)
		r.leave(c)
		r.finish()
	})
}

// TestLeaseOfMany: however many stored jobs wait, no call shelves all of them under one lock, and none is
// lost or out of order.
func TestLeaseOfMany(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r := newRig(t, cfg)
		fake := newFakeStore()
		for n := range uint64(2*shelveTurn + 100) {
			fake.loaded = append(fake.loaded, elsewhere(0, n+1, "f", "", strconv.Itoa(int(n))))
		}
		r.attach(fake)
		c, w := r.connect(), r.worker("f")
		r.lease(0)
		r.do(c, codec.SubmitJob, "f", "", "foreground")
		calls, put := 0, len(fake.loaded)
		for again := true; again; calls++ {
			var fx Effects
			r.s.Handle(w, codec.GrabJob, payload.View{}, r.now, &fx)
			if again = fx.Again; again && fx.Work > callJobs {
				t.Fatalf("one call does the work of %d packets", fx.Work)
			}
			r.carry(&fx)
		}
		if calls != put/callJobs+1 {
			t.Errorf("%d jobs were put aside in %d calls", put, calls)
		}
		if got := r.got[w]; len(got) != 1 || !strings.HasSuffix(got[0], "|foreground") {
			t.Errorf("a worker gets %q", got)
		}
		// A worker asks between all steps of the renewal, and keeps asking.
		var fx Effects
		asking, asked, next := false, 0, 0
		ask := func() { // without the rig, which looks at all jobs each time
			if asking {
				return
			}
			asking = true
			asked++
			r.s.Handle(w, codec.GrabJob, payload.View{}, r.now, &fx)
			if fx.Packets[0].Type == codec.JobAssign {
				if got, want := string(fx.Packets[0].Body.Append(nil)), strconv.Itoa(next); got != want {
					t.Fatalf("a worker gets %q, want %s", got, want)
				}
				fx.Packets[0].Body.Release()
				r.s.Handle(w, codec.WorkComplete, payload.Borrow([]byte(r.number(next)+"\x00")), r.now, &fx)
				next++
			}
			fx.Reset()
			asking = false
		}
		r.s.cfg.Step = ask
		r.store.events.Lease(store.Never)
		r.s.cfg.Step = nil
		if asked < shardCount+2 {
			t.Errorf("the worker was let in %d times", asked)
		}
		for range len(fake.loaded) {
			ask()
		}
		if next != len(fake.loaded) {
			t.Errorf("%d jobs were done, want %d", next, len(fake.loaded))
		}
		r.leave(w)
		r.leave(c)
		r.finish()
	})
}

// TestNoLeaseAtFirst: jobs may be adopted before the first lease.
func TestNoLeaseAtFirst(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r := newRig(t, cfg)
		r.store = newFakeStore()
		r.s.Keep(r.store)
		r.store.events = (*rigEvents)(r)
		c, w := r.connect(), r.worker("f")
		// Nothing can be stored before there is a run; foreground jobs are served.
		r.store.run = 9
		r.do(c, codec.SubmitJobBg, "f", "", "x")
		r.do(c, codec.SubmitJob, "f", "u", "foreground")
		r.do(c, codec.SubmitJobBg, "f", "u", "joins")
		r.want(c, r.full(), "JOB_CREATED h1", r.full())
		r.store.adopt(elsewhere(3, 1, "f", "", "adopted"))
		r.wantGrabs(w, "foreground", "")
		r.store.open(9)
		r.do(c, codec.SubmitJobBg, "f", "", "mine")
		r.receive(1, nil)
		r.wantGrabs(w, "")
		r.lease(time.Hour)
		r.wantGrabs(w, "adopted", "mine", "")
		r.store.events.Lease(store.Never)
		r.leave(w)
		r.leave(c)
		r.finish()
	})
}

// TestShelvedStays: a lease does not undo the end of the server.
func TestShelvedStays(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "", "x")
		r.receive(1, nil)
		r.s.Shelve()
		r.lease(time.Hour)
		r.wantGrabs(w, "")
		for _, e := range r.store.living() {
			r.cancel(string(r.s.AppendHandle(nil, e.job.Number)))
		}
	})
}

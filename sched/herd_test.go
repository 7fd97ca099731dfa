package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// herd is a Config of a dialect as a server has it without options.
func herd(d *dialect.Dialect) Config {
	return Config{Dialect: d, Wakeup: d.Wakeup, WakeupDelay: d.WakeupDelay, Herd: 16}
}

// herdInDialects runs a test in each.
func herdInDialects(t *testing.T, test func(t *testing.T, d *dialect.Dialect)) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) { test(t, d) })
	}
}

// crowd connects n workers that sleep, and does without the checks between their calls, which look at all of
// them.
func (r *rig) crowd(n int, function string) []*Peer {
	r.Helper()
	var fx Effects
	workers := make([]*Peer, n)
	for i := range workers {
		workers[i] = r.connect()
		r.s.Handle(workers[i], codec.CanDo, payload.Borrow([]byte(function)), r.now, &fx)
		r.s.Handle(workers[i], codec.PreSleep, payload.View{}, r.now, &fx)
	}
	r.carry(&fx)
	return workers
}

// noops returns the workers that got a NOOP, and forgets what they got.
func (r *rig) noops(workers []*Peer) (woken []*Peer) {
	r.Helper()
	for _, p := range workers {
		for _, text := range r.got[p] {
			if text != "NOOP" {
				r.Fatalf("a sleeper got %q", text)
			}
			woken = append(woken, p)
		}
		r.got[p] = nil
	}
	return woken
}

// wantNoops has n of the workers have got a NOOP.
func (r *rig) wantNoops(what string, n int, workers []*Peer) []*Peer {
	r.Helper()
	woken := r.noops(workers)
	if len(woken) != n {
		r.Fatalf("%s: %d workers were woken, want %d", what, len(woken), n)
	}
	return woken
}

// TestFewSleepers: up to the bound a submission wakes as many as the reference does, above it one.
func TestFewSleepers(t *testing.T) {
	for _, tt := range []struct {
		d              *dialect.Dialect
		herd, sleepers int
		woken          int
	}{
		{dialect.Perl, 16, 16, 3}, {dialect.Perl, 16, 17, 1}, {dialect.Perl, 16, 400, 1}, {dialect.Perl, 0, 400, 3},
		{dialect.C, 16, 16, 16}, {dialect.C, 16, 17, 1}, {dialect.C, 16, 400, 1}, {dialect.C, 0, 400, 400},
	} {
		cfg := herd(tt.d)
		cfg.Herd = tt.herd
		r := newRig(t, cfg)
		workers := r.crowd(tt.sleepers, "f")
		r.submit(r.connect(), codec.SubmitJobBg, "f", "", "")
		r.wantNoops(fmt.Sprintf("%+v", tt), tt.woken, workers)
	}
	// With a delay of never nobody would be woken in place of one that does not come.
	cfg := herd(dialect.C)
	cfg.WakeupDelay = -1
	r := newRig(t, cfg)
	workers := r.sleepers(100, "f")
	r.submit(r.connect(), codec.SubmitJobBg, "f", "", "")
	r.wantNoops("delay of never", 100, workers)
}

// TestHerdByNeed: each waiting job is worth one sleeper, and one who is on the way counts until it comes.
func TestHerdByNeed(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers := r.connect(), r.sleepers(100, "f")
		busy := r.worker("f")
		r.submit(client, codec.SubmitJobBg, "f", "", "1")
		first := r.wantNoops("a job", 1, workers)[0]
		r.do(busy, codec.GrabJob) // takes it before the one that was woken for it
		r.want(busy, "JOB_ASSIGN h1|f|1")
		r.submit(client, codec.SubmitJobBg, "f", "", "2")
		r.wantNoops("one is on the way", 0, workers)
		r.submit(client, codec.SubmitJobBg, "f", "", "3")
		second := r.wantNoops("one is on the way, two wait", 1, workers)[0]
		r.do(first, codec.GrabJob)
		r.do(second, codec.GrabJob)
		r.want(first, "JOB_ASSIGN h2|f|2")
		r.want(second, "JOB_ASSIGN h3|f|3")
		r.submit(client, codec.SubmitJobBg, "f", "", "4")
		r.wantNoops("all have come", 1, workers)
	})
}

// TestHerdServesAll: a client with one job at a time wakes as many as it has jobs, however many sleep and
// whichever of them are woken.
func TestHerdServesAll(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers := r.connect(), r.sleepers(40, "f")
		for i := range 200 {
			h := r.submit(client, codec.SubmitJobBg, "f", "", "x")
			w := r.wantNoops(h, 1, workers)[0]
			r.do(w, codec.GrabJob)
			if i%3 > 0 {
				r.do(w, codec.WorkComplete, h, "")
			} else {
				r.do(w, codec.WorkFail, h)
			}
			r.do(w, codec.GrabJob)
			r.do(w, codec.PreSleep)
			r.got[w] = nil
		}
		r.until(r.now.Add(time.Minute))
		r.wantNoops("nothing to do", 0, workers)
	})
}

// TestCalledInVain: whatever a woken worker does instead of taking the job, another one is woken at once if
// it says anything, and after the delay if it says nothing.
func TestCalledInVain(t *testing.T) {
	type story struct {
		name string
		act  func(r *rig, w *Peer)
	}
	stories := []story{
		{"sleeps again", func(r *rig, w *Peer) { r.do(w, codec.PreSleep) }},
		{"leaves", func(r *rig, w *Peer) { r.leave(w) }},
		{"gives the function up", func(r *rig, w *Peer) { r.do(w, codec.CantDo, "f") }},
		{"gives all functions up", func(r *rig, w *Peer) { r.do(w, codec.ResetAbilities) }},
		{"takes a job of another function", func(r *rig, w *Peer) {
			r.submit(r.connect(), codec.SubmitJobBg, "g", "", "other")
			r.do(w, codec.GrabJob)
			r.want(w, "JOB_ASSIGN h2|g|other")
		}},
	}
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		for _, tt := range stories {
			t.Run(tt.name, func(t *testing.T) {
				cfg := herd(d)
				cfg.Assign = dialect.Registered // the last registered first: g
				r := newRig(t, cfg)
				client, workers := r.connect(), r.sleepers(100, "f", "g")
				h := r.submit(client, codec.SubmitJobBg, "f", "", "x")
				w := r.wantNoops("the job", 1, workers)[0]
				tt.act(r, w)
				r.got[w] = nil
				woken := r.noops(workers)
				took := false
				for _, p := range woken {
					r.do(p, codec.GrabJob)
					for _, text := range r.got[p] {
						took = took || text == "JOB_ASSIGN h1|f|x"
					}
				}
				if !took || len(woken) > 2 {
					t.Errorf("%s waits; woken were %d others", h, len(woken))
				}
			})
		}
	})
}

// TestCalledAndSilent: workers that were woken and say nothing are given up after the delay, and more of the
// others are woken each time: of 400 all within a second. Without the second wake-up the job would wait for
// good.
func TestCalledAndSilent(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers := r.connect(), r.crowd(400, "f")
		r.submit(client, codec.SubmitJobBg, "f", "", "x")
		r.wantNoops("the job", 1, workers)
		all := 1
		for i, want := range []int{1, 2, 3, 5, 9, 17, 33} {
			r.at(time.Duration(i+1) * 100 * time.Millisecond)
			r.wantNoops(fmt.Sprintf("delay %d", i+1), want, workers)
			all += want
		}
		r.at(1100 * time.Millisecond)
		all += len(r.noops(workers))
		if all != len(workers) {
			t.Fatalf("%d of %d were woken within a second", all, len(workers))
		}
		if len(r.timers) != 0 {
			t.Errorf("%d timers are set, and nobody sleeps", len(r.timers))
		}
		// Those who answer late find everything as if nothing had happened.
		var fx Effects
		for _, w := range workers {
			r.s.Handle(w, codec.GrabJob, payload.View{}, r.now, &fx)
			r.s.Handle(w, codec.PreSleep, payload.View{}, r.now, &fx)
		}
		r.carry(&fx)
		r.want(workers[0], "JOB_ASSIGN h1|f|x")
		for _, w := range workers[1:] {
			r.want(w, "NO_JOB")
		}
		r.submit(client, codec.SubmitJobBg, "f", "", "y")
		r.wantNoops("after all have come", 1, workers)
		r.at(1200 * time.Millisecond)
		r.wantNoops("a delay later", 1, workers)
	})
}

// TestSilentBesideBusy: a worker that was woken and died does not hold up jobs while others work: after the
// delay it counts no more.
func TestSilentBesideBusy(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers, busy := r.connect(), r.sleepers(100, "f"), r.worker("f")
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.wantNoops("the first job", 1, workers) // this one is dead
		r.do(busy, codec.GrabJob)
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.wantNoops("the dead one counts as on its way", 0, workers)
		r.at(100 * time.Millisecond)
		r.wantNoops("after the delay", 1, workers)
	})
}

// TestHerdResumed: as many jobs as wait when a function is resumed wake as many workers.
func TestHerdResumed(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers := r.connect(), r.crowd(2500, "f")
		var fx Effects
		if err := r.s.PauseFunction("f", Setting{Since: r.now}, r.now, &fx); err != nil {
			t.Fatal(err)
		}
		for range 1500 {
			r.s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte("f\x00\x00x")), r.now, &fx)
		}
		r.carry(&fx)
		r.wantNoops("paused", 0, workers)
		if !r.s.ResumeFunction("f", r.now, &fx) || len(fx.Packets) > callSleepers {
			t.Fatalf("%d packets in one call", len(fx.Packets))
		}
		r.carry(&fx)
		r.until(r.now) // the rest, a call each
		r.wantNoops("resumed", 1500, workers)
	})
}

// TestHerdThroughTwoFunctions: a worker that was woken through one function is passed over by the other, and
// jobs of both are done.
func TestHerdThroughTwoFunctions(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers := r.connect(), r.sleepers(100, "f", "g")
		var woken []*Peer
		for range 20 {
			r.submit(client, codec.SubmitJobBg, "f", "", "")
			r.submit(client, codec.SubmitJobBg, "g", "", "")
			woken = append(woken, r.noops(workers)...)
		}
		if len(woken) != 40 {
			t.Fatalf("%d were woken for 40 jobs", len(woken))
		}
		for _, w := range woken {
			r.do(w, codec.GrabJob)
		}
		if queued, _ := r.s.Outstanding(); queued != 0 {
			t.Errorf("%d jobs wait", queued)
		}
	})
}

// TestWokenWhileItGoesToSleep: a worker that one function counts on to sleep, and that another one wakes on its
// way there, counts for the first no more: its next job wakes somebody at once.
func TestWokenWhileItGoesToSleep(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		var between func()
		cfg := herd(d)
		cfg.Step = func() {
			if f := between; f != nil {
				between = nil
				f()
			}
		}
		r := newRig(t, cfg)
		client, w := r.connect(), r.sleepers(1, "g", "f")[0]
		others := r.sleepers(40, "g", "f")
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.do(w, codec.GrabJob)
		r.do(w, codec.WorkComplete, string(r.s.AppendHandle(nil, w.doing[0].number)), "")
		r.do(w, codec.GrabJob) // NO_JOB: now f counts on it to sleep
		f := w.ability([]byte("f")).fn
		r.noops(others)
		r.got[w] = nil
		var fx, during Effects
		between = func() {
			if w.state.Load() != sleeping {
				t.Fatal("it does not go to sleep yet")
			}
			r.s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte("g\x00\x00x")), r.now, &during)
		}
		r.s.Handle(w, codec.PreSleep, payload.View{}, r.now, &fx)
		if w.state.Load() != woken {
			t.Fatal("g did not wake it")
		}
		if f.called != 0 {
			t.Errorf("f counts on %d workers", f.called)
		}
	})
}

// TestDeclaredInSleep: a sleeper that declares a function whose job waits already is woken after the delay, unless
// a number was given for how many are woken: then as in the reference nobody is, until the next job.
func TestDeclaredInSleep(t *testing.T) {
	for _, tt := range []struct{ herd, woken int }{{16, 1}, {0, 0}} {
		cfg := herd(dialect.C)
		cfg.Herd = tt.herd
		r := newRig(t, cfg)
		client, sleepers := r.connect(), r.sleepers(1, "g")
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.do(sleepers[0], codec.CanDo, "f")
		r.wantNoops("at once", 0, sleepers)
		r.until(r.now.Add(cfg.WakeupDelay))
		r.wantNoops(fmt.Sprintf("%+v: after the delay", tt), tt.woken, sleepers)
		r.until(r.now.Add(time.Minute))
		r.wantNoops("later", 0, sleepers)
		if tt.woken == 0 {
			r.submit(client, codec.SubmitJobBg, "f", "", "")
			r.wantNoops("the next job", 1, sleepers)
		}
	}
}

// TestCalledWithAJobInHand: an ALL_YOURS worker that sleeps with a job in hand, or that has not reported on one that
// timed out, gets no other. Where it was called for one, somebody else is woken at once.
func TestCalledWithAJobInHand(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait time.Duration
	}{{"in hand", 0}, {"timed out", 2 * time.Second}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, herd(dialect.Perl))
			client, busy := r.connect(), r.connect()
			r.do(busy, codec.CanDo, "f")
			r.do(busy, codec.CanDoTimeout, "g", "1")
			r.do(busy, codec.AllYours)
			r.submit(client, codec.SubmitJobBg, "g", "", "1")
			r.want(busy, "JOB_ASSIGN h1|g|1")
			r.do(busy, codec.PreSleep)
			others := r.sleepers(40, "f")
			r.until(r.now.Add(tt.wait))
			r.submit(client, codec.SubmitJobBg, "f", "", "2")
			r.want(busy)
			w := r.wantNoops("another job", 1, others)[0]
			r.do(w, codec.GrabJob)
			r.want(w, "JOB_ASSIGN h2|f|2")
		})
	}
}

// TestHerdAllocatesNothing: to wake one of many takes no memory, and no look at the others.
func TestHerdAllocatesNothing(t *testing.T) {
	steps := 0
	cfg := herd(dialect.C)
	cfg.Step = func() { steps++ }
	r := newRig(t, cfg)
	workers := r.crowd(5000, "f")
	fn := workers[0].abilities[0].fn
	fx := Effects{Packets: make([]Packet, 0, 8), Timers: make([]Arm, 0, 8)}
	steps = 0
	allocated := testing.AllocsPerRun(100, func() {
		fn.shard.mu.Lock()
		fn.waiting[normal]++ // as if one more job waited
		fn.wakeSleepers(r.now, &fx)
		fn.shard.mu.Unlock()
		fx.Reset()
	})
	if allocated != 0 || steps != 101 || fn.called != 101 {
		t.Errorf("101 wake-ups: %v allocations each, %d steps, %d called", allocated, steps, fn.called)
	}
}

// TestAsleepSoon: a worker that did a job and was told that there is no other looks once more when it goes to
// sleep. A job that arrives before wakes nobody else, and is its next one; if it does not sleep, others are
// woken after the delay. A worker that never sleeps is not waited for.
func TestAsleepSoon(t *testing.T) {
	herdInDialects(t, func(t *testing.T, d *dialect.Dialect) {
		r := newRig(t, herd(d))
		client, workers := r.connect(), r.sleepers(40, "f")
		w, poller := r.worker("f"), r.worker("f")
		one := func(p *Peer) {
			t.Helper()
			r.do(p, codec.GrabJob)
			h, _, _ := strings.Cut(strings.TrimPrefix(r.got[p][0], "JOB_ASSIGN "), "|")
			r.do(p, codec.WorkComplete, r.handle(h), "")
			r.do(p, codec.GrabJob)
			if n := len(r.got[p]); r.got[p][n-1] != "NO_JOB" {
				t.Fatalf("got %q", r.got[p])
			}
			r.got[p] = nil
		}
		r.do(w, codec.PreSleep)
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.noops(workers)
		one(w)
		for range 3 {
			r.submit(client, codec.SubmitJobBg, "f", "", "")
			r.wantNoops("it will sleep", 0, workers)
			r.do(w, codec.PreSleep)
			r.want(w, "NOOP")
			r.wantNoops("it was woken itself", 0, workers)
			one(w)
		}
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.wantNoops("it will sleep", 0, workers)
		r.until(r.now.Add(100 * time.Millisecond))
		instead := r.wantNoops("it did not", 1, workers)[0]
		one(poller)
		r.do(instead, codec.GrabJob)
		r.want(instead, "NO_JOB")
		r.submit(client, codec.SubmitJobBg, "f", "", "")
		if len(r.noops(workers)) != 1 {
			t.Error("nobody was woken beside a worker that never sleeps")
		}
	})
}

package sched

import (
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// sleepers connects workers that sleep.
func (r *rig) sleepers(n int, functions ...string) []*Peer {
	var all []*Peer
	for range n {
		p := r.worker(functions...)
		r.do(p, codec.PreSleep)
		all = append(all, p)
	}
	return all
}

// awakened returns which of the workers got a NOOP, as a text of their numbers from 1 on.
func (r *rig) awakened(workers []*Peer) (which string) {
	for i, p := range workers {
		for _, text := range r.got[p] {
			if text != "NOOP" {
				r.Fatalf("worker %d got %q", i+1, text)
			}
			which += string(rune('1' + i))
		}
		r.got[p] = nil
	}
	return which
}

// TestWakeCount: so many for a job, and again each delay while jobs wait.
func TestWakeCount(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		wakeup int
		delay  time.Duration
		awoken []string // at 0, 99, 100, 200, 300 ms
	}{
		{3, 100 * ms, []string{"123", "", "456", "78", ""}},
		{1, 100 * ms, []string{"1", "", "2", "3", "4"}},
		{1, 50 * ms, []string{"1", "2", "3", "45", "67"}},
		{0, 100 * ms, []string{"", "", "", "", ""}},
		{-1, 100 * ms, []string{"12345678", "", "", "", ""}},
		{3, -1, []string{"123", "", "", "", ""}},
		{3, 0, []string{"123", "45678", "", "", ""}},
	}
	for _, tt := range tests {
		cfg := perl()
		cfg.Wakeup, cfg.WakeupDelay = tt.wakeup, tt.delay
		r := newRig(t, cfg)
		workers := r.sleepers(8, "f")
		client := r.connect()
		r.do(client, codec.SubmitJob, "f", "", "x")
		for i, at := range []time.Duration{-1, 99 * ms, 100 * ms, 200 * ms, 300 * ms} {
			if at >= 0 {
				r.at(at)
			}
			if got := r.awakened(workers); got != tt.awoken[i] {
				t.Errorf("wakeup %d, delay %v: at %v woke %q, want %q", tt.wakeup, tt.delay, max(at, 0), got, tt.awoken[i])
			}
		}
	}
}

// TestWakeEnds: once the job is taken, no more are woken; the next job begins anew.
func TestWakeEnds(t *testing.T) {
	cfg := perl()
	cfg.Wakeup = 1
	r := newRig(t, cfg)
	workers := r.sleepers(4, "f")
	client := r.connect()
	r.submit(client, codec.SubmitJob, "f", "", "x")
	r.want(workers[0], "NOOP")
	r.do(workers[0], codec.GrabJob)
	r.want(workers[0], "JOB_ASSIGN h1|f|x")
	r.at(time.Second)
	if got := r.awakened(workers[1:]); got != "" {
		t.Errorf("woke %q for a job that is taken", got)
	}
	if len(r.timers) != 0 {
		t.Errorf("%d timers are set", len(r.timers))
	}
	r.submit(client, codec.SubmitJob, "f", "", "x")
	r.at(1100 * time.Millisecond)
	if got := r.awakened(workers); got != "23" {
		t.Errorf("woke %q, want 23", got)
	}
}

// TestWakeEach: each job wakes its own.
func TestWakeEach(t *testing.T) {
	r := newRig(t, perl())
	workers := r.sleepers(8, "f")
	client := r.connect()
	for _, want := range []string{"123", "456", "78", ""} {
		r.do(client, codec.SubmitJob, "f", "", "x")
		if got := r.awakened(workers); got != want {
			t.Errorf("woke %q, want %q", got, want)
		}
	}
}

// TestWorkedFirst: who did a job since its last sleep is the first to be woken.
func TestWorkedFirst(t *testing.T) {
	cfg := perl()
	cfg.Wakeup, cfg.WakeupDelay = 1, -1
	r := newRig(t, cfg)
	workers := r.sleepers(3, "f")
	client := r.connect()
	for range 3 {
		h := r.submit(client, codec.SubmitJobBg, "f", "", "x")
		if got := r.awakened(workers); got != "1" {
			t.Fatalf("woke %q, want the one that worked", got)
		}
		r.do(workers[0], codec.GrabJob)
		r.do(workers[0], codec.WorkComplete, h, "")
		r.do(workers[0], codec.GrabJob)
		r.do(workers[0], codec.PreSleep)
		r.got[workers[0]] = nil
	}
	// One that got nothing stands behind.
	r.submit(client, codec.SubmitJobBg, "f", "", "x")
	other := r.worker("f")
	r.do(other, codec.GrabJob)
	r.got[other], r.got[workers[0]] = nil, nil
	r.do(workers[0], codec.GrabJob)
	r.want(workers[0], "NO_JOB")
	r.do(workers[0], codec.PreSleep)
	r.submit(client, codec.SubmitJobBg, "f", "", "x")
	if got := r.awakened(workers); got != "2" {
		t.Errorf("woke %q, want 2", got)
	}
}

// TestOneNoop: a sleep is worth one NOOP, however many jobs come and through whichever function.
func TestOneNoop(t *testing.T) {
	r := newRig(t, perl())
	w := r.sleepers(1, "f", "g", "h")[0]
	client := r.connect()
	for _, f := range []string{"g", "f", "g", "h"} {
		r.submit(client, codec.SubmitJobBg, f, "", "")
	}
	r.want(w, "NOOP")
	r.do(w, codec.PreSleep)
	r.want(w, "NOOP")
	r.do(w, codec.PreSleep)
	r.do(w, codec.PreSleep)
	r.want(w, "NOOP", "NOOP")
	// One that asks of its own accord is awake; the NOOP goes to another.
	cfg := perl()
	cfg.Wakeup = 1
	r = newRig(t, cfg)
	two := r.sleepers(2, "f", "g")
	client = r.connect()
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	if got := r.awakened(two); got != "1" {
		t.Fatalf("woke %q", got)
	}
	r.do(two[1], codec.GrabJob)
	r.want(two[1], "JOB_ASSIGN h1|f|")
	r.do(two[0], codec.GrabJob)
	r.do(two[0], codec.PreSleep)
	r.submit(client, codec.SubmitJobBg, "g", "", "")
	r.want(two[0], "NO_JOB", "NOOP")
	r.want(two[1])
}

// TestRepeatedSleep: PRE_SLEEP twice is one sleep.
func TestRepeatedSleep(t *testing.T) {
	r := newRig(t, perl())
	w := r.sleepers(1, "f", "g")[0]
	for range 5 {
		r.do(w, codec.PreSleep)
	}
	client := r.connect()
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.submit(client, codec.SubmitJobBg, "g", "", "")
	r.want(w, "NOOP")
}

// TestSleeperLosesAbility: CANT_DO and RESET_ABILITIES take a worker from the sleepers of that function.
func TestSleeperLosesAbility(t *testing.T) {
	cfg := perl()
	cfg.Wakeup, cfg.WakeupDelay = 1, -1
	r := newRig(t, cfg)
	workers := r.sleepers(3, "f", "g")
	client := r.connect()
	r.do(workers[0], codec.CantDo, "f")
	r.do(workers[1], codec.ResetAbilities)
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	if got := r.awakened(workers); got != "3" {
		t.Errorf("woke %q for f, want 3", got)
	}
	r.submit(client, codec.SubmitJobBg, "g", "", "")
	if got := r.awakened(workers); got != "1" {
		t.Errorf("woke %q for g, want 1", got)
	}
	// The function is gone with its last worker, and may come again.
	r.submit(client, codec.SubmitJobBg, "new", "", "")
	w := r.worker("new")
	r.do(w, codec.GrabJob)
	h := r.handle("h3")
	r.do(w, codec.WorkComplete, h, "")
	r.do(w, codec.PreSleep)
	r.do(w, codec.CantDo, "new")
	if _, ok := r.s.shardOf([]byte("new")).functions["new"]; ok {
		t.Error("a function that nobody needs is kept")
	}
	r.do(w, codec.CanDo, "new")
	r.do(w, codec.PreSleep)
	r.submit(client, codec.SubmitJobBg, "new", "", "")
	r.want(w, "JOB_ASSIGN h3|new|", "NOOP")
}

// TestDroppedFunctionTimer: the timer of a function that was dropped does no harm to the one of the same name
// that came after it.
func TestDroppedFunctionTimer(t *testing.T) {
	cfg := perl()
	cfg.Wakeup = 1
	r := newRig(t, cfg)
	client := r.connect()
	old := r.sleepers(2, "f")
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.want(old[0], "NOOP")
	r.do(old[0], codec.GrabJob)
	r.leave(old[0])
	r.leave(old[1])
	if c := r.s.Count(); c.Functions != 0 || len(r.timers) != 1 {
		t.Fatalf("%+v, %d timers", c, len(r.timers))
	}
	r.at(50 * time.Millisecond)
	fresh := r.sleepers(3, "f")
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	for at, want := range map[time.Duration]string{50: "1"} {
		if got := r.awakened(fresh); got != want {
			t.Errorf("at %d ms woke %q, want %q", at, got, want)
		}
	}
	r.at(100 * time.Millisecond) // the old one fires
	if got := r.awakened(fresh); got != "" {
		t.Errorf("at 100 ms woke %q", got)
	}
	r.at(150 * time.Millisecond)
	if got := r.awakened(fresh); got != "2" {
		t.Errorf("at 150 ms woke %q, want 2", got)
	}
}

// TestTooEarly: a timer that fires for nothing does no harm.
func TestTooEarly(t *testing.T) {
	r := newRig(t, perl())
	client, w := r.connect(), r.connect()
	r.do(w, codec.CanDoTimeout, "f", "10")
	r.do(client, codec.SubmitJob, "f", "", "x")
	r.do(client, codec.SubmitJobEpoch, "f", "", "4000000000", "y")
	r.do(w, codec.GrabJob)
	fn := w.abilities[0].fn
	for range 3 {
		for _, timer := range []*Timer{&w.limit, &fn.wakeTimer, &fn.shard.delayTimer} {
			r.fire(timer)
		}
	}
	r.want(client, "JOB_CREATED h1", "JOB_CREATED h2")
	r.want(w, "JOB_ASSIGN h1|f|x")
	r.at(10 * time.Second)
	r.want(client, "WORK_FAIL h1")
	r.leave(w)
	r.fire(&w.limit)
	r.fire(&fn.wakeTimer)
	r.want(client)
}

// TestSleepBesideJoin has a worker wake up and go to sleep over and over while submissions join a
// job that runs: each wakes, though nothing is queued. Whatever the moment, a worker that sleeps must
// stand among the sleepers.
func TestSleepBesideJoin(t *testing.T) {
	r := newRig(t, perl())
	client, busy := r.connect(), r.worker("f")
	r.do(client, codec.SubmitJob, "f", "u", "x")
	r.do(busy, codec.GrabJob)
	sleeper := r.worker("f")

	const times = 100_000
	var wg sync.WaitGroup
	wg.Go(func() {
		var fx Effects
		for range times {
			r.s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte("f\x00u\x00x")), r.now, &fx)
			fx.Reset()
		}
	})
	wg.Go(func() {
		var fx Effects
		a := sleeper.abilities[0]
		for range times {
			r.s.Handle(sleeper, codec.PreSleep, payload.View{}, r.now, &fx)
			a.fn.shard.mu.Lock()
			lost := sleeper.state.Load() == sleeping && !a.listed.Load()
			a.fn.shard.mu.Unlock()
			if lost {
				t.Error("a worker sleeps and is not among the sleepers")
				return
			}
			fx.Reset()
		}
	})
	wg.Wait()
	r.check()
}

// TestFallsAsleepMeanwhile: a worker goes to sleep at the moment when its old entry is met, and the job's
// wake-ups are used up. It is woken, because its entry is gone; and nobody else is.
func TestFallsAsleepMeanwhile(t *testing.T) {
	var meanwhile func()
	cfg := perl()
	cfg.Wakeup, cfg.WakeupDelay = 1, -1
	cfg.Step = func() {
		if meanwhile != nil {
			meanwhile()
		}
	}
	r := newRig(t, cfg)
	client := r.connect()
	first, between, others := r.sleepers(1, "f")[0], r.sleepers(1, "f", "g")[0], r.sleepers(3, "f")
	r.submit(client, codec.SubmitJobBg, "g", "", "")
	r.want(between, "NOOP") // it is awake, and still among the sleepers of f
	meanwhile = func() {
		if !between.abilities[0].listed.Load() {
			between.state.Store(sleeping)
		}
	}
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	meanwhile = nil
	r.want(first, "NOOP")
	r.want(between, "NOOP")
	if got := r.awakened(others); got != "" {
		t.Errorf("woke %q, too", got)
	}
}

// TestAbilityWhileAsleep: in dialect c a function declared in its sleep wakes a worker with its next job;
// with a bound on wake-ups the timer counts such a worker, too.
func TestAbilityWhileAsleep(t *testing.T) {
	for _, wakeup := range []int{-1, 1} {
		cfg := Config{Dialect: dialect.C, Wakeup: wakeup, WakeupDelay: 100 * time.Millisecond}
		r := newRig(t, cfg)
		client := r.connect()
		r.submit(client, codec.SubmitJobBg, "f", "", "1")
		r.submit(client, codec.SubmitJobBg, "g", "", "1")
		w := r.sleepers(1, "other")[0]
		r.do(w, codec.CanDo, "f")
		r.do(w, codec.CanDoTimeout, "g", "60000")
		r.want(w) // no NOOP for jobs that were there before
		if wakeup > 0 {
			r.at(100 * time.Millisecond)
		} else {
			r.at(time.Minute)
			r.want(w)
			r.submit(client, codec.SubmitJobBg, "g", "", "2")
		}
		r.want(w, "NOOP")
	}
}

// TestRepeatedAbilityFirst: in dialect c a function declared again is the one registered last.
func TestRepeatedAbilityFirst(t *testing.T) {
	r := newRig(t, Config{Dialect: dialect.C, Wakeup: -1})
	client, w := r.connect(), r.worker("f", "g", "h")
	for _, again := range []string{"f", "g", "g", "h", "f"} {
		for _, f := range []string{"f", "g", "h"} {
			r.do(client, codec.SubmitJobBg, f, "", "")
		}
		r.do(w, codec.CanDo, again)
		r.got[w] = nil
		r.do(w, codec.GrabJob)
		if got := r.got[w]; len(got) != 1 || !strings.HasSuffix(got[0], "|"+again+"|") {
			t.Errorf("after CAN_DO of %s: %q", again, got)
		}
	}
}

package sched

import (
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/store"
)

// statsOf returns a function's statistics; false: it is unknown.
func (r *rig) statsOf(function string) (FunctionStats, bool) {
	r.Helper()
	walk := r.s.ScanFunctions()
	var all []FunctionStats
	for more := true; more; {
		all, more = walk.Next(all)
	}
	for _, st := range all {
		if st.Name == function {
			return st, true
		}
	}
	return FunctionStats{}, false
}

// TestOutcomes brings a job to each of its ends, and checks the counters.
func TestOutcomes(t *testing.T) {
	submitted := func(r *rig, c, w *Peer) { r.do(c, codec.SubmitJob, "f", "u", "x") }
	running := func(r *rig, c, w *Peer) { submitted(r, c, w); r.do(w, codec.GrabJob) }
	isStored := func(r *rig, c, w *Peer) { r.do(c, codec.SubmitJobBg, "f", "u", "x"); r.receive(-1, nil) }
	says := func(types ...codec.Type) func(r *rig, c, w *Peer) {
		return func(r *rig, c, w *Peer) {
			for _, typ := range types {
				args := []string{r.handle("h1"), ""}
				if typ == codec.WorkFail {
					args = args[:1]
				}
				r.do(w, typ, args...)
			}
		}
	}
	for _, c := range []struct {
		name    string
		dialect *dialect.Dialect // nil: perl
		before  func(r *rig, c, w *Peer)
		end     func(r *rig, c, w *Peer)
		want    Outcome
	}{
		{"done", nil, running, says(codec.WorkComplete), Complete},
		{"done after an exception", nil, running, says(codec.WorkException, codec.WorkComplete), Complete},
		{"failed", nil, running, says(codec.WorkFail), Fail},
		{"exception and failed", nil, running, says(codec.WorkException, codec.WorkFail), Exception},
		{"exception alone", nil, running, func(r *rig, c, w *Peer) {
			says(codec.WorkException)(r, c, w)
			r.do(w, codec.GrabJob)
		}, Exception},
		{"exception, dialect c", dialect.C, running, says(codec.WorkException), Exception},
		{"out of time", nil, func(r *rig, c, w *Peer) {
			r.do(w, codec.CanDoTimeout, "f", "1")
			running(r, c, w)
		}, func(r *rig, c, w *Peer) { r.at(time.Second) }, Timeout},
		{"its worker leaves", nil, running, func(r *rig, c, w *Peer) { r.leave(w) }, WorkerLost},
		{"its worker gives it up too often", dialect.C, running, func(r *rig, c, w *Peer) {
			r.s.policy.losses = 1
			r.do(w, codec.CantDo, "f")
		}, WorkerLost},
		{"cancelled", nil, submitted, func(r *rig, c, w *Peer) { r.cancel(r.handle("h1")) }, Cancelled},
		{"cancelled while it runs", nil, running, func(r *rig, c, w *Peer) {
			r.cancel(r.handle("h1"))
			says(codec.WorkComplete)(r, c, w) // which nobody counts
		}, Cancelled},
		{"evicted", nil, submitted, func(r *rig, c, w *Peer) {
			r.s.SetMaxQueue("f", bounds(1))
			r.do(c, codec.SubmitJob, "f", "", "x")
			r.cancel(r.handle("h2"))
		}, Evicted},
		{"its function is dropped", nil, submitted, func(r *rig, c, w *Peer) {
			r.do(w, codec.CantDo, "f")
			r.command(2, "f")
		}, FunctionDropped},
		{"unwanted, and its turn has come", nil, submitted, func(r *rig, c, w *Peer) {
			r.leave(c)
			r.do(w, codec.GrabJob)
		}, Unwanted},
		{"unwanted at the end of the server", nil, submitted, func(r *rig, c, w *Peer) {
			r.leave(c)
			r.s.DropUnwanted(r.now)
		}, Unwanted},
		{"not stored", nil, func(r *rig, c, w *Peer) {}, func(r *rig, c, w *Peer) {
			r.do(c, codec.SubmitJobBg, "f", "u", "x")
			r.receive(1, errDisk)
		}, NotStored},
		{"unreadable", nil, func(r *rig, c, w *Peer) {
			r.sends(c, codec.SubmitJobBg, "f\x00u\x00"+largeArgument, true)
			r.receive(1, nil)
			r.do(w, codec.GrabJob)
		}, func(r *rig, c, w *Peer) { r.fetch(errDisk) }, Unreadable},
		{"stored, done", nil, func(r *rig, c, w *Peer) { isStored(r, c, w); r.do(w, codec.GrabJob) }, says(codec.WorkComplete), Complete},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, client, w := stored(t, Config{Dialect: c.dialect, Wakeup: 3, WakeupDelay: -1, MaxMemory: 1 << 20})
			r.connectKeeper()
			c.before(r, client, w)
			before := r.s.Counters()
			c.end(r, client, w)
			after := r.s.Counters()
			for o := range Outcome(Outcomes) {
				n := after.Ended[o] - before.Ended[o]
				switch {
				case o == c.want && n != 1:
					t.Errorf("%d ends as %v", n, o)
				case o != c.want && n > 0 && !(c.want == Evicted && o == Cancelled):
					t.Errorf("%d ends as %v, should be none", n, o)
				}
			}
			if st, ok := r.statsOf("f"); c.want != FunctionDropped && (!ok || st.Ended != after.Ended) {
				t.Errorf("the function counts %v, the server %v", st.Ended, after.Ended)
			}
		})
	}
}

// connectKeeper keeps f known by a bound, so that its counters stay; the bound is for a priority that the
// tests do not use.
func (r *rig) connectKeeper() {
	b := bounds(-1)
	b[low] = 1 << 20
	r.s.SetMaxQueue("f", b)
	r.s.CreateFunction("f")
}

// TestSubmissionsAreCounted covers every result of a submission.
func TestSubmissionsAreCounted(t *testing.T) {
	r, c, w := stored(t, perl())
	r.do(c, codec.SubmitJob, "f", "u", "x")
	r.do(c, codec.SubmitJob, "f", "u", "x")
	r.do(c, codec.SubmitJobBg, "f", "u", "x")
	r.do(c, codec.SubmitJobBg, "f", "v", "x")
	r.receive(-1, nil)
	r.do(c, codec.SubmitJobBg, "f", "v", "x")
	r.s.SetMaxQueue("f", bounds(0))
	r.do(c, codec.SubmitJob, "f", "", "x")
	r.s.SetMaxQueue("f", bounds(-1))
	r.store.refuse = store.ErrFailed
	r.do(c, codec.SubmitJobBg, "f", "w", "x")
	r.store.refuse = nil
	r.do(w, codec.GrabJob)
	r.leave(w)
	w = r.worker("f")
	r.do(w, codec.GrabJob)
	want := Counters{Foreground: 2, Background: 3, Coalesced: 3, HandedOut: 2, PutBack: 1}
	want.Refused[QueueFull], want.Refused[StoreFails] = 1, 1
	if got := r.s.Counters(); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if st, _ := r.statsOf("f"); st.Counters != want {
		t.Errorf("function\n got %+v\nwant %+v", st.Counters, want)
	}
	for range 2 { // what was put back is behind the other
		r.do(w, codec.GrabJob)
	}
	r.do(w, codec.WorkComplete, r.handle("h1"), "")
	r.do(w, codec.WorkComplete, r.handle("h2"), "")
	r.leave(w)
	if _, known := r.statsOf("f"); known {
		t.Fatal("a function that nobody needs is known")
	}
	want.HandedOut++
	want.Ended[Complete] = 2
	if got := r.s.Counters(); got != want {
		t.Errorf("after the function was forgotten\n got %+v\nwant %+v", got, want)
	}

	// Jobs that the store has at the next start are counted as adopted.
	r.do(c, codec.SubmitJobBg, "f", "y", "x")
	r.receive(-1, nil)
	after := &fakeStore{run: 2, numbers: r.store.numbers}
	for _, e := range r.store.living() {
		after.loaded = append(after.loaded, &entry{job: e.job, whole: e.whole, state: entryAcked})
	}
	r = newRig(t, perl())
	r.attach(after)
	if got := r.s.Counters(); got != (Counters{Adopted: 1}) {
		t.Errorf("after a start %+v", got)
	}
}

// TestTimes goes through the times of a job that is delayed, put back, and done.
func TestTimes(t *testing.T) {
	cfg := Config{Dialect: dialect.C, Wakeup: 3, WakeupDelay: -1, Metrics: &MetricsConfig{}}
	r := newRig(t, cfg)
	c, w := r.connect(), r.worker("f")
	oldest := func(want time.Duration) {
		t.Helper()
		st, _ := r.statsOf("f")
		if want < 0 && !st.Oldest.IsZero() || want >= 0 && !st.Oldest.Equal(start.Add(want)) {
			t.Errorf("the oldest job waits since %v, want %v", st.Oldest.Sub(start), want)
		}
	}
	times := func(waited, ran, lived time.Duration) {
		t.Helper()
		if got := r.times(); got != [timeKinds]time.Duration{waited, ran, lived} {
			t.Errorf("waited, ran, lived: %v, want %v, %v, %v", got, waited, ran, lived)
		}
	}
	r.at(1 * second)
	r.do(c, codec.SubmitJobEpoch, "f", "", (&lifeRig{}).soon(), "x") // due at 5 s
	oldest(-1)
	if st, _ := r.statsOf("f"); st.Delayed[normal] != 1 || st.Waiting[normal] != 1 {
		t.Errorf("%d delayed of %d that wait", st.Delayed[normal], st.Waiting[normal])
	}
	r.at(6 * second)
	oldest(5 * second)
	r.do(c, codec.SubmitJobBg, "f", "", "younger")
	r.at(7 * second)
	r.do(w, codec.GrabJob)
	times(2*second, 0, 0)
	oldest(6 * second)
	r.at(10 * second)
	r.leave(w) // put back: it is behind the younger one, but has waited longer
	times(2*second, 3*second, 0)
	oldest(5 * second)
	w = r.worker("f")
	r.at(12 * second)
	r.do(w, codec.GrabJob)
	times(8*second, 3*second, 0) // the younger one waited 6 s
	r.do(w, codec.WorkComplete, r.handle("h2"), "")
	times(8*second, 3*second, 6*second)
	r.do(w, codec.GrabJob)
	times(10*second, 3*second, 6*second) // 2 s since it was put back
	r.at(20 * second)
	r.do(w, codec.WorkComplete, r.handle("h1"), "")
	times(10*second, 11*second, 25*second)
	oldest(-1)
}

// times returns the sums of all times, by kind.
func (r *rig) times() (sums [timeKinds]time.Duration) {
	for i, h := range r.s.Metrics().Times {
		sums[i] = time.Duration(h.Sum)
	}
	return sums
}

// TestOldestOfNewestFirst: if jobs of high priority are handed out newest first, the oldest is last.
func TestOldestOfNewestFirst(t *testing.T) {
	r := newRig(t, perl())
	c := r.connect()
	for i := range 3 {
		r.at(time.Duration(i) * second)
		r.do(c, codec.SubmitJobHighBg, "f", "", "x")
	}
	if st, _ := r.statsOf("f"); !st.Oldest.Equal(start) {
		t.Errorf("the oldest job waits since %v", st.Oldest)
	}
}

// TestEarlierNow: the turn of another loop began before the job was submitted, and no time is negative.
func TestEarlierNow(t *testing.T) {
	r := newRig(t, Config{Metrics: &MetricsConfig{}, WakeupDelay: -1})
	c, w := r.connect(), r.worker("f")
	r.at(10 * second)
	r.do(c, codec.SubmitJob, "f", "", "x")
	r.now = r.now.Add(-time.Second)
	r.do(w, codec.GrabJob)
	r.now = r.now.Add(-time.Second)
	r.do(w, codec.WorkComplete, r.handle("h1"), "")
	if got := r.times(); got != [timeKinds]time.Duration{} {
		t.Errorf("waited, ran, lived: %v", got)
	}
}

// TestNames: each outcome and refusal has a name of its own.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for o := range Outcome(Outcomes) {
		seen[o.String()] = true
	}
	for r := range Refusal(Refusals) {
		seen[r.String()] = true
	}
	if len(seen) != Outcomes+Refusals || seen[""] {
		t.Errorf("%v", seen)
	}
}

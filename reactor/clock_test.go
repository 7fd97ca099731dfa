package reactor

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/test/settable"
	"gearloop/test/wire"
)

// timers returns timers of both kinds: for delayed jobs, and for limits.
func timers(n int) (all []*sched.Timer) {
	s := sched.New(sched.Config{Dialect: dialect.Perl})
	known := map[*sched.Timer]bool{}
	add := func(fx *sched.Effects) {
		for _, a := range fx.Timers {
			if !known[a.Timer] {
				known[a.Timer] = true
				all = append(all, a.Timer)
			}
		}
	}
	now := time.Now()
	for i := 0; len(all) < n; i++ { // enough functions that all shards needed are among theirs
		var fx sched.Effects
		s.Handle(&sched.Peer{}, codec.SubmitJobEpoch, payload.Borrow([]byte("f"+strconv.Itoa(i)+"\x00\x00"+strconv.FormatInt(now.Unix()+1000, 10)+"\x00")), now, &fx)
		add(&fx)
	}
	for len(all) < 2*n {
		var fx sched.Effects
		p := &sched.Peer{}
		s.Connect(p)
		s.Handle(p, codec.CanDoTimeout, payload.Borrow([]byte("f\x001")), now, &fx)
		s.Handle(p, codec.SubmitJobBg, payload.Borrow([]byte("f\x00\x00")), now, &fx)
		s.Handle(p, codec.GrabJob, payload.View{}, now, &fx)
		add(&fx)
	}
	return all
}

// TestClockOfTwoClocks: while time passes and the wall clock is set forward and back, each timer fires when
// its own clock shows its moment: not earlier, and not later than the next look at the wall clock.
func TestClockOfTwoClocks(t *testing.T) {
	all := timers(8)
	base := time.Now()
	rapid.Check(t, func(t *rapid.T) {
		for _, timer := range all {
			timer.Index = 0
		}
		k := newClock(&Server{})
		var elapsed, wall time.Duration // what the clocks show
		at := map[*sched.Timer]time.Duration{}
		now := func() time.Time { return settable.By(base.Add(elapsed), wall-elapsed) }
		shows := func(timer *sched.Timer) time.Duration {
			if timer.ByDate() {
				return wall
			}
			return elapsed
		}
		look := func() {
			due, wait := k.due(now(), nil)
			for _, timer := range due {
				if moment, set := at[timer]; !set || moment > shows(timer) {
					t.Fatalf("a timer (by date: %v) for %v fired at %v", timer.ByDate(), moment, shows(timer))
				}
				delete(at, timer)
			}
			for timer, moment := range at {
				left := moment - shows(timer)
				if left <= 0 || wait > left || timer.ByDate() && wait > wallLook {
					t.Fatalf("a timer (by date: %v) has %v to go, and the next look is in %v", timer.ByDate(), left, wait)
				}
			}
			if k.count() != len(at) {
				t.Fatalf("%d timers are set, should be %d", k.count(), len(at))
			}
		}
		duration := func(what string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, what)) * time.Second
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				timer := all[rapid.IntRange(0, len(all)-1).Draw(t, "timer")]
				moment := shows(timer) + duration("in", 10000)
				if old, set := at[timer]; !set || moment < old {
					at[timer] = moment
				}
				if timer.ByDate() {
					k.set(sched.Arm{Timer: timer, At: base.Round(0).Add(moment)})
				} else {
					k.set(sched.Arm{Timer: timer, At: settable.By(base.Add(moment), wall-elapsed)})
				}
			},
			"stop": func(t *rapid.T) {
				timer := all[rapid.IntRange(0, len(all)-1).Draw(t, "timer")]
				k.set(sched.Arm{Timer: timer})
				delete(at, timer)
			},
			"pass": func(t *rapid.T) {
				d := duration("time", 1000)
				elapsed += d
				wall += d
			},
			"forward": func(t *rapid.T) { wall += duration("by", 20000) },
			"back":    func(t *rapid.T) { wall -= duration("by", 20000) },
			"":        func(*rapid.T) { look() },
		})
		for timer := range at {
			k.set(sched.Arm{Timer: timer})
		}
		if i := slices.IndexFunc(all, func(timer *sched.Timer) bool { return timer.Index != 0 }); i >= 0 {
			t.Fatal("a timer that is not set has a place")
		}
	})
}

// TestClockSetBack: a job that waits for a wall clock which was set back delays neither limits nor further
// wake-ups.
func TestClockSetBack(t *testing.T) {
	clock := new(settable.Clock)
	r := newRig(t, func(s *setup) { s.now, s.Sched.Wakeup = clock.Now, 1 })
	client, worker := r.dial(), r.dial()
	first, second := r.worker("g"), r.worker("g")
	epoch := client.Submit(codec.SubmitJobEpoch, "f", "", strconv.FormatInt(time.Now().Unix()+600, 10)+"\x00")
	worker.Send(codec.CanDoTimeout, "slow", "2.5")
	slow := client.Submit(codec.SubmitJob, "slow", "", "")
	worker.Grab()
	for _, w := range []*wire.Conn{first, second} {
		w.Send(codec.PreSleep)
		w.Sync()
	}
	clock.Set(-time.Hour)
	client.Submit(codec.SubmitJobBg, "g", "", "")
	first.Want(codec.Noop)
	second.Want(codec.Noop)
	client.Want(codec.WorkFail, slow)
	client.Send(codec.GetStatus, epoch)
	client.Want(codec.StatusRes, epoch, "1", "0", "", "")
	r.wantDelayed(t, 1)

	clock.Set(time.Hour)
	r.wantDelayed(t, 0)
}

// TestClockSetForward: when the wall clock is set forward, or the machine resumes, jobs that have become due
// do not wait for the next limit.
func TestClockSetForward(t *testing.T) {
	clock := new(settable.Clock)
	r := newRig(t, func(s *setup) { s.now = clock.Now })
	client, worker, sleeper := r.dial(), r.dial(), r.worker("f")
	worker.Send(codec.CanDoTimeout, "slow", "1000")
	client.Submit(codec.SubmitJob, "slow", "", "")
	worker.Grab()
	client.Submit(codec.SubmitJobEpoch, "f", "", strconv.FormatInt(time.Now().Unix()+7200, 10)+"\x00")
	sleeper.Send(codec.PreSleep)
	sleeper.Sync()
	clock.Set(3 * time.Hour)
	sleeper.Want(codec.Noop)
	if n := r.sched.Count(); n.Running != 1 || n.Queued != 1 {
		t.Errorf("%+v: the limit ran out, or the job is not queued", n)
	}
}

// wantDelayed waits until so many jobs are delayed.
func (r *rig) wantDelayed(t *testing.T, delayed int) {
	t.Helper()
	wire.Await(t, strconv.Itoa(delayed)+" jobs are delayed", func() bool { return r.sched.Count().Delayed == delayed })
}

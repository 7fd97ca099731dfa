package sched

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// pause, close, resume and open change a setting, and carry out what that wants done.
func (r *rig) pause(function string, set Setting) {
	r.Helper()
	var fx Effects
	if err := r.s.PauseFunction(function, set, r.now, &fx); err != nil {
		r.Fatal(err)
	}
	r.carry(&fx)
}

func (r *rig) close(function string, set Setting) {
	r.Helper()
	var fx Effects
	if err := r.s.CloseFunction(function, set, r.now, &fx); err != nil {
		r.Fatal(err)
	}
	r.carry(&fx)
}

func (r *rig) resume(function string) (changed bool) {
	r.Helper()
	var fx Effects
	changed = r.s.ResumeFunction(function, r.now, &fx)
	r.carry(&fx)
	return changed
}

func (r *rig) open(function string) (changed bool) {
	r.Helper()
	var fx Effects
	changed = r.s.OpenFunction(function, &fx)
	r.carry(&fx)
	return changed
}

// No job of a paused function is handed out and no worker is woken for it; the worker's other functions go
// on. Submissions wait in order, and are handed out after resuming.
func TestPause(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		cfg := perl()
		cfg.Dialect = d
		r := newRig(t, cfg)
		client, worker := r.connect(), r.worker("f", "g")
		first := r.submit(client, codec.SubmitJobBg, "f", "", "1")
		r.at(time.Second)
		r.pause("f", Setting{By: "anna", Reason: "db down", Since: r.now})
		r.do(worker, codec.GrabJob)
		r.want(worker, "NO_JOB")
		r.do(worker, codec.PreSleep)
		r.want(worker) // and no NOOP: it would ask in vain, again and again
		second := r.submit(client, codec.SubmitJobHighBg, "f", "", "2")
		r.at(3 * time.Second)
		r.want(worker)
		r.why(second, "paused since 1 anna db down")
		r.why(first, "paused since 1 anna db down", "behind count 1")
		r.whyOf("f", "paused since 1 anna db down")
		st, ok := r.s.FunctionStats("f")
		if !ok || st.Paused == nil || st.Paused.By != "anna" || st.Closed != nil || st.Total != 2 {
			t.Errorf("shown is %+v", st)
		}

		other := r.submit(client, codec.SubmitJobBg, "g", "", "")
		r.want(worker, "NOOP")
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN "+r.names[other]+"|g|")
		r.do(worker, codec.WorkComplete, other, "")
		r.do(worker, codec.PreSleep)
		r.want(worker)

		if !r.resume("f") || r.resume("f") {
			t.Error("it is resumed more than once, or never")
		}
		r.want(worker, "NOOP")
		r.do(worker, codec.GrabJob)
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN "+r.names[second]+"|f|2", "JOB_ASSIGN "+r.names[first]+"|f|1")
		if r.s.Settings() != nil {
			t.Errorf("settings are left: %+v", r.s.Settings())
		}
	}
}

// Resuming wakes as many workers as the submissions of the waiting jobs would have, even beyond what one call
// removes from the list of sleepers.
func TestResumeWakes(t *testing.T) {
	for _, c := range []struct{ wakeup, jobs, workers, woken int }{
		{1, 1, 5, 1}, {1, 3, 5, 3}, {2, 2, 5, 4}, {3, 4, 5, 5}, {-1, 1, 5, 5}, {0, 3, 5, 0},
		{1, callSleepers + 100, callSleepers + 200, callSleepers + 100}, {1, 0, 5, 0},
	} {
		cfg := perl()
		cfg.Wakeup, cfg.WakeupDelay = c.wakeup, -1
		r := newRig(t, cfg)
		client := r.connect()
		workers := r.crowd(c.workers, "f")
		r.pause("f", Setting{})
		var fx Effects
		for range c.jobs { // without the checks in between, as crowd
			r.s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte("f\x00\x00")), r.now, &fx)
		}
		r.carry(&fx)
		r.resume("f")
		r.at(time.Second)
		woken := 0
		for _, w := range workers {
			woken += len(r.got[w])
		}
		if woken != c.woken {
			t.Errorf("%+v: %d were woken", c, woken)
		}
	}
}

// A pause ends by itself at its time, and wakes a sleeping worker. It may be extended and shortened.
func TestPauseUntil(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	r.do(worker, codec.PreSleep)
	r.pause("f", Setting{Until: start.Add(10 * time.Second)})
	h := r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.at(9 * time.Second)
	r.want(worker)
	r.pause("f", Setting{Until: start.Add(20 * time.Second)})
	r.close("f", Setting{Until: start.Add(15 * time.Second)})
	r.at(19 * time.Second)
	r.want(worker)
	r.why(h, "paused until 20")
	if st, _ := r.s.FunctionStats("f"); st.Closed != nil {
		t.Error("it is closed for too long")
	}
	r.pause("f", Setting{})
	r.pause("f", Setting{Until: start.Add(19500 * time.Millisecond)})
	r.at(19500 * time.Millisecond)
	r.want(worker, "NOOP")
	if len(r.s.Settings()) > 0 {
		t.Errorf("settings are left: %+v", r.s.Settings())
	}
	var fx Effects
	if err := r.s.PauseFunction("f", Setting{Until: r.now}, r.now, &fx); !errors.Is(err, ErrPast) {
		t.Errorf("a pause until now: %v", err)
	}
}

// Running jobs of a paused function go on; a lost one waits, and so does one that becomes due.
func TestPauseLeavesRunningJobs(t *testing.T) {
	cfg := perl()
	cfg.Dialect = dialect.C // another worker gets a job that is lost
	r := newRig(t, cfg)
	client, one, two := r.connect(), r.worker("f"), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "x")
	lost := r.submit(client, codec.SubmitJobBg, "f", "", "y")
	r.do(client, codec.SubmitJobEpoch, "f", "", fmt.Sprint(start.Unix()+1), "z")
	r.got[client] = nil
	r.do(one, codec.GrabJob)
	r.do(two, codec.GrabJob)
	r.got[one] = nil
	r.pause("f", Setting{})
	r.do(one, codec.WorkComplete, h, "done")
	r.want(client, "WORK_COMPLETE h1|done")
	r.do(one, codec.PreSleep)
	r.leave(two)
	r.at(2 * time.Second)
	r.do(one, codec.GrabJob)
	r.want(one, "NO_JOB")
	r.do(one, codec.PreSleep)
	r.want(one)
	r.why(lost, "paused")
	r.resume("f")
	r.want(one, "NOOP")
}

// A closed function accepts no submission, not even one that would join a job; existing jobs go on.
func TestClose(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "u", "x")
	r.close("f", Setting{By: "anna", Since: start})
	full := "ERROR queue_full|Job queue is full"
	for _, unique := range []string{"", "u"} {
		r.do(client, codec.SubmitJob, "f", unique, "x")
		r.do(client, codec.SubmitJobHighBg, "f", unique, "x")
		r.do(client, codec.SubmitJobEpoch, "f", unique, fmt.Sprint(start.Unix()+9), "x")
		r.want(client, full, full, full)
	}
	r.whyOf("f", "closed since 0 anna", "not_asking since 0 count 1 fd 4")
	r.why(h, "not_asking since 0 count 1 fd 4")
	st, _ := r.s.FunctionStats("f")
	if st.Refused[Closed] != 6 || st.Closed == nil || st.Total != 1 {
		t.Errorf("shown is %+v", st)
	}
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h1|f|x")
	r.do(worker, codec.WorkComplete, h, "")
	r.want(client, "WORK_COMPLETE h1|")
	if !r.open("f") || r.open("f") {
		t.Error("it is opened more than once, or never")
	}
	r.submit(client, codec.SubmitJob, "f", "u", "x")
}

// A function with a setting is known and shown even without jobs and workers, and "drop function" leaves its
// setting. Without one it is removed.
func TestSettingsKeepFunctions(t *testing.T) {
	r := newRig(t, perl())
	long := strings.Repeat("x", 2000)
	r.pause("f", Setting{By: long, Reason: long})
	r.close("f", Setting{})
	st, ok := r.s.FunctionStats("f")
	if !ok || len(st.Paused.By) != maxSettingBy || len(st.Paused.Reason) != maxSettingReason || len(r.s.Functions()) != 1 {
		t.Errorf("shown is %+v", st)
	}
	r.whyOf("f", "paused "+long[:maxSettingBy]+" "+long[:maxSettingReason], "closed", "nothing")
	var fx Effects
	if known, inUse := r.s.DropFunction("f", r.now, &fx); !known || inUse {
		t.Errorf("dropped: known %v, in use %v", known, inUse)
	}
	r.check()
	r.resume("f")
	if st, ok = r.s.FunctionStats("f"); !ok || st.Paused != nil || st.Closed == nil {
		t.Errorf("after it is resumed %+v", st)
	}
	r.open("f")
	if _, ok = r.s.FunctionStats("f"); ok || r.s.Count() != (Counts{}) {
		t.Error("it is still known")
	}
	if r.resume("f") || r.open("f") {
		t.Error("what is not known was paused or closed")
	}
}

// There is a bound of functions with settings.
func TestSettingsAreBounded(t *testing.T) {
	r := newRig(t, perl())
	var fx Effects
	for i := range maxSteered {
		if err := r.s.PauseFunction(fmt.Sprint("f", i), Setting{}, r.now, &fx); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.s.PauseFunction("one more", Setting{}, r.now, &fx); !errors.Is(err, errSettings) {
		t.Errorf("one too many: %v", err)
	}
	if err := r.s.CloseFunction("f0", Setting{}, r.now, &fx); err != nil {
		t.Errorf("one more on a function that has one: %v", err)
	}
	if n := len(r.s.Settings()); n != maxSteered || len(r.s.Functions()) != n {
		t.Errorf("%d are told", n)
	}
	r.check()
}

// A pause counts each job that it keeps from workers once: those that wait when it begins, and those that
// become ready meanwhile.
func TestHeldBack(t *testing.T) {
	cfg := perl()
	cfg.Dialect, cfg.JobRetries, cfg.Metrics = dialect.C, 5, &MetricsConfig{Functions: 1}
	r := newRig(t, cfg)
	client, worker := r.connect(), r.worker("f")
	want := uint64(0)
	check := func(when string) {
		t.Helper()
		if st, _ := r.statsOf("f"); st.HeldBack != want || r.s.Counters().HeldBack != want {
			t.Errorf("%s: %d jobs were held back and %d of all functions, want %d", when, st.HeldBack, r.s.Counters().HeldBack, want)
		}
	}
	for range 3 {
		r.do(client, codec.SubmitJobBg, "f", "", "x")
	}
	r.do(worker, codec.GrabJob)
	check("without a pause")
	r.pause("f", Setting{})
	want = 2
	check("two wait")
	r.do(client, codec.SubmitJobBg, "f", "", "x")
	want++
	check("a submission")
	r.pause("f", Setting{Reason: "another"})
	r.do(worker, codec.GrabJob)
	check("a second pause and a worker that asks")
	r.do(client, codec.SubmitJobEpoch, "f", "", fmt.Sprint(r.now.Add(second).Unix()), "x")
	check("a delayed job")
	r.at(2 * second)
	want++
	check("it is due")
	r.leave(worker)
	want++
	check("a job that is put back")
	r.resume("f")
	r.do(r.worker("f"), codec.GrabJob)
	check("resumed")
	r.pause("f", Setting{})
	want += 4
	check("paused again")
}

package sched

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// act does something with a job.
func (r *rig) act(act Act, h string) (changed bool, err error) {
	r.Helper()
	var fx Effects
	changed, err = r.s.Do(act, h, r.now, &fx)
	r.carry(&fx)
	return changed, err
}

// acts does it, and it has to be done.
func (r *rig) acts(act Act, h string) {
	r.Helper()
	if changed, err := r.act(act, h); !changed || err != nil {
		r.Errorf("%v %s: changed %v, %v", act, h, changed, err)
	}
}

// bulk goes through all jobs that are meant.
func (r *rig) bulk(w *BulkWalk) *BulkWalk {
	r.Helper()
	for more := true; more; {
		var fx Effects
		more = w.Next(r.now, &fx)
		r.carry(&fx)
	}
	return w
}

// line returns the names of the jobs of a function in the order in which they would be handed out.
func (r *rig) line(function string) string {
	sh := r.s.shardOf([]byte(function))
	var names []string
	for p := range sh.functions[function].queues {
		for j := sh.functions[function].queues[p].head; j != nil; j = j.next {
			names = append(names, r.names[string(r.s.AppendHandle(nil, j.number))])
		}
	}
	return strings.Join(names, " ")
}

// keeping is a Config that keeps the arguments of jobs that workers have.
func keepingArguments(d *dialect.Dialect) Config {
	cfg := perl()
	cfg.Dialect, cfg.KeepArguments = d, true
	return cfg
}

// A job that is taken back goes in front of all others, and another worker is woken for it. Further reports
// of the first worker are dropped without an answer; the listeners get the second worker's reports, behind
// those that the first one sent before.
func TestTakeBack(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		r := newRig(t, keepingArguments(d))
		client, first, second := r.connect(), r.worker("f"), r.worker("f")
		h := r.submit(client, codec.SubmitJob, "f", "u", "argument")
		r.do(first, codec.GrabJob)
		r.want(first, "JOB_ASSIGN h1|f|argument")
		r.do(first, codec.WorkStatus, h, "1", "2")
		r.want(client, "WORK_STATUS h1|1|2")
		r.do(second, codec.PreSleep)
		waits := r.submit(client, codec.SubmitJob, "f", "", "x")
		r.want(second, "NOOP")
		r.acts(TakeBackJob, h)
		if changed, err := r.act(TakeBackJob, h); changed || err != nil {
			t.Errorf("taken back twice: %v, %v", changed, err)
		}
		r.do(second, codec.PreSleep)
		r.want(second, "NOOP")
		r.do(second, codec.PreSleep)
		r.want(second, "NOOP") // a job waits
		r.until(r.now)
		if line := r.line("f"); line != "h1 h2" {
			t.Errorf("%s wait", line)
		}
		r.do(first, codec.WorkData, h, "late")
		r.do(first, codec.WorkComplete, h, "late")
		r.want(first)
		r.want(client)
		r.do(second, codec.GrabJobUniq)
		r.want(second, "JOB_ASSIGN_UNIQ h1|f|u|argument")
		r.do(second, codec.WorkComplete, h, "right")
		r.want(client, "WORK_COMPLETE h1|right")
		r.do(second, codec.GrabJob)
		r.want(second, "JOB_ASSIGN h2|f|x")
		r.do(second, codec.WorkComplete, waits, "")
		if c := r.s.Counters(); c.PutBack != 1 || c.HandedOut != 3 || c.Ended[Complete] != 2 {
			t.Errorf("counted %+v", c)
		}
	}
}

// Events between the request to take a job back and the worker's own goroutine win.
func TestTakeBackRaces(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *rig, h string, w *Peer)
		line string
		want string
	}{
		{"the result", func(r *rig, h string, w *Peer) { r.do(w, codec.WorkComplete, h, "x") }, "", "WORK_COMPLETE h1|x"},
		{"the failure", func(r *rig, h string, w *Peer) { r.do(w, codec.WorkFail, h) }, "", "WORK_FAIL h1"},
		{"the worker leaves", func(r *rig, h string, w *Peer) { r.leave(w) }, "h1", ""},
		{"its time is over", func(r *rig, h string, w *Peer) {
			r.now = r.now.Add(time.Minute)
			r.fire(&w.limit)
		}, "h1", ""},
		{"it is given up", func(r *rig, h string, w *Peer) { r.acts(GiveUpJob, h) }, "", "WORK_FAIL h1"},
		{"it is cancelled", func(r *rig, h string, w *Peer) { r.cancel(h) }, "", "WORK_FAIL h1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, keepingArguments(dialect.Perl))
			client, w := r.connect(), r.connect()
			r.do(w, codec.CanDoTimeout, "f", "5")
			h := r.submit(client, codec.SubmitJob, "f", "", "x")
			r.do(w, codec.GrabJob)
			r.submit(client, codec.SubmitJobBg, "f", "", "behind")
			r.acts(TakeBackJob, h)
			c.do(r, h, w)
			r.until(r.now)
			if line := strings.TrimSpace(strings.TrimSuffix(r.line("f"), "h2")); line != c.line {
				t.Errorf("%q waits, want %q", line, c.line)
			}
			if c.want == "" {
				r.want(client)
			} else {
				r.want(client, c.want)
			}
		})
	}
}

// An act in an unsuitable state is refused and changes nothing.
func TestActsInStates(t *testing.T) {
	r := newRig(t, keepingArguments(dialect.Perl))
	client, w := r.connect(), r.worker("run")
	handles := map[string]string{
		"queued":  r.submit(client, codec.SubmitJobBg, "wait", "", ""),
		"delayed": r.submit(client, codec.SubmitJobEpoch, "late", "", fmt.Sprint(r.now.Unix()+100), ""),
		"running": r.submit(client, codec.SubmitJobBg, "run", "", "x"),
	}
	r.do(w, codec.GrabJob)
	for act := Act(0); act < acts; act++ {
		for name, h := range handles {
			var mayDo bool
			switch act {
			case CancelJob, ToHigh, ToNormal, ToLow:
				mayDo = name != "running"
			case GiveUpJob, TakeBackJob:
				mayDo = name == "running"
			case MoveToFront:
				mayDo = name == "queued"
			}
			if act.For(name) != mayDo {
				t.Errorf("%v is for %s jobs: %v", act, name, act.For(name))
			}
			if mayDo {
				continue
			}
			if changed, err := r.act(act, h); changed || !errors.Is(err, ErrJobState) {
				t.Errorf("%v of a %s job: %v, %v", act, name, changed, err)
			}
		}
		if changed, err := r.act(act, "H:t:999999"); changed || !errors.Is(err, ErrNoJob) {
			t.Errorf("%v of no job: %v, %v", act, changed, err)
		}
	}
	if n := len(r.s.Jobs()); n != 3 {
		t.Errorf("%d jobs are left", n)
	}
	// A job that was given up is still with its worker, and only that can be said of it.
	r.acts(GiveUpJob, handles["running"])
	for act := Act(0); act < acts; act++ {
		want := ErrGivenUp
		if act == GiveUpJob {
			want = nil
		}
		if changed, err := r.act(act, handles["running"]); changed || !errors.Is(err, want) {
			t.Errorf("%v of a job that was given up: %v, %v, want %v", act, changed, err, want)
		}
	}
}

// Without KeepArguments the argument of a job that is handed out only once is gone, and the job can't be
// taken back; one without an argument can.
func TestTakeBackWithoutArgument(t *testing.T) {
	r := newRig(t, perl())
	client, w := r.connect(), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "x")
	empty := r.submit(client, codec.SubmitJob, "f", "", "")
	r.do(w, codec.GrabJob)
	r.do(w, codec.GrabJob)
	if changed, err := r.act(TakeBackJob, h); changed || !errors.Is(err, ErrNoArgument) {
		t.Errorf("taken back: %v, %v", changed, err)
	}
	r.acts(TakeBackJob, empty)
}

// A job moved to the front is handed out next, and one with another priority in its turn; both at any time,
// even to a worker that is just going to sleep.
func TestFrontAndPriority(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	var h []string
	for i := range 5 {
		h = append(h, r.submit(client, codec.SubmitJobBg, "f", "", fmt.Sprint(i)))
	}
	r.acts(MoveToFront, h[3])
	if changed, _ := r.act(MoveToFront, h[3]); changed {
		t.Error("it was in front already")
	}
	r.acts(ToLow, h[0])
	r.acts(ToHigh, h[4])
	if changed, _ := r.act(ToHigh, h[4]); changed {
		t.Error("it had that priority already")
	}
	if line := r.line("f"); line != "h5 h4 h2 h3 h1" {
		t.Errorf("%s wait", line)
	}
	delayed := r.submit(client, codec.SubmitJobEpoch, "f", "", fmt.Sprint(r.now.Unix()+10), "")
	r.acts(ToHigh, delayed)
	r.until(r.now.Add(time.Minute))
	if line := r.line("f"); line != "h5 h6 h4 h2 h3 h1" {
		t.Errorf("%s wait", line)
	}
}

// ready shows a waiting job at every moment, even while it moves between queues.
func TestPriorityIsSeenWithoutTheLock(t *testing.T) {
	r := newRig(t, perl())
	h := r.submit(r.connect(), codec.SubmitJobBg, "f", "", "")
	fn := r.s.shardOf([]byte("f")).functions["f"]
	for _, act := range []Act{ToLow, ToHigh, ToNormal} {
		r.acts(act, h)
		if want := uint32(1) << priority(act-ToHigh); fn.ready.Load() != want {
			t.Errorf("%v: ready is %b, want %b", act, fn.ready.Load(), want)
		}
	}
	r.pause("f", Setting{Since: r.now})
	r.acts(ToHigh, h)
	if fn.isReady() {
		t.Error("a paused function is ready")
	}
}

// A bulk walk touches each selected job that was submitted before it began and is in a suitable state once,
// and the jobs that it moves to the front keep their order.
func TestBulk(t *testing.T) {
	build := func() (*rig, *Peer) {
		r := newRig(t, perl())
		client := r.connect()
		for i := range 300 {
			r.submit(client, codec.SubmitJobBg, []string{"f", "g"}[i%2], "", "x")
		}
		return r, client
	}
	only := func(name string) Meant {
		return Meant{Quick: func(function string, _ int, _ string) bool { return function == name }}
	}

	r, client := build()
	meant := only("f")
	meant.AsOf = r.now
	r.now = r.now.Add(time.Second)
	late := r.submit(client, codec.SubmitJobBg, "f", "", "x")
	if w := r.bulk(r.s.CountJobs(CancelJob, meant)); w.Matched() != 150 || w.Changed() != 0 || w.Looked() != 301 {
		t.Errorf("counted %d, changed %d, looked at %d", w.Matched(), w.Changed(), w.Looked())
	}
	if w := r.bulk(r.s.Bulk(CancelJob, meant)); w.Matched() != 150 || w.Changed() != 150 {
		t.Errorf("cancelled %d of %d", w.Changed(), w.Matched())
	}
	if line := r.line("f"); line != r.names[late] {
		t.Errorf("%s wait", line)
	}
	if c := r.s.Counters(); c.Ended[Cancelled] != 150 {
		t.Errorf("counted %d", c.Ended[Cancelled])
	}

	r, _ = build()
	before := r.line("f")
	meant = Meant{Function: "f", Whole: func(d *JobDetail) bool { return d.Number/shardCount%2 == 0 }}
	w := r.bulk(r.s.Bulk(MoveToFront, meant))
	var front, rest []string
	for _, name := range strings.Fields(before) {
		if r.s.parseHandle([]byte(r.handle(name)))/shardCount%2 == 0 {
			front = append(front, name)
		} else {
			rest = append(rest, name)
		}
	}
	if line := r.line("f"); line != strings.Join(append(front, rest...), " ") || w.Matched() != len(front) {
		t.Errorf("%d were put in front: %s", w.Matched(), line)
	}
}

// A job that another worker has by then is no longer selected.
func TestBulkLeavesAnotherWorkersJob(t *testing.T) {
	r := newRig(t, keepingArguments(dialect.Perl))
	client, first, second := r.connect(), r.worker("f"), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "x")
	r.do(first, codec.GrabJob)
	meant := Meant{Whole: func(d *JobDetail) bool {
		r.acts(TakeBackJob, h) // meanwhile
		r.until(r.now)
		r.do(second, codec.GrabJob)
		return d.Worker == first
	}}
	if b := r.bulk(r.s.Bulk(GiveUpJob, meant)); b.Matched() != 1 || b.Changed() != 0 {
		t.Errorf("%d matched, %d were changed", b.Matched(), b.Changed())
	}
	r.do(second, codec.WorkComplete, h, "done")
	r.want(client, "WORK_COMPLETE h1|done")
}

// A job that has changed between being found and the act is not touched.
func TestBulkLeavesWhatHasGoneOn(t *testing.T) {
	r := newRig(t, keepingArguments(dialect.Perl))
	client, w := r.connect(), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "x")
	meant := Meant{Whole: func(*JobDetail) bool {
		r.do(w, codec.GrabJob) // meanwhile
		return true
	}}
	if b := r.bulk(r.s.Bulk(CancelJob, meant)); b.Matched() != 1 || b.Changed() != 0 {
		t.Errorf("%d matched, %d were changed", b.Matched(), b.Changed())
	}
	r.want(client)
	r.want(w, "JOB_ASSIGN h1|f|x")
	r.do(w, codec.WorkComplete, h, "")
}

// No call ends more than so many jobs under one lock, however many a function has: neither a walk nor what
// drops a function.
func TestManyJobsEndInSteps(t *testing.T) {
	const many = 4 * callJobs
	for _, c := range []struct {
		name string
		step func(r *rig) func(fx *Effects) (more bool)
	}{
		{"bulk", func(r *rig) func(*Effects) bool {
			walk := r.s.Bulk(CancelJob, Meant{Function: "f"})
			return func(fx *Effects) bool { return walk.Next(r.now, fx) }
		}},
		{"drop function", func(r *rig) func(*Effects) bool {
			return func(fx *Effects) bool {
				r.s.DropFunction("f", r.now, fx)
				return fx.Again
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, perl())
			client := r.connect()
			for range many {
				r.do(client, codec.SubmitJob, "f", "", "")
			}
			step, steps := c.step(r), 0
			var fx Effects
			for more := true; more; steps++ {
				left := len(r.s.Jobs())
				state := fx.State
				fx.Reset()
				fx.State = state
				more = step(&fx)
				if ended := left - len(r.s.Jobs()); ended > callJobs+pageJobs || fx.Work > 2*callJobs {
					t.Fatalf("step %d has ended %d jobs, at the cost of %d packets", steps, ended, fx.Work)
				}
			}
			if left := len(r.s.Jobs()); left > 0 || steps < many/(callJobs+pageJobs) {
				t.Errorf("%d jobs are left after %d steps", left, steps)
			}
		})
	}
}

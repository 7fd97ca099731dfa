package load

import (
	"context"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// grace is how long an interrupted run waits for the jobs that are under way.
	grace = 2 * time.Second
	// drainPoll is how often it is looked whether the workers have done all jobs.
	drainPoll = 2 * time.Millisecond
)

// Span says how long a run is.
type Span struct {
	Jobs     int           // so many jobs; 0 is as many as there are in Duration
	Duration time.Duration // of the part that is measured, without Jobs
	Warmup   time.Duration // before it, without Jobs
	PID      int           // of the server, to see what it uses; 0 is none
}

// Part is what a part of a run has shown.
type Part struct {
	Jobs      int64
	Elapsed   time.Duration
	Server    time.Duration // processor time of the server; zero, as the next ones, without a pid
	Switches  int64         // context switches of the server
	Before    int64         // resident memory of the server when the part began, in bytes
	Resident  int64         // and when it ended
	Peak      int64         // the most, since the run began if the kernel lets us tell, else since the server did
	Generator time.Duration // processor time of this process
}

// Result is what a run has shown.
type Result struct {
	Part                             // in background mode: the submissions
	Drain    Part                    // in background mode: the workers' part
	Times    *hdrhistogram.Histogram // nanoseconds from submission, or from when it was due, to the end
	InFlight int64                   // jobs without an end when an interrupted run was given up

	Interrupted bool // the context ended it early
}

// mark is where a part begins or ends.
type mark struct {
	at    int64 // since Load.base
	usage Usage
	own   time.Duration
	jobs  int64
}

func (l *Load) mark(pid int, jobs int64) (mark, error) {
	m := mark{at: l.now(), own: ownCPU(), jobs: jobs}
	if pid == 0 {
		return m, nil
	}
	var err error
	m.usage, err = SampleUsage(pid)
	return m, err
}

func part(from, to mark) Part {
	return Part{
		Jobs: to.jobs - from.jobs, Elapsed: time.Duration(to.at - from.at),
		Server: to.usage.CPU - from.usage.CPU, Switches: to.usage.Switches - from.usage.Switches,
		Before: from.usage.Resident, Resident: to.usage.Resident, Peak: to.usage.Peak, Generator: to.own - from.own,
	}
}

// Done returns how many jobs clients and workers are done with since the load was opened. Workers count in
// background mode only.
func (l *Load) Done() (clients, workers int64) {
	for _, lp := range l.loops {
		clients += lp.published.Load()
		workers += lp.workersDone.Load()
	}
	return clients, workers
}

func (l *Load) clientsDone() int64 { n, _ := l.Done(); return n }
func (l *Load) workersDone() int64 { _, n := l.Done(); return n }

// lastDone returns when the last job so far was done.
func (l *Load) lastDone() int64 {
	last := int64(0)
	for _, lp := range l.loops {
		last = max(last, lp.lastDone.Load())
	}
	return last
}

// Run has jobs done. Any error ends it, and the load with it: a connection that is lost, a job that fails, a wrong
// result, no progress. When ctx ends, no more jobs are submitted and the result is about those so far.
func (l *Load) Run(ctx context.Context, s Span) (Result, error) {
	var res Result
	if s.PID != 0 {
		resetPeak(s.PID) // where that fails the peak is that since the server's start
	}
	l.limited.Store(s.Jobs > 0)
	l.tickets.Store(int64(s.Jobs))
	if l.cfg.Mode != Background {
		l.startWorkers()
	}
	var err error
	if s.Jobs > 0 {
		err = l.runJobs(ctx, s, &res)
	} else {
		err = l.runTime(ctx, s, &res)
	}
	if err != nil {
		return res, err
	}
	res.Interrupted = ctx.Err() != nil
	res.Times = newHistogram()
	l.each(func(lp *loop) {
		res.Times.Merge(lp.times)
		lp.times.Reset()
		res.InFlight += int64(lp.inFlight)
	})
	if l.cfg.Mode == Background && res.InFlight == 0 {
		err = l.drain(s, &res)
	}
	return res, err
}

// runJobs has a number of jobs done.
func (l *Load) runJobs(ctx context.Context, s Span, res *Result) error {
	before, err := l.mark(s.PID, l.clientsDone())
	if err != nil {
		return err
	}
	l.begin(before.at)
	if err := l.awaitIdle(ctx); err != nil {
		return err
	}
	after, err := l.mark(s.PID, l.clientsDone())
	after.at = max(l.lastDone(), before.at+1)
	res.Part = part(before, after)
	return err
}

// runTime has jobs done for a time.
func (l *Load) runTime(ctx context.Context, s Span, res *Result) error {
	before, err := l.mark(s.PID, l.clientsDone())
	if err != nil {
		return err
	}
	if s.Warmup == 0 {
		l.begin(before.at)
	} else {
		l.begin(math.MaxInt64)
		if err := l.pause(ctx, s.Warmup); err != nil {
			return err
		}
		if before, err = l.mark(s.PID, l.clientsDone()); err != nil {
			return err
		}
		l.each(func(lp *loop) { lp.from = before.at })
	}
	if err := l.pause(ctx, s.Duration); err != nil {
		return err
	}
	after, err := l.mark(s.PID, l.clientsDone())
	if err != nil {
		return err
	}
	res.Part = part(before, after)
	l.each(func(lp *loop) { lp.submitting, lp.until = false, after.at })
	return l.awaitIdle(ctx)
}

// drain has the workers do all jobs that are queued.
func (l *Load) drain(s Span, res *Result) error {
	clients, workers := l.Done()
	before, err := l.mark(s.PID, workers)
	if err != nil {
		return err
	}
	l.startWorkers()
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for watch := newWatch(l); l.workersDone() < clients; {
		select {
		case <-poll.C:
		case <-l.failing:
			return l.failed
		}
		if watch.stalled() {
			return errStalled
		}
	}
	after, err := l.mark(s.PID, l.workersDone())
	after.at = max(l.lastDone(), before.at+1)
	res.Drain = part(before, after)
	return err
}

// begin has the clients submit; times are kept from a time on.
func (l *Load) begin(from int64) {
	now := l.now()
	for i, lp := range l.loops {
		s := schedule{begin: now}
		if l.cfg.Rate > 0 {
			// The loops take turns.
			one := 1e9 / l.cfg.Rate
			s.interval = one * float64(len(l.loops))
			s.begin += int64(one * float64(i))
		}
		lp.do(func() {
			lp.schedule, lp.from, lp.until, lp.submitting = s, from, math.MaxInt64, true
			if s.interval == 0 {
				for _, c := range lp.clients {
					c.begin()
				}
			}
		})
	}
}

func (l *Load) startWorkers() {
	l.each(func(lp *loop) {
		for _, w := range lp.workers {
			w.begin()
		}
	})
}

// each has every loop call f, one after the other, and returns when all have.
func (l *Load) each(f func(*loop)) {
	for _, lp := range l.loops {
		called := make(chan struct{})
		lp.do(func() {
			f(lp)
			close(called)
		})
		<-called
	}
}

// pause waits, while jobs are being done.
func (l *Load) pause(ctx context.Context, d time.Duration) error {
	over := time.NewTimer(d)
	defer over.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for watch := newWatch(l); ; {
		select {
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-l.failing:
			return l.failed
		case <-tick.C:
			// In an open loop with a low rate there may be nothing to do.
			if watch.stalled() && l.cfg.Rate == 0 {
				return errStalled
			}
		}
	}
}

// awaitIdle waits until no job is under way and no more will be submitted. When ctx ends it has no more submitted, and
// does not wait long.
func (l *Load) awaitIdle(ctx context.Context) error {
	idle := make(chan struct{}, len(l.loops))
	l.each(func(lp *loop) { lp.idle = idle })
	defer l.each(func(lp *loop) { lp.idle = nil })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	interrupted, over := ctx.Done(), (<-chan time.Time)(nil)
	watch := newWatch(l)
	for waiting := len(l.loops); waiting > 0; {
		select {
		case <-idle:
			waiting--
		case <-interrupted:
			l.each(func(lp *loop) { lp.submitting = false })
			interrupted, over = nil, time.After(grace)
		case <-over:
			return nil
		case <-l.failing:
			return l.failed
		case <-tick.C:
			if watch.stalled() {
				return errStalled
			}
		}
	}
	return nil
}

// watch sees whether there is progress.
type watch struct {
	load  *Load
	done  int64
	since time.Time
}

func newWatch(l *Load) *watch { return &watch{load: l, since: time.Now()} }

// stalled reports whether nothing has been done for stallLimit.
func (w *watch) stalled() bool {
	clients, workers := w.load.Done()
	if now := clients + workers; now != w.done {
		w.done, w.since = now, time.Now()
	}
	return time.Since(w.since) > stallLimit
}

package load

import (
	"context"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// drainPoll is how often the workers' progress is checked.
const drainPoll = 2 * time.Millisecond

// grace is how long an interrupted run waits for jobs in flight; longer in tests.
var grace = 2 * time.Second

// Span is how long a run takes.
type Span struct {
	Jobs     int           // number of jobs; 0 = as many as fit in Duration
	Duration time.Duration // of the measured part, if Jobs is 0
	Warmup   time.Duration // before the measured part, if Jobs is 0
	PID      int           // of the server, to measure its usage; 0 = none
}

// Part is the result of one part of a run.
type Part struct {
	Jobs      int64
	Elapsed   time.Duration
	Server    time.Duration // processor time of the server; zero without PID, like the next fields
	Switches  int64         // context switches of the server
	Before    int64         // resident memory of the server at the beginning, in bytes
	Resident  int64         // and at the end
	Peak      int64         // peak since the run began if the kernel allows to reset it, otherwise since the server started
	Generator time.Duration // processor time of this process
}

// Result is the result of a run.
type Result struct {
	Part                             // in background mode: the submissions
	Drain    Part                    // in background mode: the workers' part
	Times    *hdrhistogram.Histogram // nanoseconds from submission, or from when the job was due, to its end
	InFlight int64                   // unfinished jobs when an interrupted run was given up

	Interrupted bool // ctx ended the run early
}

// mark is the beginning or end of a part.
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

// Done returns how many jobs clients and workers have finished since Open. Workers count in background mode
// only.
func (l *Load) Done() (clients, workers int64) {
	for _, lp := range l.loops {
		clients += lp.published.Load()
		workers += lp.workersDone.Load()
	}
	return clients, workers
}

func (l *Load) clientsDone() int64 { n, _ := l.Done(); return n }
func (l *Load) workersDone() int64 { _, n := l.Done(); return n }

// lastDone returns when the last job so far ended.
func (l *Load) lastDone() int64 {
	last := int64(0)
	for _, lp := range l.loops {
		last = max(last, lp.lastDone.Load())
	}
	return last
}

// Run runs the load. Any error ends it and the load: a lost connection, a failed job, a wrong result, no
// progress. When ctx ends, no more jobs are submitted and the result covers the jobs so far.
func (l *Load) Run(ctx context.Context, s Span) (Result, error) {
	var res Result
	if s.PID != 0 {
		resetPeak(s.PID) // if that fails the peak is the one since the server's start
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

// runJobs runs a number of jobs.
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

// runTime runs jobs for a time.
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

// drain makes the workers do all queued jobs.
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

// begin starts the clients; times are recorded from from on.
func (l *Load) begin(from int64) {
	now := l.now()
	for i, lp := range l.loops {
		s := schedule{begin: now}
		if l.cfg.Rate > 0 {
			// The loops' schedules are interleaved.
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

// each calls f on every loop, one after the other, and waits for it.
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

// pause waits while jobs run.
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
			// An open loop with a low rate may have nothing to do.
			if watch.stalled() && l.cfg.Rate == 0 {
				return errStalled
			}
		}
	}
}

// awaitIdle waits until no job is in flight and no more will be submitted. When ctx ends it stops submissions
// and waits only briefly.
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

// watch detects a lack of progress.
type watch struct {
	load  *Load
	done  int64
	since time.Time
}

func newWatch(l *Load) *watch { return &watch{load: l, since: time.Now()} }

// stalled reports whether nothing was finished for stallLimit.
func (w *watch) stalled() bool {
	clients, workers := w.load.Done()
	if now := clients + workers; now != w.done {
		w.done, w.since = now, time.Now()
	}
	return time.Since(w.since) > stallLimit
}

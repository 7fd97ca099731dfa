package clustertest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gearloop/test/await"
)

// ledger is what clients and workers know about the jobs. A contradiction to what docs/cluster.md promises
// fails the test.
type ledger struct {
	t     *testing.T
	apart bool // brokers have handles of their own, which may be the same

	mu      sync.Mutex
	next    int
	jobs    map[string]*entry // by argument, which no two submissions share
	open    map[string]*entry // acknowledged and not handed out so far
	handles map[string]string // arguments by handle
	windows []window
	frozen  map[int]time.Time // when a broker was frozen
	faults  int
	acked   int
	refused int
	runs    int
	reruns  int
}

// entry is one submission and its job.
type entry struct {
	argument string
	handle   string // in JOB_CREATED; "": none came
	made     string // handle that a worker saw
	runs     int
	broker   int       // that handed it out last
	ended    time.Time // since when that broker certainly has been told of its end; zero: it may not have been
}

// window is a time in which ends at a broker may not get to the database.
type window struct {
	broker   int // -1: all
	from, to time.Time
}

// lazy is how old an end may be and not yet be in the database. Ends are written within 50 ms, unless the
// machine is slow.
var lazy = await.Scaled(5 * time.Second)

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, jobs: map[string]*entry{}, open: map[string]*entry{}, handles: map[string]string{}, frozen: map[int]time.Time{}}
}

// fault fails the test; the ledger is locked. Others follow from the first ones, which alone are reported.
func (l *ledger) fault(format string, args ...any) {
	l.t.Helper()
	if l.faults++; l.faults <= 10 {
		l.t.Errorf(format, args...)
	} else {
		l.t.Fail()
	}
}

// submits notes a submission that will be sent, and returns its argument.
func (l *ledger) submits() (number int, argument string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	e := &entry{argument: fmt.Sprint("job ", l.next)}
	l.jobs[e.argument] = e
	return l.next, e.argument
}

// acknowledges notes JOB_CREATED.
func (l *ledger) acknowledges(argument, handle string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.jobs[argument]
	e.handle = handle
	l.acked++
	l.known(e, handle)
	if e.runs == 0 {
		l.open[argument] = e
	}
}

// refuses notes an ERROR, which promises nothing.
func (l *ledger) refuses() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}

// known checks that a job has one handle, and a handle one job. The ledger is locked.
func (l *ledger) known(e *entry, handle string) {
	if l.apart {
		return
	}
	if other, ok := l.handles[handle]; ok && other != e.argument {
		l.fault("handle %s is that of %q and of %q", handle, other, e.argument)
	}
	l.handles[handle] = e.argument
	if e.made != "" && e.handle != "" && e.made != e.handle {
		l.fault("%q was acknowledged as %s and is handed out as %s", e.argument, e.handle, e.made)
	}
}

// assigned notes that a worker has got a job that it asked for at a moment.
func (l *ledger) assigned(broker int, asked time.Time, handle, argument string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.jobs[argument]
	if e == nil {
		l.fault("a job is handed out that nobody submitted: %s, %.100q", handle, argument)
		return
	}
	if e.made != "" && e.made != handle && !l.apart {
		l.fault("%q is handed out as %s and as %s", argument, e.made, handle)
	}
	e.made = handle
	l.known(e, handle)
	l.runs++
	if e.runs++; e.runs > 1 {
		l.reruns++
		// A broker may be frozen while it sends a job. When it wakes it sends the rest.
		if !l.excused(e) && asked.After(l.frozen[broker]) {
			l.fault("%q (%s) is handed out by broker %d, %v after its end was told to broker %d", argument, handle, broker,
				time.Since(e.ended), e.broker)
		}
	}
	e.broker, e.ended = broker, time.Time{}
	delete(l.open, argument)
}

// excused reports whether a fault explains that a job runs again. The ledger is locked.
func (l *ledger) excused(e *entry) bool {
	if e.ended.IsZero() {
		return true
	}
	for _, w := range l.windows {
		if (w.broker < 0 || w.broker == e.broker) && !e.ended.Before(w.from) && (w.to.IsZero() || !e.ended.After(w.to)) {
			return true
		}
	}
	return false
}

// ended notes that a broker has been told of the end of a job.
func (l *ledger) ended(broker int, argument string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.jobs[argument]; e != nil && e.broker == broker {
		e.ended = time.Now()
	}
}

// trouble notes that a fault is about to happen: from now on, and for a while before, ends that are told to a
// broker (-1: to any) may be lost. The function that is returned notes that it is over; workers may still be
// about to note ends.
func (l *ledger) trouble(broker int) (over func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.windows)
	l.windows = append(l.windows, window{broker: broker, from: time.Now().Add(-lazy)})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.windows[n].to = time.Now().Add(lazy)
	}
}

// froze notes that a broker has been frozen.
func (l *ledger) froze(broker int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen[broker] = time.Now()
}

// counted returns how many jobs were acknowledged.
func (l *ledger) counted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// more waits until some more jobs were acknowledged.
func (l *ledger) more(n int) {
	l.t.Helper()
	want := l.counted() + n
	await.Until(l.t, fmt.Sprint(n, " more jobs are acknowledged"), func() bool { return l.counted() >= want })
}

// handOut waits until workers have got some more jobs.
func (l *ledger) handOut(n int) {
	l.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.runs
	}
	want := count() + n
	await.Until(l.t, fmt.Sprint(n, " more jobs are handed out"), func() bool { return count() >= want })
}

// lost returns what was acknowledged and has not been handed out.
func (l *ledger) lost() (arguments []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for argument := range l.open {
		arguments = append(arguments, argument)
	}
	return arguments
}

// caughtUp waits until each job that has been acknowledged so far was handed out.
func (l *ledger) caughtUp() {
	l.t.Helper()
	waiting := l.lost()
	await.UntilNone(l.t, "acknowledged jobs have not been handed out", func() int {
		waiting = l.stillOpen(waiting)
		return len(waiting)
	})
}

// stillOpen returns those of the jobs that have not been handed out; it overwrites the slice.
func (l *ledger) stillOpen(arguments []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(arguments, func(argument string) bool { return l.open[argument] == nil })
}

func (l *ledger) report() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%d submitted, %d acknowledged, %d refused, %d handed out, %d of them again", l.next, l.acked, l.refused, l.runs, l.reruns)
}

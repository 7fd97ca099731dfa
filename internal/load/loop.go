package load

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// longest is the longest time that is recorded, in nanoseconds.
const longest = int64(10 * time.Minute)

// newHistogram returns a histogram of nanoseconds.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// loop is an event loop with its connections. Everything belongs to the loop, except the atomics and what mu
// guards.
type loop struct {
	load    *Load
	poller  *poller
	conns   []*conn // by descriptor
	dirty   []*conn // with output of this turn
	buf     []byte  // for reads
	clients []*client
	workers []*worker
	ended   bool

	now        int64 // when the current connection was ready; nanoseconds since Load.base
	submitting bool
	idle       chan<- struct{} // gets an element when no job is in flight and none will be; nil: nobody waits
	inFlight   int
	schedule   schedule

	// Times are recorded for jobs that ended (in an open loop: were due) in this interval.
	from, until int64
	times       *hdrhistogram.Histogram

	finished, drained int64        // jobs finished by clients and by workers
	published         atomic.Int64 // finished as of the last turn
	workersDone       atomic.Int64 // drained as of the last turn
	lastDone          atomic.Int64 // when the last finished job ended

	mu      sync.Mutex
	calls   []func()
	wakeIn  int // a pipe
	wakeOut int
}

func newLoop(l *Load) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		p.close()
		return nil, err
	}
	for _, fd := range pipe {
		unix.CloseOnExec(fd)
		unix.SetNonblock(fd, true)
	}
	lp := &loop{
		load: l, poller: p, buf: make([]byte, wholeSize+headSize+readSize),
		times: newHistogram(), wakeOut: pipe[0], wakeIn: pipe[1],
	}
	return lp, p.add(lp.wakeOut)
}

// do makes the loop call f.
func (l *loop) do(f func()) {
	l.mu.Lock()
	l.calls = append(l.calls, f)
	l.mu.Unlock()
	unix.Write(l.wakeIn, []byte{0}) // if the pipe is full the loop wakes anyway
}

// run serves the connections until ended is set.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.ended {
		if err := l.turn(); err != nil {
			l.load.fail(err)
		}
	}
	for _, c := range l.conns {
		if c != nil && !c.closed {
			unix.Close(c.fd)
		}
	}
	l.poller.close()
	unix.Close(l.wakeIn)
	unix.Close(l.wakeOut)
}

// turn waits for events and serves them.
func (l *loop) turn() error {
	limit := time.Duration(-1)
	if l.submitting && l.schedule.interval > 0 {
		limit = max(time.Duration(l.schedule.due()-l.load.now()), 0)
	}
	events, err := l.poller.wait(limit)
	if err != nil {
		return err
	}
	for _, ev := range events {
		if ev.fd == l.wakeOut {
			l.call()
			continue
		}
		l.now = l.load.now()
		if c := l.conns[ev.fd]; !c.closed {
			l.end(c, c.serve(ev))
		}
	}
	if l.submitting && l.schedule.interval > 0 {
		l.submitDue()
	}
	for _, c := range l.dirty {
		c.dirty = false
		if !c.closed {
			l.end(c, c.flush())
		}
	}
	l.dirty = l.dirty[:0]
	if l.published.Load() != l.finished {
		l.lastDone.Store(l.now)
		l.published.Store(l.finished)
	}
	if l.workersDone.Load() != l.drained {
		l.lastDone.Store(l.now)
		l.workersDone.Store(l.drained)
	}
	if l.idle != nil && l.inFlight == 0 && !l.submitting {
		l.idle <- struct{}{}
		l.idle = nil
	}
	return nil
}

func (c *conn) serve(ev event) error {
	if ev.write && c.full {
		if err := c.writable(); err != nil {
			return err
		}
	}
	if ev.readable {
		return c.read()
	}
	return nil
}

// end gives up a failed connection, and with it the whole run.
func (l *loop) end(c *conn, err error) {
	if err == nil {
		return
	}
	c.closed = true
	unix.Close(c.fd)
	l.load.fail(fmt.Errorf("%s: %w", c.receiver, err))
}

// call calls the functions given to do.
func (l *loop) call() {
	var b [256]byte
	unix.Read(l.wakeOut, b[:])
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	l.now = l.load.now()
	for _, f := range calls {
		f()
	}
}

// add registers a connection.
func (l *loop) add(fd int) (*conn, error) {
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	c := &conn{loop: l, fd: fd}
	l.conns[fd] = c
	return c, l.poller.add(fd)
}

// gone replaces closed connections.
var gone = &conn{closed: true}

// finish counts a job that began, or was due, at start.
func (l *loop) finish(start int64) {
	l.inFlight--
	l.finished++
	at := l.now
	if l.schedule.interval > 0 {
		at = start
	}
	if at >= l.from && at < l.until {
		l.times.RecordValue(min(max(l.now-start, 0), longest))
	}
}

// schedule is when jobs are due in an open loop: one every interval from begin on.
type schedule struct {
	begin    int64
	interval float64 // nanoseconds; 0 = closed loop
	jobs     int64   // submitted so far
}

func (s *schedule) due() int64 { return s.begin + int64(float64(s.jobs)*s.interval) }

// submitDue submits the due jobs, from each client in turn.
func (l *loop) submitDue() {
	l.now = l.load.now()
	for {
		due := l.schedule.due()
		if due > l.now || !l.submitting {
			return
		}
		c := l.clients[int(l.schedule.jobs)%len(l.clients)]
		l.schedule.jobs++
		c.submit(due)
	}
}

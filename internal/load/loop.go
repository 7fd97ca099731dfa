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

// longest is the longest time that is told apart, in nanoseconds.
const longest = int64(10 * time.Minute)

// newHistogram returns a histogram of nanoseconds.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// loop is an event loop with its connections. All is the loop's own but what mu guards and the atomics.
type loop struct {
	load    *Load
	poller  *poller
	conns   []*conn // by descriptor
	dirty   []*conn // with output of this turn
	buf     []byte  // what a read brings
	clients []*client
	workers []*worker
	ended   bool

	now        int64 // when the connection being served was ready; nanoseconds since Load.base
	submitting bool
	idle       chan<- struct{} // told when no job is under way and none will be; nil: nobody asks
	inFlight   int
	schedule   schedule

	// Times are kept of jobs that ended, in an open loop were due, from from on and before until.
	from, until int64
	times       *hdrhistogram.Histogram

	finished, drained int64        // jobs that clients, that workers are done with
	published         atomic.Int64 // finished, as of the last turn
	workersDone       atomic.Int64 // drained, as of the last turn
	lastDone          atomic.Int64 // when the last of the finished jobs was

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

// do has the loop call f.
func (l *loop) do(f func()) {
	l.mu.Lock()
	l.calls = append(l.calls, f)
	l.mu.Unlock()
	unix.Write(l.wakeIn, []byte{0}) // when the pipe is full the loop will wake anyway
}

// run serves the connections until a call sets ended.
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

// turn waits and serves all that is ready.
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

// end gives up a connection that has failed, and the whole load with it.
func (l *loop) end(c *conn, err error) {
	if err == nil {
		return
	}
	c.closed = true
	unix.Close(c.fd)
	l.load.fail(fmt.Errorf("%s: %w", c.receiver, err))
}

// call calls what others have asked for.
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

// add takes in a connection.
func (l *loop) add(fd int) (*conn, error) {
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	c := &conn{loop: l, fd: fd}
	l.conns[fd] = c
	return c, l.poller.add(fd)
}

// gone stands where connections were.
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

// schedule says when jobs are due in an open loop: one every interval from begin on.
type schedule struct {
	begin    int64
	interval float64 // nanoseconds; 0 is a closed loop
	jobs     int64   // that were submitted
}

func (s *schedule) due() int64 { return s.begin + int64(float64(s.jobs)*s.interval) }

// submitDue submits what is due, the clients in turn.
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

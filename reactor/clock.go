package reactor

import (
	"container/heap"
	"sync"
	"time"

	"gearloop/sched"
)

// clock keeps the scheduler's timers. There are few of them (one for each worker with limited jobs, for each
// function with more jobs than woken workers, for each shard with delayed jobs), so one goroutine serves all
// loops.
//
// Limits and pauses follow the monotonic clock. A delayed job is due by the wall clock, which may be set, and
// which jumps when a machine resumes. Moments of the two clocks have no lasting order, so each has its own
// heap. Nothing reports that the wall clock was set, so while any timer waits for it, it is read every
// wallLook. (On Linux a timerfd would report it. That costs a descriptor and a second way to wait, gains at
// most a second after a step, and other systems need the polling anyway.)
type clock struct {
	server *Server
	read   func() time.Time
	kick   chan struct{} // signals that the earliest moment has changed
	done   chan struct{}
	ended  sync.WaitGroup

	mu     sync.Mutex
	lapses timerHeap // by the monotonic clock
	dates  timerHeap // by the wall clock
}

// wallLook is how late a delayed job may be queued after the wall clock was set forward or the machine
// resumed.
const wallLook = time.Second

func newClock(s *Server) *clock {
	read := s.cfg.now
	if read == nil {
		read = time.Now
	}
	return &clock{server: s, read: read, kick: make(chan struct{}, 1), done: make(chan struct{})}
}

func (k *clock) start() {
	k.ended.Add(1)
	go k.run()
}

func (k *clock) stop() {
	close(k.done)
	k.ended.Wait()
}

// set sets a timer, moves it to an earlier moment or stops it.
func (k *clock) set(a sched.Arm) {
	k.mu.Lock()
	h, t := &k.lapses, a.Timer
	if t.ByDate() {
		h, a.At = &k.dates, a.At.Round(0) // strip the monotonic reading
	}
	switch {
	case a.At.IsZero() && t.Index > 0:
		heap.Remove(h, t.Index-1)
	case a.At.IsZero():
	case t.Index > 0:
		if old := &(*h)[t.Index-1]; a.At.Before(old.at) {
			old.at = a.At
			heap.Fix(h, t.Index-1)
		}
	default:
		heap.Push(h, alarm{a.At, t})
	}
	first := t.Index == 1
	k.mu.Unlock()
	if first {
		select {
		case k.kick <- struct{}{}:
		default:
		}
	}
}

// count returns the number of set timers.
func (k *clock) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.lapses) + len(k.dates)
}

// due removes the timers whose moment has come, and returns the longest time until the next check.
func (k *clock) due(now time.Time, dst []*sched.Timer) ([]*sched.Timer, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	dst, lapse := k.lapses.due(now, dst)
	dst, date := k.dates.due(now, dst)
	if len(k.dates) > 0 {
		date = min(date, wallLook)
	}
	return dst, min(lapse, date)
}

func (k *clock) run() {
	defer k.ended.Done()
	sleep := time.NewTimer(time.Hour)
	defer sleep.Stop()
	var due []*sched.Timer
	var fx sched.Effects
	for {
		now := k.read()
		var wait time.Duration
		due, wait = k.due(now, due[:0])
		for _, t := range due {
			if p := t.Peer(); p != nil {
				// On the worker's loop, which also handles its results: the end of a job is decided in one place, and
				// packets of a job keep their order.
				c := p.User.(*conn)
				c.loop.mail.post(message{kind: timerMessage, conn: c, timer: t})
				continue
			}
			k.server.cfg.Sched.Fire(t, now, &fx)
			k.server.carry(&fx, nil, nil)
		}
		if len(due) > 0 {
			clear(due)
			continue
		}
		sleep.Reset(wait)
		select {
		case <-k.done:
			return
		case <-k.kick:
		case <-sleep.C:
		}
	}
}

// alarm is a timer and its moment, with a monotonic reading if it follows the monotonic clock.
type alarm struct {
	at    time.Time
	timer *sched.Timer
}

// timerHeap is a heap with the earliest alarm first; all follow the same clock. A timer's Index is its
// position plus one.
type timerHeap []alarm

// due removes the alarms whose moment has come, and returns the time until the next.
func (h *timerHeap) due(now time.Time, dst []*sched.Timer) ([]*sched.Timer, time.Duration) {
	for len(*h) > 0 {
		if wait := (*h)[0].at.Sub(now); wait > 0 {
			return dst, wait
		}
		dst = append(dst, heap.Pop(h).(alarm).timer)
	}
	return dst, time.Hour
}

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer.Index, h[j].timer.Index = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	a := x.(alarm)
	*h = append(*h, a)
	a.timer.Index = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = alarm{}
	*h = old[:len(old)-1]
	a.timer.Index = 0
	return a
}

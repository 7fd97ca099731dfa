package reactor

import (
	"container/heap"
	"sync"
	"time"

	"gearloop/sched"
)

// clock keeps the scheduler's timers. There are few of them: one for each worker with limited jobs,
// for each function with more jobs than woken workers, for each shard with delayed jobs; so one
// heap and one goroutine serve all loops.
type clock struct {
	server *Server
	kick   chan struct{} // the earliest moment has changed
	done   chan struct{}
	ended  sync.WaitGroup

	mu   sync.Mutex
	heap timerHeap
}

func newClock(s *Server) *clock {
	return &clock{server: s, kick: make(chan struct{}, 1), done: make(chan struct{})}
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
	t := a.Timer
	switch {
	case a.At.IsZero() && t.Index > 0:
		heap.Remove(&k.heap, t.Index-1)
	case a.At.IsZero():
	case t.Index > 0:
		if old := &k.heap[t.Index-1]; a.At.Before(old.at) {
			old.at = a.At
			heap.Fix(&k.heap, t.Index-1)
		}
	default:
		heap.Push(&k.heap, alarm{a.At, t})
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

// count returns how many timers are set.
func (k *clock) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.heap)
}

// due takes out the timers whose moment has come, and returns how long it is until the next.
func (k *clock) due(now time.Time, dst []*sched.Timer) ([]*sched.Timer, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.heap) > 0 {
		if wait := k.heap[0].at.Sub(now); wait > 0 {
			// Delayed jobs are due by the wall clock, which may be set: look again soon.
			return dst, min(wait, 10*time.Second)
		}
		dst = append(dst, heap.Pop(&k.heap).(alarm).timer)
	}
	return dst, time.Hour
}

func (k *clock) run() {
	defer k.ended.Done()
	sleep := time.NewTimer(time.Hour)
	defer sleep.Stop()
	var due []*sched.Timer
	var fx sched.Effects
	for {
		now := time.Now()
		var wait time.Duration
		due, wait = k.due(now, due[:0])
		for _, t := range due {
			if p := t.Peer(); p != nil {
				// On the worker's loop, where its results come in: the end of a job is decided in
				// one place, and packets of a job keep their order.
				c := p.User.(*conn)
				c.loop.mail.post(message{kind: timerMessage, conn: c, timer: t})
				continue
			}
			k.server.cfg.Sched.Fire(t, now, &fx)
			k.server.post(&fx)
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

// alarm is a timer and when it fires.
type alarm struct {
	at    time.Time
	timer *sched.Timer
}

// timerHeap has the earliest alarm first. A timer's Index is its place plus one.
type timerHeap []alarm

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

package sched

import (
	"sync/atomic"

	"gearloop/internal/slim"
)

// priority selects one of a function's queues.
type priority uint8

const (
	high priority = iota
	normal
	low
	// Priorities is their number: high, normal and low, in this order.
	Priorities = int(iota)
)

// function is the state of one function name. It exists while a worker is registered for it, a job of it
// exists, a bound or a setting is set, or after it was created by command; in a dialect whose functions
// persist, also afterwards. The shard's lock guards everything; ready is also read without it.
type function struct {
	name  string
	shard *shard
	paid  *purse // which purse paid for its memory

	queues    [Priorities]jobList
	waiting   [Priorities]int32 // jobs in each queue
	later     [Priorities]int32 // delayed jobs
	shelf     [Priorities]jobList
	aside     [Priorities]int32 // jobs on each shelf
	ready     atomic.Uint32     // bit p is set while a job waits in queues[p]; no bit while paused
	jobs      int               // all jobs: queued, delayed and running
	running   int               // jobs that workers have
	abilities int               // registered workers
	sleepers  sleeperList
	maxQueue  [Priorities]int32 // bound on jobs for a submission of this priority; <0 = none
	pinned    bool              // stays even if unused
	dropped   bool              // it is not in the shard's functions any more

	counters *Counters  // nil before the first submission: many functions never get one
	own      *own       // nil: it has no numbers of its own
	steer    *steering  // nil: no operator's setting
	owed     int        // workers that wakeTimer must wake at once, beyond Config.Wakeup
	left     *departure // the last worker that left it without workers; nil: none did

	wakeTimer Timer // more wake-ups while jobs wait
	wakeArmed bool

	// Of more sleepers than Config.Herd (herd.go).
	herd    atomic.Bool // there are more; also read without the lock
	called  int32       // workers that are on their way to it
	surplus int32       // how many more than jobs wait wakeTimer wakes
}

// function returns the function of that name, or nil. The shard is locked.
func (sh *shard) function(name []byte) *function { return sh.functions[string(name)] }

// needFunction returns the function of that name and creates it if necessary; nil if purse cannot pay for it.
// The shard is locked.
func (sh *shard) needFunction(name []byte, paid *purse) *function {
	if fn := sh.functions[string(name)]; fn != nil {
		return fn
	}
	if !paid.charge(sh, costFunction+len(name)) {
		return nil
	}
	return sh.addFunction(string(name), paid)
}

// addFunction creates a function whose memory is paid for. The shard is locked.
func (sh *shard) addFunction(name string, paid *purse) *function {
	fn := &function{name: name, shard: sh, paid: paid, maxQueue: unbounded}
	fn.wakeTimer.fn = fn
	sh.functions[name] = fn
	sh.giveOwn(fn)
	fn.left = sh.leftBefore(name)
	return fn
}

// unbounded is the maxQueue of a function without bounds.
var unbounded = [Priorities]int32{-1, -1, -1}

// dropIfIdle removes an unused function, unless it is pinned. The shard is locked.
func (fn *function) dropIfIdle() {
	if fn.jobs > 0 || fn.abilities > 0 || fn.maxQueue != unbounded || fn.steer != nil || fn.shard.functions[fn.name] != fn {
		return
	}
	if fn.shard.sched.dialect.KeepFunctions {
		fn.pin()
	}
	if !fn.pinned {
		fn.drop()
	}
}

// pin makes a function stay even if unused; false if too many already do. The shard is locked.
func (fn *function) pin() bool {
	if !fn.pinned && fn.shard.pinned < maxKept {
		fn.pinned = true
		fn.shard.pinned++
	}
	return fn.pinned
}

// drop removes a function without jobs and workers. The shard is locked.
func (fn *function) drop() {
	if fn.pinned {
		fn.shard.pinned--
	}
	fn.shard.rememberLeft(fn)
	delete(fn.shard.functions, fn.name)
	fn.shard.functions = slim.Map(fn.shard.functions, &fn.shard.mostFunctions)
	fn.dropped = true
	fn.paid.refund(fn.shard, costFunction+len(fn.name))
}

// queued returns the number of queued jobs. The shard is locked.
func (fn *function) queued() int {
	n := 0
	for _, w := range fn.waiting {
		n += int(w)
	}
	return n
}

// isReady reports whether a job waits and may be handed out.
func (fn *function) isReady() bool { return fn.ready.Load() != 0 }

// enqueue appends or prepends a job to its queue. Only move calls enqueue and dequeue.
func (fn *function) enqueue(j *job, front bool) {
	q := &fn.queues[j.priority]
	if front {
		q.pushFront(j)
	} else {
		q.pushBack(j)
	}
	if fn.waiting[j.priority]++; fn.waiting[j.priority] == 1 && !fn.isPaused() {
		fn.ready.Store(fn.ready.Load() | 1<<j.priority)
	}
	fn.shard.queued++
	if j.keeping == kept {
		fn.shard.safe++
	}
}

// dequeue removes a job from its queue, wherever it stands.
func (fn *function) dequeue(j *job) {
	fn.queues[j.priority].remove(j)
	if fn.waiting[j.priority]--; fn.waiting[j.priority] == 0 {
		fn.ready.Store(fn.ready.Load() &^ (1 << j.priority))
	}
	fn.shard.queued--
	if j.keeping == kept {
		fn.shard.safe--
	}
}

// setReady publishes which queues have jobs, for readers without the lock.
func (fn *function) setReady() {
	ready := uint32(0)
	for p, n := range fn.waiting {
		if n > 0 && !fn.isPaused() {
			ready |= 1 << p
		}
	}
	fn.ready.Store(ready)
}

// toFront moves a waiting job to the front of its queue or shelf, or behind another job there. It returns
// false if the job is there already.
func (fn *function) toFront(j, behind *job) bool {
	if j.prev == behind {
		return false
	}
	line := &fn.queues[j.priority]
	if j.state == shelved {
		line = &fn.shelf[j.priority]
	}
	line.remove(j)
	line.pushBehind(j, behind)
	return true
}

// first returns the next job, or nil.
func (fn *function) first() *job {
	for p := range fn.queues {
		if j := fn.queues[p].head; j != nil {
			return j
		}
	}
	return nil
}

// last returns the job that would be handed out last, or nil.
func (fn *function) last() *job {
	for p := len(fn.queues) - 1; p >= 0; p-- {
		if j := fn.queues[p].tail; j != nil {
			return j
		}
	}
	return nil
}

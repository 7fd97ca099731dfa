package sched

import "sync/atomic"

// priority is which of a function's queues a job waits in.
type priority uint8

const (
	high priority = iota
	normal
	low
	// Priorities is how many there are: high, normal and low, in this order.
	Priorities = int(iota)
)

// function is what is known of one function name. It exists while a worker can do it, a job of it
// exists, a bound or a setting is set for it or it was created by command; where the dialect has it so, it stays
// after that. Everything is under the shard's lock; ready is also read without it.
type function struct {
	name  string
	shard *shard
	paid  *purse // from which its memory came

	queues    [Priorities]jobList
	waiting   [Priorities]int32 // jobs in each queue
	later     [Priorities]int32 // delayed jobs
	shelf     [Priorities]jobList
	aside     [Priorities]int32 // jobs on each shelf
	ready     atomic.Uint32     // bit p is set while a job waits in queues[p], none while it is paused
	jobs      int               // jobs there are: queued, delayed and running
	running   int               // jobs that a worker has
	abilities int               // workers that can do it
	sleepers  sleeperList
	maxQueue  [Priorities]int32 // bound of jobs for a submission of this priority; <0 = none
	pinned    bool              // stays without being needed

	counters *Counters  // nil before the first submission: many functions never have one
	own      *own       // nil: it is one of many
	steer    *steering  // nil: no operator has set anything
	owed     int        // of wakeTimer, workers to be woken at once beyond Config.Wakeup
	left     *departure // the last worker that left it without any; nil: none did

	wakeTimer Timer // more wake-ups while jobs wait
	wakeArmed bool
}

// function returns the function of that name, nil if there is none. The shard is locked.
func (sh *shard) function(name []byte) *function { return sh.functions[string(name)] }

// needFunction returns the function of that name and makes it if need be, nil when the purse does
// not have the memory for it. The shard is locked.
func (sh *shard) needFunction(name []byte, paid *purse) *function {
	if fn := sh.functions[string(name)]; fn != nil {
		return fn
	}
	if !paid.charge(sh, costFunction+len(name)) {
		return nil
	}
	return sh.addFunction(string(name), paid)
}

// addFunction makes a function whose memory is paid. The shard is locked.
func (sh *shard) addFunction(name string, paid *purse) *function {
	fn := &function{name: name, shard: sh, paid: paid, maxQueue: unbounded}
	fn.wakeTimer.fn = fn
	sh.functions[name] = fn
	sh.giveOwn(fn)
	fn.left = sh.departed[name]
	return fn
}

// unbounded is the maxQueue of a function without one.
var unbounded = [Priorities]int32{-1, -1, -1}

// dropIfIdle forgets a function that nobody needs any more, unless it is to stay. The shard is
// locked.
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

// pin has a function stay without being needed; false when too many do already. The shard is
// locked.
func (fn *function) pin() bool {
	if !fn.pinned && fn.shard.pinned < maxKept {
		fn.pinned = true
		fn.shard.pinned++
	}
	return fn.pinned
}

// drop forgets a function that has neither jobs nor workers. The shard is locked.
func (fn *function) drop() {
	if fn.pinned {
		fn.shard.pinned--
	}
	fn.shard.rememberLeft(fn)
	delete(fn.shard.functions, fn.name)
	fn.paid.refund(fn.shard, costFunction+len(fn.name))
}

// queued returns how many jobs wait. The shard is locked.
func (fn *function) queued() int {
	n := 0
	for _, w := range fn.waiting {
		n += int(w)
	}
	return n
}

// isReady reports whether a job waits and may be handed out.
func (fn *function) isReady() bool { return fn.ready.Load() != 0 }

// enqueue puts a job into its queue, at the end or at the front. Only move calls it, and dequeue.
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

// dequeue takes a job out of its queue, wherever it stands.
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

// setReady tells those who look without the lock in which queues jobs wait.
func (fn *function) setReady() {
	ready := uint32(0)
	for p, n := range fn.waiting {
		if n > 0 && !fn.isPaused() {
			ready |= 1 << p
		}
	}
	fn.ready.Store(ready)
}

// toFront puts a job that waits in front of its queue or shelf, or behind another job there. false: it is there.
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

// first returns the job that is next, nil if none waits.
func (fn *function) first() *job {
	for p := range fn.queues {
		if j := fn.queues[p].head; j != nil {
			return j
		}
	}
	return nil
}

// last returns the job that would be handed out last, nil if none waits.
func (fn *function) last() *job {
	for p := len(fn.queues) - 1; p >= 0; p-- {
		if j := fn.queues[p].tail; j != nil {
			return j
		}
	}
	return nil
}

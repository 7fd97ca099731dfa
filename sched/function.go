package sched

import "sync/atomic"

// priority is which of a function's queues a job waits in.
type priority uint8

const (
	high priority = iota
	normal
	low
	priorities
)

// function is what is known of one function name. It exists while a worker can do it, a job of it
// exists or a bound is set for it. Everything is under the shard's lock; queued is also read
// without it.
type function struct {
	name  string
	shard *shard
	paid  *purse // from which its memory came

	queues    [priorities]jobList
	queued    atomic.Int32 // jobs in all queues
	jobs      int          // jobs there are: queued, delayed and running
	running   int          // jobs that a worker has
	abilities int          // workers that can do it
	sleepers  sleeperList
	maxQueue  int // bound of queued; <0 = none

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
	fn := &function{name: string(name), shard: sh, paid: paid, maxQueue: -1}
	fn.wakeTimer.fn = fn
	sh.functions[fn.name] = fn
	return fn
}

// dropIfIdle forgets a function that nobody needs any more. The shard is locked.
func (fn *function) dropIfIdle() {
	if fn.jobs == 0 && fn.abilities == 0 && fn.maxQueue < 0 && fn.shard.functions[fn.name] == fn {
		delete(fn.shard.functions, fn.name)
		fn.paid.refund(fn.shard, costFunction+len(fn.name))
	}
}

// enqueue puts a job into its queue: at the end, or at the front.
func (fn *function) enqueue(j *Job, front bool) {
	j.state = queued
	q := &fn.queues[j.priority]
	if front {
		q.pushFront(j)
	} else {
		q.pushBack(j)
	}
	fn.queued.Add(1)
	fn.shard.queued++
}

// dequeue takes a job out of its queue, wherever it stands.
func (fn *function) dequeue(j *Job) {
	fn.queues[j.priority].remove(j)
	fn.queued.Add(-1)
	fn.shard.queued--
}

// first returns the job that is next, nil if none waits.
func (fn *function) first() *Job {
	for p := range fn.queues {
		if j := fn.queues[p].head; j != nil {
			return j
		}
	}
	return nil
}

// last returns the job that would be handed out last, nil if none waits.
func (fn *function) last() *Job {
	for p := len(fn.queues) - 1; p >= 0; p-- {
		if j := fn.queues[p].tail; j != nil {
			return j
		}
	}
	return nil
}

package sched

import "sync/atomic"

// budget bounds the memory that peers can make the scheduler keep. Shards draw from it in leases,
// so that jobs do not all meet at one counter. Jobs can't have all of it: when they have filled the
// queues, workers still have to be able to register, or nobody could ever empty them. The rest is theirs even
// when jobs have taken more than there is, as stored jobs do at a start with a smaller bound.
type budget struct {
	max     int64 // bytes; 0 = no bound
	jobs    int64 // of max, what jobs can have
	lease   int64
	_       [cacheLines]byte // what is above is read for every job
	used    atomic.Int64     // leased to shards
	workers atomic.Int64     // of used, what was booked for workers
	_       [cacheLines]byte
}

func newBudget(max int64) *budget {
	// All idle leases together stay below a quarter of the budget.
	return &budget{max: max, jobs: max - max/8, lease: min(1<<20, max/(8*shardCount))}
}

// take takes n bytes as long as no more than bound are in use then.
func (b *budget) take(n, bound int64) bool {
	if b.used.Add(n) <= bound {
		return true
	}
	b.used.Add(-n)
	return false
}

// purse is one of the two ways to pay from the budget.
type purse struct {
	charge func(*shard, int) bool // books bytes; false when the budget is spent. The shard is locked.
	refund func(*shard, int)      // gives booked bytes back. The shard is locked.
}

var (
	// forJobs pays from the shard's lease.
	forJobs = &purse{(*shard).charge, (*shard).refund}
	// forWorkers pays from the budget itself: what workers give back must not end up with jobs.
	forWorkers = &purse{(*shard).chargeWorker, (*shard).refundWorker}
)

func (sh *shard) charge(n int) bool {
	b := sh.sched.budget
	if need := int64(n) - sh.credit; b.max > 0 && need > 0 {
		switch {
		case b.take(need+b.lease, b.jobs):
			sh.credit += need + b.lease
		case b.take(need, b.jobs):
			sh.credit += need
		default:
			return false
		}
	}
	sh.memory += int64(n)
	if b.max > 0 {
		sh.credit -= int64(n)
	}
	return true
}

// force books bytes whether the budget has them or not: for jobs that must not be lost.
func (sh *shard) force(n int) {
	if !sh.charge(n) {
		sh.memory += int64(n)
		sh.sched.budget.used.Add(int64(n))
	}
}

// hasRoom reports whether jobs can have more.
func (b *budget) hasRoom() bool { return b.max == 0 || b.used.Load() < b.jobs }

// HasRoom reports whether submissions find memory. Stored jobs are taken in at a start whether they do or not.
func (s *Sched) HasRoom() bool { return s.budget.hasRoom() }

// isShort reports whether the store should have what it can have instead of memory: long before
// submissions are refused.
func (b *budget) isShort() bool { return b.max > 0 && b.used.Load() > b.max/4 }

func (sh *shard) refund(n int) {
	b := sh.sched.budget
	sh.memory -= int64(n)
	if b.max == 0 {
		return
	}
	if sh.credit += int64(n); sh.credit > 2*b.lease {
		b.used.Add(b.lease - sh.credit)
		sh.credit = b.lease
	}
}

func (sh *shard) chargeWorker(n int) bool {
	if b := sh.sched.budget; b.max > 0 && !b.takeForWorkers(int64(n)) {
		return false
	}
	sh.memory += int64(n)
	return true
}

// takeForWorkers takes n bytes as long as no more than all is in use then, or workers have no more than jobs can't
// have.
func (b *budget) takeForWorkers(n int64) bool {
	if workers := b.workers.Add(n); workers <= b.max-b.jobs {
		b.used.Add(n)
		return true
	}
	if b.take(n, b.max) {
		return true
	}
	b.workers.Add(-n)
	return false
}

func (sh *shard) refundWorker(n int) {
	sh.memory -= int64(n)
	if b := sh.sched.budget; b.max > 0 {
		b.used.Add(-int64(n))
		b.workers.Add(-int64(n))
	}
}

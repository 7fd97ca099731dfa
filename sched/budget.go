package sched

import (
	"math"
	"sync/atomic"
)

// budget bounds the memory that peers can make the scheduler use. Shards draw on it in leases, so that jobs
// do not all contend for one counter. An eighth is reserved for workers: when jobs have filled the queues,
// workers must still be able to register, or nobody could empty the queues. The reserve holds even when jobs
// exceed their part, as stored jobs do after a start with a smaller --max-memory.
type budget struct {
	max     int64 // bytes; 0 = unlimited
	jobs    int64 // the part of max that jobs may use
	lease   int64
	_       [cacheLines]byte // the fields above are read for every job
	used    atomic.Int64     // leased to shards
	workers atomic.Int64     // the part of used that workers were charged
	alarm   atomic.Int64     // grown is called when more is used
	_       [cacheLines]byte
	grown   func() // Config.Grown
}

func newBudget(max int64, grown func()) *budget {
	// All idle leases together stay below a quarter of the budget.
	b := &budget{max: max, jobs: max - max/8, lease: min(1<<20, max/(8*shardCount)), grown: grown}
	b.alarm.Store(math.MaxInt64)
	return b
}

// take charges n bytes, unless more than bound would be in use.
func (b *budget) take(n, bound int64) bool {
	used := b.used.Add(n)
	if used <= bound {
		if at := b.alarm.Load(); used > at && b.alarm.CompareAndSwap(at, math.MaxInt64) {
			b.grown()
		}
		return true
	}
	b.used.Add(-n)
	return false
}

// purse is one of the two ways to charge the budget.
type purse struct {
	charge func(*shard, int) bool // charges bytes; false if the budget is exhausted. The shard is locked.
	refund func(*shard, int)      // returns charged bytes. The shard is locked.
}

var (
	// forJobs charges the shard's lease.
	forJobs = &purse{(*shard).charge, (*shard).refund}
	// forWorkers bypasses the lease, so that memory which workers free stays available to workers.
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

// force charges bytes even beyond the budget, for jobs that must not be lost.
func (sh *shard) force(n int) {
	if !sh.charge(n) {
		sh.memory += int64(n)
		sh.sched.budget.used.Add(int64(n))
	}
}

// hasRoom reports whether jobs may be charged more.
func (b *budget) hasRoom() bool { return b.max == 0 || b.used.Load() < b.jobs }

// HasRoom reports whether there is memory for submissions. Adopt accepts stored jobs even without.
func (s *Sched) HasRoom() bool { return s.budget.hasRoom() }

// isShort reports whether large arguments should live in the store only. It is true long before submissions
// are refused.
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

// takeForWorkers charges n bytes, unless the budget is exhausted and workers already use the whole part
// reserved for them.
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

package sched

import "sync/atomic"

// budget bounds the memory that peers can make the scheduler keep. Shards draw
// from it in leases, so that jobs do not all meet at one counter. Jobs can't have all of it: when they
// have filled the queues, workers still have to be able to register, or nobody could ever empty them.
type budget struct {
	max   int64 // bytes; 0 = no bound
	jobs  int64 // of max, what jobs can have
	lease int64
	used  atomic.Int64 // leased to shards
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

// charge books n bytes for a job on the shard; false when the budget is spent. The shard is locked.
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
	sh.book(n)
	return true
}

// chargeWorker books n bytes for what a worker can do; false when the budget is spent. The shard is locked.
func (sh *shard) chargeWorker(n int) bool {
	b := sh.sched.budget
	if need := int64(n) - sh.credit; b.max > 0 && need > 0 {
		if !b.take(need, b.max) {
			return false
		}
		sh.credit += need
	}
	sh.book(n)
	return true
}

// book uses n bytes of the shard's credit.
func (sh *shard) book(n int) {
	sh.memory += int64(n)
	if sh.sched.budget.max > 0 {
		sh.credit -= int64(n)
	}
}

// refund gives n charged bytes back. The shard is locked.
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

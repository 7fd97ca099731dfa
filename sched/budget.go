package sched

import "sync/atomic"

// budget bounds the memory that peers can make the scheduler keep. Shards draw
// from it in leases, so that jobs do not all meet at one counter.
type budget struct {
	max   int64 // bytes; 0 = no bound
	lease int64
	used  atomic.Int64 // leased to shards
}

func newBudget(max int64) *budget {
	// All idle leases together stay below a quarter of the budget.
	return &budget{max: max, lease: min(1<<20, max/(8*shardCount))}
}

// draw takes at least n bytes and returns how many, 0 when they are not there.
func (b *budget) draw(n int64) int64 {
	for _, want := range [2]int64{max(n, b.lease), n} {
		if b.used.Add(want) <= b.max {
			return want
		}
		b.used.Add(-want)
	}
	return 0
}

// charge books n bytes on the shard; false when the budget is spent. The shard is locked.
func (sh *shard) charge(n int) bool {
	b := sh.sched.budget
	sh.memory += int64(n)
	if b.max == 0 || n == 0 {
		return true
	}
	if sh.credit < int64(n) {
		got := b.draw(int64(n) - sh.credit)
		if got == 0 {
			sh.memory -= int64(n)
			return false
		}
		sh.credit += got
	}
	sh.credit -= int64(n)
	return true
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

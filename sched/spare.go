package sched

import (
	"sync"

	"gearloop/internal/invariants"
	"gearloop/internal/payload"
)

// The memory of jobs that have ended is used for new ones, so that a queue which fills and empties again makes
// no garbage: allocating jobs and marking those that wait takes a quarter of the time of a submission.
//
// Nothing may refer to a job after its end, then. So jobs that others may refer to without the shard's lock are left
// to the collector (see recycle). Memory is not kept beyond need either: a shard keeps a few spare jobs of each
// size, and the rest is in pools that the collector empties when nobody has taken from them for two collections.

const (
	// roomStep and maxRoom are the sizes of the room for an argument in a job's memory, in bytes: the next
	// multiple of roomStep, up to maxRoom. So a job has one of the allocator's sizes.
	roomStep = 16
	maxRoom  = 112
	// spareSizes is the number of sizes of jobs: without room, and with each.
	spareSizes = 1 + maxRoom/roomStep
	// chainJobs is how many spare jobs go to and from the pools together.
	chainJobs = 32
)

// spareChains holds spare jobs in chains of chainJobs, for all shards, by size.
var spareChains [spareSizes]sync.Pool

// spares are the spare jobs of one size in a shard, linked by job.next.
type spares struct {
	some  *job // fewer than chainJobs, or all of a chain
	count int  // of these
	chain *job // chainJobs more, or none
	dry   int  // for so many more jobs the pool is not asked, because it was empty
}

// roomFor returns the index of the size of a job for this argument.
func roomFor(argument payload.View) int {
	if n := argument.Len(); n <= maxRoom && !argument.Shared() {
		return (n + roomStep - 1) / roomStep
	}
	return 0
}

// take returns a spare job of a size, or nil. Its fields are zero, except that the argument has the room.
func (sh *shard) take(size int) *job {
	s := &sh.spares[size]
	if s.count == 0 {
		switch {
		case s.chain != nil:
			s.some, s.chain = s.chain, nil
		case s.dry > 0:
			s.dry--
			return nil
		default:
			s.some, _ = spareChains[size].Get().(*job)
			if s.some == nil {
				s.dry = chainJobs
				return nil
			}
		}
		s.count = chainJobs
	}
	j := s.some
	s.some, j.next = j.next, nil
	s.count--
	if invariants.Enabled && (j.fn != nil || j.state != fresh || j.argument.Len() > 0) {
		invariants.Failf("a spare job was changed: %+v", j)
	}
	return j
}

// recycle makes a job that has ended a spare one. Jobs that have had extra fields are left to the collector: their
// worker's recall or limits, or a Fetch, may refer to them. With a store its receipts may refer to any job.
func (sh *shard) recycle(j *job, room payload.View) {
	if sh.sched.durable() {
		return
	}
	size := cap(room.Space()) / roomStep
	s := &sh.spares[size]
	if s.count == chainJobs {
		if s.chain != nil {
			spareChains[size].Put(s.chain)
		}
		s.chain, s.some, s.count = s.some, nil, 0
	}
	*j = job{next: s.some, argument: room}
	s.some = j
	s.count++
	s.dry = 0
}

// emptied returns the room that a job has for its argument, as an empty argument.
func emptied(argument payload.View) payload.View {
	if room := argument.Space(); cap(room) <= maxRoom {
		return payload.Borrow(room)
	}
	return payload.View{}
}

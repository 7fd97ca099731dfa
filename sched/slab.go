package sched

import (
	"sync"
	"unsafe"

	"gearloop/internal/invariants"
	"gearloop/internal/payload"
)

// Without a store, jobs lie in slabs: some of one size are allocated together, and a job that has ended is
// used again. So the allocator is called once for a slab, and a queue that fills and empties makes no
// garbage. Allocating each job and marking those that wait takes a quarter of the time of a submission.
//
// Nothing may refer to a job after its end, then. A job that others may refer to without the shard's lock is
// lost: it is not used again (see free). With a store its receipts may refer to any job, so jobs are
// allocated one by one.
//
// A slab is in memory while one of its jobs exists, and is as large as a span of Go's allocator, in which one
// object holds as much. Its spare jobs are used before a new slab is made. Memory is not kept beyond need: a
// shard keeps one slab without jobs for each size, and others go to pools, which the collector empties when
// nobody has taken from them for two collections.

const (
	// roomStep and maxRoom are the sizes of the room for an argument behind a job, in bytes: the next
	// multiple of roomStep, up to maxRoom.
	roomStep = 16
	maxRoom  = 112
	// roomSizes is the number of sizes of jobs: without room, and with each.
	roomSizes = 1 + maxRoom/roomStep
	// slabSize is the size of a slab with its jobs, in bytes: one of the allocator's, less the 8 bytes by
	// which it knows where pointers are. Slabs of jobs that do not fill it are smaller.
	slabSize = 8<<10 - 8
)

// slab is the memory of some jobs of one size, which follow it.
type slab struct {
	spare      uint16 // the offset of the first one that is not in use, which is linked by job.next; 0 = none
	used       uint16 // jobs in use
	size       uint8  // of the jobs, as roomFor returns it
	lost       bool   // it has jobs that are neither in use nor used again
	prev, next *slab  // in shard.slabs, while it has spare jobs
}

// slabOf is a slab with its jobs, an array.
type slabOf[Jobs any] struct {
	slab
	jobs Jobs
}

// makeSlab makes a slab of jobs of a size.
var makeSlab = [roomSizes]func(size int) *slab{
	newSlab[[56]job],
	newSlab[[51]roomy[[16]byte]],
	newSlab[[46]roomy[[32]byte]],
	newSlab[[42]roomy[[48]byte]],
	newSlab[[39]roomy[[64]byte]],
	newSlab[[36]roomy[[80]byte]],
	newSlab[[34]roomy[[96]byte]],
	newSlab[[31]roomy[[112]byte]],
}

// emptySlabs holds slabs without jobs in use or lost ones, for all shards, by size.
var emptySlabs [roomSizes]sync.Pool

// newSlab returns a new slab, in which all jobs are spare.
func newSlab[Jobs any](size int) *slab {
	s := &slabOf[Jobs]{}
	s.size = uint8(size)
	step := unsafe.Sizeof(job{}) + uintptr(size)*roomStep
	for n := unsafe.Sizeof(s.jobs) / step; n > 0; n-- {
		at := uint16(unsafe.Offsetof(s.jobs) + (n-1)*step)
		j := s.at(at)
		j.offset = at
		s.push(j)
	}
	return &s.slab
}

// push makes a job spare.
func (s *slab) push(j *job) {
	if s.spare != 0 {
		j.next = s.at(s.spare)
	}
	s.spare = j.offset
}

// at returns the job with an offset.
func (s *slab) at(offset uint16) *job { return (*job)(unsafe.Add(unsafe.Pointer(s), offset)) }

// slab returns the slab of a job, nil if it was allocated alone.
func (j *job) slab() *slab {
	if j.offset == 0 {
		return nil
	}
	return (*slab)(unsafe.Add(unsafe.Pointer(j), -int(j.offset)))
}

// room returns the room behind a job of a size.
func (j *job) room(size int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(j), unsafe.Sizeof(*j))), size*roomStep)[:0]
}

// roomFor returns the size of a job for this argument: the index of its room.
func roomFor(argument payload.View) int {
	if n := argument.Len(); n <= maxRoom && !argument.Shared() {
		return (n + roomStep - 1) / roomStep
	}
	return 0
}

// take returns a spare job of a size, which is zero but for its offset.
func (sh *shard) take(size int) *job {
	s := sh.slabs[size]
	if s == nil {
		if s, _ = emptySlabs[size].Get().(*slab); s == nil {
			s = makeSlab[size](size)
		}
		sh.slabs[size] = s
	}
	j := s.at(s.spare)
	s.used++
	if j.next != nil {
		s.spare, j.next = j.next.offset, nil
	} else {
		s.spare = 0
		sh.unlist(s)
	}
	if invariants.Enabled && (j.fn != nil || j.state != fresh || j.argument.Len() > 0 || j.extra != nil ||
		j.worker != nil || j.prev != nil) {
		invariants.Failf("a spare job was changed: %+v", j)
	}
	return j
}

// free makes the memory of a job that has ended spare. A job that has had extra fields is lost: its worker's
// recall or limits, or a Fetch, may refer to it.
func (sh *shard) free(j *job, reusable bool) {
	s := j.slab()
	if s == nil {
		return
	}
	listed := s.spare != 0
	s.used--
	if reusable && !sh.sched.durable() {
		*j = job{offset: j.offset}
		s.push(j)
	} else {
		s.lost = true
	}
	switch first := sh.slabs[s.size]; {
	case s.used > 0 || !s.lost && (first == nil || first == s && s.next == nil):
		if !listed && s.spare != 0 {
			sh.list(s)
		}
	default:
		if listed {
			sh.unlist(s)
		}
		if !s.lost {
			emptySlabs[s.size].Put(s)
		}
	}
}

// list makes new jobs come from a slab that has spare ones.
func (sh *shard) list(s *slab) {
	if s.next = sh.slabs[s.size]; s.next != nil {
		s.next.prev = s
	}
	sh.slabs[s.size] = s
}

// unlist undoes list.
func (sh *shard) unlist(s *slab) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		sh.slabs[s.size] = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

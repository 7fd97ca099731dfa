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
	// slabSize is the size of a slab with its jobs, in bytes: one of the allocator's, less the 8 bytes by
	// which it knows where pointers are. Slabs of jobs that do not fill it are smaller.
	slabSize = 8<<10 - 8
)

// slab is the memory of some jobs of one size, which follow it.
type slab struct {
	spare      uint16 // the offset of the first one that is not in use, which is linked by job.next; 0 = none
	used       uint16 // jobs in use
	size       uint8  // of the jobs, as sizeFor returns it
	lost       bool   // it has jobs that are neither in use nor used again
	prev, next *slab  // in shard.slabs, while it has spare jobs
}

// slabOf is a slab with its jobs, an array.
type slabOf[Jobs any] struct {
	slab
	jobs Jobs
}

// makeSlab makes a slab of jobs of a size.
var makeSlab = [jobSizes]func(size int) *slab{
	newSlab[[72]job, job],
	newSlab[[63]roomy[[1 * roomStep]byte], roomy[[1 * roomStep]byte]],
	newSlab[[56]roomy[[2 * roomStep]byte], roomy[[2 * roomStep]byte]],
	newSlab[[51]roomy[[3 * roomStep]byte], roomy[[3 * roomStep]byte]],
	newSlab[[46]roomy[[4 * roomStep]byte], roomy[[4 * roomStep]byte]],
	newSlab[[42]roomy[[5 * roomStep]byte], roomy[[5 * roomStep]byte]],
	newSlab[[39]roomy[[6 * roomStep]byte], roomy[[6 * roomStep]byte]],
	newSlab[[36]roomy[[7 * roomStep]byte], roomy[[7 * roomStep]byte]],
	newSlab[[56]roomy[payload.View], roomy[payload.View]],
}

// emptySlabs holds slabs without jobs in use or lost ones, for all shards, by size.
var emptySlabs [jobSizes]sync.Pool

// newSlab returns a new slab, in which all jobs are spare.
func newSlab[Jobs, Job any](size int) *slab {
	s := &slabOf[Jobs]{}
	s.size = uint8(size)
	step := unsafe.Sizeof(*new(Job))
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
	if invariants.Enabled && (*j != job{offset: j.offset} || size == viewSize && j.view().Len() > 0) {
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
		room := j.room(int(s.size))
		invariants.Poison(room[:cap(room)])
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

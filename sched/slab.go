package sched

import (
	"sync"
	"unsafe"

	"gearloop/internal/invariants"
)

// Without a store, jobs lie in slabs: some of one size are allocated together, and a job that has ended is
// used again. So the allocator is called once for a slab, and a queue that fills and empties makes no
// garbage. Allocating each job and marking those that wait takes a quarter of the time of a submission.
//
// Nothing may refer to a job after its end, then. A job that others may refer to without the shard's lock is
// lost: it is not used again (see free). With a store its receipts may refer to any job, so jobs are
// allocated one by one.
//
// A slab is in memory while one of its jobs exists, and fills a span of Go's allocator. The first slabs of a shard
// are small. When there are many, as when a queue grows, it makes large ones: they call the allocator less
// often, and Config.Populate has the system provide their memory. Spare jobs are used before a new slab is
// made. Memory is not kept beyond need: a shard keeps one small slab without jobs for each size, and others go
// to pools, which the collector empties when nobody has taken from them for two collections.

const (
	// smallSlab and largeSlab bound the sizes of slabs with their jobs, in bytes: sizes of the allocator, less
	// the 8 bytes in which it records where the pointers are. As many jobs lie in a slab as fit.
	smallSlab = 8<<10 - 8
	largeSlab = 32<<10 - 8
	// manySlabs is how many slabs of a size a shard has before it makes large ones. So many take so much memory
	// that the unused part of a large one is small beside it.
	manySlabs = 16

	headSize = unsafe.Sizeof(slab{})
)

// slab is the memory of some jobs of one size, which follow it.
type slab struct {
	spare      uint16 // the offset of the first job that is not in use any more, which is linked by job.next; 0 = none
	fresh      uint16 // the offset of the first job that was never in use; 0 = none
	used       uint16 // jobs in use
	kind       uint8  // index in slabKinds
	lost       bool   // it has lost jobs: they have ended, and are not used again
	prev, next *slab  // in shard.slabs, while it is not full
}

// slabOf is a slab with its jobs, an array.
type slabOf[Jobs any] struct {
	slab
	jobs Jobs
}

// slabKind describes slabs that are alike.
type slabKind struct {
	allocate func() *slab
	step     uint16 // from a job to the next one, in bytes
	end      uint16 // offset behind the last job
}

// slabKinds has the small slabs, by the size of their jobs, and then the large ones in the same order.
var slabKinds = [2 * jobSizes]slabKind{
	kindOf[job, [(smallSlab - headSize) / unsafe.Sizeof(job{})]job](),
	kindOf[room1, [(smallSlab - headSize) / unsafe.Sizeof(room1{})]room1](),
	kindOf[room2, [(smallSlab - headSize) / unsafe.Sizeof(room2{})]room2](),
	kindOf[room3, [(smallSlab - headSize) / unsafe.Sizeof(room3{})]room3](),
	kindOf[room4, [(smallSlab - headSize) / unsafe.Sizeof(room4{})]room4](),
	kindOf[room5, [(smallSlab - headSize) / unsafe.Sizeof(room5{})]room5](),
	kindOf[room6, [(smallSlab - headSize) / unsafe.Sizeof(room6{})]room6](),
	kindOf[room7, [(smallSlab - headSize) / unsafe.Sizeof(room7{})]room7](),
	kindOf[viewed, [(smallSlab - headSize) / unsafe.Sizeof(viewed{})]viewed](),

	kindOf[job, [(largeSlab - headSize) / unsafe.Sizeof(job{})]job](),
	kindOf[room1, [(largeSlab - headSize) / unsafe.Sizeof(room1{})]room1](),
	kindOf[room2, [(largeSlab - headSize) / unsafe.Sizeof(room2{})]room2](),
	kindOf[room3, [(largeSlab - headSize) / unsafe.Sizeof(room3{})]room3](),
	kindOf[room4, [(largeSlab - headSize) / unsafe.Sizeof(room4{})]room4](),
	kindOf[room5, [(largeSlab - headSize) / unsafe.Sizeof(room5{})]room5](),
	kindOf[room6, [(largeSlab - headSize) / unsafe.Sizeof(room6{})]room6](),
	kindOf[room7, [(largeSlab - headSize) / unsafe.Sizeof(room7{})]room7](),
	kindOf[viewed, [(largeSlab - headSize) / unsafe.Sizeof(viewed{})]viewed](),
}

// emptySlabs holds slabs without jobs in use or lost ones, for all shards, by kind.
var emptySlabs [len(slabKinds)]sync.Pool

// kindOf describes slabs of an array of jobs.
func kindOf[Job, Jobs any]() slabKind {
	s := &slabOf[Jobs]{}
	begin := unsafe.Offsetof(s.jobs)
	return slabKind{
		allocate: func() *slab { return &(&slabOf[Jobs]{slab: slab{fresh: uint16(begin)}}).slab },
		step:     uint16(unsafe.Sizeof(*new(Job))),
		end:      uint16(begin + unsafe.Sizeof(s.jobs)),
	}
}

// newSlab returns a slab for jobs of a size, all of which are spare or fresh.
func (sh *shard) newSlab(size int) *slab {
	kind := size
	if sh.slabsHeld[size] >= manySlabs {
		kind += jobSizes
	}
	sh.slabsHeld[size]++
	if s, _ := emptySlabs[kind].Get().(*slab); s != nil {
		return s
	}
	k := &slabKinds[kind]
	s := k.allocate()
	s.kind = uint8(kind)
	if populate := sh.sched.cfg.Populate; populate != nil && s.isLarge() {
		populate(unsafe.Slice((*byte)(unsafe.Pointer(s)), k.end))
	}
	return s
}

// isLarge reports whether the slab is a large one.
func (s *slab) isLarge() bool { return s.kind >= jobSizes }

// size returns the size of the slab's jobs, as sizeFor returns it.
func (s *slab) size() int { return int(s.kind) % jobSizes }

// isFull reports whether all jobs are in use or lost.
func (s *slab) isFull() bool { return s.spare|s.fresh == 0 }

// at returns the job with an offset.
func (s *slab) at(offset uint16) *job { return (*job)(unsafe.Add(unsafe.Pointer(s), offset)) }

// slab returns the slab of a job, nil if it was allocated alone.
func (j *job) slab() *slab {
	if j.offset == 0 {
		return nil
	}
	return (*slab)(unsafe.Add(unsafe.Pointer(j), -int(j.offset)))
}

// take returns a spare or fresh job of a size, which is zero but for its offset.
func (sh *shard) take(size int) (j *job) {
	s := sh.slabs[size]
	if s == nil {
		s = sh.newSlab(size)
		sh.slabs[size] = s
	}
	s.used++
	if s.spare != 0 {
		j = s.at(s.spare)
		s.spare = 0
		if j.next != nil {
			s.spare, j.next = j.next.offset, nil
		}
	} else {
		j = s.at(s.fresh)
		j.offset = s.fresh
		k := &slabKinds[s.kind]
		if s.fresh += k.step; s.fresh == k.end {
			s.fresh = 0
		}
	}
	if s.isFull() {
		sh.unlist(s)
	}
	if invariants.Enabled && (*j != job{offset: j.offset} || size == viewSize && j.view().Len() > 0) {
		invariants.Failf("a spare job was changed: %+v", j)
	}
	return j
}

// free makes the memory of a job that has ended spare if it is reusable. A job that has had extra fields is
// not, and is lost: its worker's recall or limits, or a Fetch, may still refer to it.
func (sh *shard) free(j *job, reusable bool) {
	s := j.slab()
	if s == nil {
		return
	}
	listed, size := !s.isFull(), s.size()
	s.used--
	if reusable && !sh.sched.durable() {
		if invariants.Enabled && size > 0 && size < viewSize {
			invariants.Poison(j.room(size * roomStep))
		}
		*j = job{offset: j.offset}
		if s.spare != 0 {
			j.next = s.at(s.spare)
		}
		s.spare = j.offset
	} else {
		s.lost = true
	}
	switch first := sh.slabs[size]; {
	// The shard keeps a slab with jobs in use, and a small one without if it has no other that is not full.
	case s.used > 0 || !s.lost && !s.isLarge() && (first == nil || first == s && s.next == nil):
		if !listed && !s.isFull() {
			sh.list(s)
		}
	default:
		if listed {
			sh.unlist(s)
		}
		sh.slabsHeld[size]--
		if !s.lost {
			emptySlabs[s.kind].Put(s)
		}
	}
}

// list makes new jobs come from a slab that is not full.
func (sh *shard) list(s *slab) {
	first := &sh.slabs[s.size()]
	if s.next = *first; s.next != nil {
		s.next.prev = s
	}
	*first = s
}

// unlist undoes list.
func (sh *shard) unlist(s *slab) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		sh.slabs[s.size()] = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

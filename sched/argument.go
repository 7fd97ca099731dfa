package sched

import (
	"unsafe"

	"gearloop/internal/payload"
)

// A job's argument lies behind the job, in the same piece of memory: its bytes if they are few, otherwise the
// payload.View of it. That saves an allocation, and an object for the collector to mark.

// whereabouts says where a job's argument is.
type whereabouts uint8

const (
	inRoom  whereabouts = iota // the first job.held bytes of the room behind the job; it is empty if there are none
	inView                     // the view behind the job: it is large, or shares a packet's memory
	inExtra                    // extra.argument: a submission that joined the job brought it
	onDisk                     // only in the store
	spent                      // nowhere: it was freed when the job was handed out
)

// inMemory reports whether the argument is in memory, where an empty one always is.
func (w whereabouts) inMemory() bool { return w < onDisk }

// roomy is a job with what lies behind it: room for bytes of the argument, or a view of it.
type roomy[A any] struct {
	job
	room A
}

// Jobs with what lies behind them, by size.
type (
	room1  = roomy[[1 * roomStep]byte]
	room2  = roomy[[2 * roomStep]byte]
	room3  = roomy[[3 * roomStep]byte]
	room4  = roomy[[4 * roomStep]byte]
	room5  = roomy[[5 * roomStep]byte]
	room6  = roomy[[6 * roomStep]byte]
	room7  = roomy[[7 * roomStep]byte]
	viewed = roomy[payload.View]
)

// argument returns the job's argument, which is empty if it is not in memory. Bytes in the room are valid until
// the job has ended.
func (j *job) argument() payload.View {
	switch {
	case j.held > 0:
		return payload.Borrow(j.room(int(j.held)))
	case j.where == inView:
		return *j.view()
	case j.where == inExtra:
		return j.extra.argument
	}
	return payload.View{}
}

// view returns the view behind a job whose argument is inView.
func (j *job) view() *payload.View { return &(*viewed)(unsafe.Pointer(j)).room }

// room returns the first n bytes of the room behind a job, which must have that many.
func (j *job) room(n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(j), unsafe.Sizeof(*j))), n)
}

const (
	// The room behind a job is as large as its argument, in bytes, rounded up to a multiple of roomStep. An
	// argument of more than maxRoom has a view instead.
	roomStep = 16
	maxRoom  = 112
	// The size of a job, in this file and slab.go, is a number: how many steps of room are behind it, or viewSize
	// if there is a view. jobSizes is how many sizes there are.
	viewSize = 1 + maxRoom/roomStep
	jobSizes = viewSize + 1
)

// sizeFor returns the size of a job with this argument.
func sizeFor(argument payload.View) int {
	if n := argument.Len(); n <= maxRoom && !argument.Shared() {
		return (n + roomStep - 1) / roomStep
	}
	return viewSize
}

// newJob returns a new job with this argument. It is in a slab if there is no store.
func (sh *shard) newJob(argument payload.View) *job {
	if sh.sched.durable() {
		return newJob(argument)
	}
	size := sizeFor(argument)
	return sh.take(size).hold(argument, size)
}

// newJob returns a new job with this argument, which is allocated alone. All sizes are sizes of the allocator.
func newJob(argument payload.View) *job {
	size := sizeFor(argument)
	return allocateJob[size]().hold(argument, size)
}

// allocateJob has for each size a function that allocates such a job alone.
var allocateJob = [jobSizes]func() *job{
	func() *job { return &job{} },
	func() *job { return &(&room1{}).job },
	func() *job { return &(&room2{}).job },
	func() *job { return &(&room3{}).job },
	func() *job { return &(&room4{}).job },
	func() *job { return &(&room5{}).job },
	func() *job { return &(&room6{}).job },
	func() *job { return &(&room7{}).job },
	func() *job { return &(&viewed{}).job },
}

// hold gives a new job of this size its argument, as a copy or a reference, and returns the job.
func (j *job) hold(argument payload.View, size int) *job {
	if size == viewSize {
		*j.view(), j.where = argument.Keep(), inView
	} else if n := argument.Len(); n > 0 {
		argument.Append(j.room(n)[:0])
		j.held = uint8(n)
	}
	return j
}

// dropArgument takes the argument from the job without releasing it. where says what the job has then: an empty
// argument (inRoom), or one that is not in memory.
func (j *job) dropArgument(where whereabouts) {
	switch j.where {
	case inView:
		*j.view() = payload.View{}
	case inExtra:
		j.extra.argument = payload.View{}
	}
	j.held, j.where = 0, where
}

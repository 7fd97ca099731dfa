package disk

import "gearloop/store"

// slotState is the state of a stored job.
type slotState uint8

const (
	slotFree    slotState = iota
	slotWriting           // its argument's file may not be written yet
	slotStored            // its entry is written, or about to be
)

// slot is what the store keeps in memory for a job: 24 bytes.
type slot struct {
	number   uint64 // of the job; in a free slot, the next free one
	segment  uint32 // segment of its entry; until that is written, the newest one
	size     uint32 // of its entry
	retries  uint16
	priority store.Priority
	state    slotState
}

const slotsPerChunk = 4096

// slots is the table of all jobs, indexed by a small number that is reused. It grows by chunks, so no call
// copies it.
type slots struct {
	chunks [][]slot
	free   uint32 // first free slot; 0 = none
	used   uint32 // slots ever taken; number 0 never is
	taken  int
}

func (t *slots) at(i uint32) *slot { return &t.chunks[i/slotsPerChunk][i%slotsPerChunk] }

// take returns a slot for a new job.
func (t *slots) take() uint32 {
	t.taken++
	if i := t.free; i != 0 {
		t.free = uint32(t.at(i).number)
		return i
	}
	t.used++
	if int(t.used/slotsPerChunk) >= len(t.chunks) {
		t.chunks = append(t.chunks, make([]slot, slotsPerChunk))
	}
	return t.used
}

func (t *slots) give(i uint32) {
	*t.at(i) = slot{number: uint64(t.free)}
	t.free = i
	t.taken--
}

// ref returns the name of the job in a slot: the slot, and a part of the job's number that distinguishes it
// from later jobs in the slot.
func ref(i uint32, number uint64) store.Ref { return store.Ref(tag(number)<<32 | uint64(i)) }

func tag(number uint64) uint64 { return number * 0x9e3779b97f4a7c15 >> 32 }

// of returns the slot that a Ref names, 0 if its job has ended.
func (t *slots) of(r store.Ref) uint32 {
	i := uint32(r)
	if i == 0 || i > t.used {
		return 0
	}
	if s := t.at(i); s.state == slotFree || tag(s.number) != uint64(r)>>32 {
		return 0
	}
	return i
}

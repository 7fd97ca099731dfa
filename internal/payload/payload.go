package payload

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// ChunkSize is the size of the largest chunk, in bytes. A chunk is allocated when the one before it is full,
	// so a header that announces a large packet reserves no more than this.
	ChunkSize = 256 << 10

	// Sizes of chunks begin at 512 bytes and grow in four steps per doubling, so at most a quarter of a chunk is
	// unused.
	minBits = 9
	maxBits = 18
)

// pools holds free chunks by class.
var pools [4*(maxBits-minBits) + 1]sync.Pool

var inUse, bytesInUse atomic.Int64

// InUse returns the number of payloads with references, and the bytes of their chunks.
func InUse() (payloads, bytes int64) { return inUse.Load(), bytesInUse.Load() }

// Payload is a run of bytes whose size is known in advance. One goroutine fills it (Space, Filled). Once it
// is full, any number of them may read it.
type Payload struct {
	refs      atomic.Int32
	sharers   atomic.Int32 // see View.Share
	size      int          // bytes when it is full
	filled    int          // bytes so far
	allocated int          // bytes of its chunks
	first     []byte       // the first chunk, filled to len
	more      [][]byte     // the chunks after it; all but the last are full
}

// New returns an empty payload for size bytes, with one reference.
func New(size int) *Payload {
	p := &Payload{size: size}
	p.refs.Store(1)
	inUse.Add(1)
	p.first = take(min(size, ChunkSize))
	p.allocated = cap(p.first)
	return p
}

// Gather returns a view of a copy of the pieces, with one reference.
func Gather(pieces [][]byte) View {
	n := 0
	for _, b := range pieces {
		n += len(b)
	}
	if n == 0 {
		return View{}
	}
	p := New(n)
	for _, b := range pieces {
		p.Fill(b)
	}
	return Of(p)
}

// Size returns how many bytes the payload holds when it is full.
func (p *Payload) Size() int { return p.size }

// Allocated returns the size of the payload's chunks in bytes.
func (p *Payload) Allocated() int { return p.allocated }

// Missing returns the number of bytes that are not filled yet.
func (p *Payload) Missing() int { return p.size - p.filled }

// Space returns memory for the next bytes. It is empty only if none are missing.
func (p *Payload) Space() []byte {
	last := &p.first
	if n := len(p.more); n > 0 {
		last = &p.more[n-1]
	}
	if len(*last) == cap(*last) && p.Missing() > 0 {
		p.more = append(p.more, take(min(p.Missing(), ChunkSize)))
		last = &p.more[len(p.more)-1]
		p.allocated += cap(*last)
	}
	used := len(*last)
	return (*last)[used:min(cap(*last), used+p.Missing())]
}

// Filled records that n bytes were written to the memory that Space returned.
func (p *Payload) Filled(n int) {
	last := &p.first
	if m := len(p.more); m > 0 {
		last = &p.more[m-1]
	}
	*last = (*last)[:len(*last)+n]
	p.filled += n
}

// Fill copies from b as much as is missing and returns how much that was.
func (p *Payload) Fill(b []byte) int {
	total := 0
	for len(b) > 0 && p.Missing() > 0 {
		n := copy(p.Space(), b)
		p.Filled(n)
		b = b[n:]
		total += n
	}
	return total
}

// retain takes one more reference. The caller has one already, or borrows somebody's.
func (p *Payload) retain() {
	if p.refs.Add(1) <= 1 {
		panic("payload: retained after the last reference was released")
	}
}

// Release drops one reference. The last one returns the chunks to their pools.
func (p *Payload) Release() {
	switch n := p.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("payload: released more often than retained")
	}
	give(p.first)
	for _, c := range p.more {
		give(c)
	}
	p.first, p.more = nil, nil
	inUse.Add(-1)
}

// class returns the class of chunks for n bytes and their size.
func class(n int) (index, size int) {
	if n <= 1<<minBits {
		return 0, 1 << minBits
	}
	e := bits.Len(uint(n-1)) - 1 // 1<<e < n <= 2<<e
	quarters := (n + 1<<(e-2) - 1) >> (e - 2)
	return 4*(e-minBits) + quarters - 4, quarters << (e - 2)
}

func take(n int) []byte {
	index, size := class(n)
	bytesInUse.Add(int64(size))
	if v := pools[index].Get(); v != nil {
		return (*v.(*[]byte))[:0]
	}
	return make([]byte, 0, size)
}

func give(b []byte) {
	bytesInUse.Add(-int64(cap(b)))
	index, _ := class(cap(b))
	b = b[:0]
	pools[index].Put(&b)
}

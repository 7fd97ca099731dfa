package payload

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"gearloop/internal/invariants"
)

const (
	// ChunkSize is the size of the largest chunk, in bytes. A header that announces a large packet reserves no more
	// than this.
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

// Resize gives an empty payload another size, if a new one of that size would begin with a chunk as large. It reports
// whether it did.
func (p *Payload) Resize(size int) bool {
	if _, first := class(min(size, ChunkSize)); p.filled > 0 || len(p.more) > 0 || first != cap(p.first) {
		return false
	}
	p.size = size
	return true
}

// Space returns memory for the next bytes. It is empty only if none are missing.
func (p *Payload) Space() []byte {
	if p.Missing() == 0 {
		return nil
	}
	i := p.filled / ChunkSize
	p.reserve(i)
	return p.room(i)
}

// Spaces appends memory for the next bytes to dst, in order and for at most most bytes. It begins with what Space
// returns, and adds chunks only as long as no more is allocated than twice what has come.
func (p *Payload) Spaces(dst [][]byte, most int) [][]byte {
	most = min(most, p.Missing())
	for i := p.filled / ChunkSize; most > 0; i++ {
		if i*ChunkSize > p.filled && (i+1)*ChunkSize > 2*p.filled {
			break
		}
		p.reserve(i)
		b := p.room(i)
		b = b[:min(len(b), most)]
		dst = append(dst, b)
		most -= len(b)
	}
	return dst
}

// Filled records that n bytes were written to the memory that Space or Spaces returned.
func (p *Payload) Filled(n int) {
	for n > 0 {
		c := p.chunk(p.filled / ChunkSize)
		here := min(n, cap(*c)-len(*c))
		*c = (*c)[:len(*c)+here]
		p.filled += here
		n -= here
	}
}

// chunk returns chunk i, which holds the bytes from i*ChunkSize on.
func (p *Payload) chunk(i int) *[]byte {
	if i == 0 {
		return &p.first
	}
	return &p.more[i-1]
}

// reserve allocates chunk i if the payload does not have it. It has all chunks before it.
func (p *Payload) reserve(i int) {
	if i > len(p.more) {
		c := take(min(p.size-i*ChunkSize, ChunkSize))
		p.more = append(p.more, c)
		p.allocated += cap(c)
	}
}

// room returns the memory of chunk i that is not filled.
func (p *Payload) room(i int) []byte {
	c := *p.chunk(i)
	return c[len(c):min(cap(c), p.size-i*ChunkSize)]
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
	invariants.Poison(b[:cap(b)])
	b = b[:0]
	pools[index].Put(&b)
}

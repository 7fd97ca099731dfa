package reactor

import (
	"sync"

	"gearloop/internal/invariants"
)

// buffer holds gathered output. An output whose only piece is this buffer keeps that piece in room, so that
// most output needs no memory of its own for pieces.
type buffer struct {
	B    []byte
	room [1]piece
}

// buffers holds free buffers.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

// takeBuffer returns an empty buffer.
func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// giveBuffer returns a buffer to the pool.
func giveBuffer(b *buffer) {
	invariants.Poison(b.B[:cap(b.B)])
	if cap(b.B) <= 2*gatherSize {
		b.B, b.room[0] = b.B[:0], piece{}
		buffers.Put(b)
	}
}

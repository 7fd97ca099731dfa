package reactor

import (
	"sync"

	"github.com/valyala/bytebufferpool"
)

// buffers holds free ones for gathered output. Not those of bytebufferpool itself: it counts each that is given back
// in one place for all loops, the only thing that would be written there for every job.
var buffers = sync.Pool{New: func() any { return new(bytebufferpool.ByteBuffer) }}

// takeBuffer returns an empty buffer.
func takeBuffer() *bytebufferpool.ByteBuffer { return buffers.Get().(*bytebufferpool.ByteBuffer) }

// giveBuffer takes a buffer back that nobody uses any more.
func giveBuffer(b *bytebufferpool.ByteBuffer) {
	if cap(b.B) <= 2*gatherSize {
		b.Reset()
		buffers.Put(b)
	}
}

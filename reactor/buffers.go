package reactor

import (
	"sync"

	"github.com/valyala/bytebufferpool"
)

// buffers holds free buffers for gathered output. bytebufferpool's own pool is not used, because it counts
// every returned buffer in one place for all loops: the only shared write per job.
var buffers = sync.Pool{New: func() any { return new(bytebufferpool.ByteBuffer) }}

// takeBuffer returns an empty buffer.
func takeBuffer() *bytebufferpool.ByteBuffer { return buffers.Get().(*bytebufferpool.ByteBuffer) }

// giveBuffer returns a buffer to the pool.
func giveBuffer(b *bytebufferpool.ByteBuffer) {
	if cap(b.B) <= 2*gatherSize {
		b.Reset()
		buffers.Put(b)
	}
}

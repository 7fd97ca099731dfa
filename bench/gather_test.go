package bench

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/valyala/bytebufferpool"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// gatherer is a way to gather small packets for one write: begin gives an empty buffer, end takes
// back what append has made of it. One is used by one goroutine, for one buffer at a time.
type gatherer struct {
	name  string
	begin func() []byte
	end   func([]byte)
}

func gatherers() []gatherer {
	var pool bytebufferpool.Pool
	var buffer *bytebufferpool.ByteBuffer
	fixed := sync.Pool{New: func() any { return new([readBuffer]byte) }}
	small := sync.Pool{New: func() any { return new([4 << 10]byte) }}
	var array *[readBuffer]byte
	var page *[4 << 10]byte
	var p *payload.Payload
	var own []byte
	return []gatherer{
		{
			"bytebufferpool",
			func() []byte { buffer = pool.Get(); return buffer.B },
			func(buf []byte) { buffer.B = buf; pool.Put(buffer) },
		},
		{
			"classes-64KiB",
			func() []byte { p = payload.New(readBuffer); return p.Space()[:0] },
			func([]byte) { p.Release() },
		},
		{
			"sync.Pool-64KiB",
			func() []byte { array = fixed.Get().(*[readBuffer]byte); return array[:0] },
			func([]byte) { fixed.Put(array) },
		},
		{
			"sync.Pool-4KiB",
			func() []byte { page = small.Get().(*[4 << 10]byte); return page[:0] },
			func([]byte) { small.Put(page) },
		},
		// Never given back: one for each connection.
		{"own", func() []byte { return own[:0] }, func(buf []byte) { own = buf }},
		{"make", func() []byte { return nil }, func([]byte) {}},
	}
}

// BenchmarkGather writes packets of about 100 bytes into one buffer, as many as go out together, and gives
// it back. An operation is one such write; with packets=mixed it is one packet in nine of ten writes, else
// up to 600. held-B/B is how much memory lies under each byte while it waits to be written.
func BenchmarkGather(b *testing.B) {
	frame := codec.AppendPacket(nil, codec.WorkComplete, "H:host:1234567", string(make([]byte, jobPayload)))
	for _, packets := range []int{1, 16, 600, 0} {
		name := fmt.Sprint(packets)
		if packets == 0 {
			name = "mixed"
		}
		for _, g := range gatherers() {
			b.Run(fmt.Sprintf("packets=%s/pool=%s", name, g.name), func(b *testing.B) {
				r := rand.New(rand.NewPCG(3, 4))
				bytes, capacity := 0.0, 0.0
				b.ReportAllocs()
				defer cpuPerOp(b)()
				for range b.N {
					n := packets
					if n == 0 {
						if n = 1; r.IntN(10) == 0 {
							n = 1 + r.IntN(600)
						}
					}
					buf := g.begin()
					for range n {
						buf = append(buf, frame...)
					}
					bytes += float64(len(buf))
					capacity += float64(cap(buf))
					g.end(buf)
				}
				b.StopTimer()
				b.ReportMetric(capacity/bytes, "held-B/B")
			})
		}
	}
}

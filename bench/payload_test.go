package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/valyala/bytebufferpool"

	"gearloop/internal/payload"
)

// holder is a way to hold a payload that comes in by reads.
type holder struct {
	name    string
	get     func(size int) held
	release func(held)
}

// held is a payload that is held in one of the ways.
type held struct {
	classes  *payload.Payload
	plain    []byte
	buffer   *bytebufferpool.ByteBuffer
	capacity int // memory it takes, in bytes
}

// source is what reads bring.
var source = make([]byte, readBuffer)

// byReads calls write with what each read brings until size bytes have come.
func byReads(size int, write func(b []byte)) {
	for size > 0 {
		n := min(size, len(source))
		write(source[:n])
		size -= n
	}
}

// holders returns all ways, with pools of their own where they have one: bytebufferpool tunes itself to what
// it is used for.
func holders() []holder {
	var grown, sized bytebufferpool.Pool
	return []holder{
		{"classes", func(size int) held {
			_, before := payload.InUse()
			p := payload.New(size)
			byReads(size, func(b []byte) { p.Fill(b) })
			_, after := payload.InUse()
			return held{classes: p, capacity: int(after - before)}
		}, func(h held) { h.classes.Release() }},
		{"make", func(size int) held {
			buf := make([]byte, 0, size)
			byReads(size, func(b []byte) { buf = append(buf, b...) })
			return held{plain: buf, capacity: cap(buf)}
		}, func(held) {}},
		{"bytebufferpool", func(size int) held {
			buf := grown.Get()
			byReads(size, func(b []byte) { buf.Write(b) })
			return held{buffer: buf, capacity: cap(buf.B)}
		}, func(h held) { grown.Put(h.buffer) }},
		{"bytebufferpool-sized", func(size int) held {
			buf := sized.Get()
			if cap(buf.B) < size {
				buf.B = make([]byte, 0, size)
			}
			byReads(size, func(b []byte) { buf.Write(b) })
			return held{buffer: buf, capacity: cap(buf.B)}
		}, func(h held) { sized.Put(h.buffer) }},
	}
}

// payloadMixes are sizes of payloads as they come one after the other.
var payloadMixes = []struct {
	name string
	size func(r *rand.Rand) int
}{
	{"64B", func(*rand.Rand) int { return 64 }},
	{"5KiB", func(*rand.Rand) int { return 5 << 10 }},
	{"64KiB", func(*rand.Rand) int { return 64 << 10 }},
	{"1MiB", func(*rand.Rand) int { return 1 << 20 }},
	{"16MiB", func(*rand.Rand) int { return 16 << 20 }},
	// Nine of ten are small, one in a hundred is large.
	{"mixed", func(r *rand.Rand) int {
		switch n := r.IntN(100); {
		case n < 90:
			return 64 + r.IntN(2<<10)
		case n < 99:
			return 4<<10 + r.IntN(60<<10)
		default:
			return 512<<10 + r.IntN(1<<20)
		}
	}},
}

// BenchmarkPayload takes in payloads, holds some of them for a while, as jobs that are queued or on their way
// out are, and lets go of the oldest. held-B/B is how much memory lies under each byte that is held.
func BenchmarkPayload(b *testing.B) {
	for _, mix := range payloadMixes {
		for _, h := range holders() {
			b.Run(fmt.Sprintf("sizes=%s/pool=%s", mix.name, h.name), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				live := make([]held, min(16, max(2, (16<<20)/mix.size(r))))
				for i := range live {
					live[i] = h.get(mix.size(r))
				}
				bytes, capacity := 0.0, 0.0
				b.ReportAllocs()
				b.ResetTimer()
				end := cpuPerOp(b)
				for i := range b.N {
					oldest := &live[i%len(live)]
					h.release(*oldest)
					size := mix.size(r)
					*oldest = h.get(size)
					bytes += float64(size)
					capacity += float64(oldest.capacity)
				}
				b.StopTimer()
				end()
				for _, l := range live {
					h.release(l)
				}
				b.SetBytes(int64(bytes / float64(b.N)))
				b.ReportMetric(capacity/bytes, "held-B/B")
			})
		}
	}
}

// BenchmarkPayloadParallel is the same with all processors at once and one size: how well the pools
// are shared.
func BenchmarkPayloadParallel(b *testing.B) {
	for _, h := range holders() {
		b.Run("pool="+h.name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpuPerOp(b)()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					h.release(h.get(5 << 10))
				}
			})
		})
	}
}

package bench

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/valyala/bytebufferpool"
)

// BenchmarkSchedLoops is one whole foreground job with as many goroutines as processors that Go is told to
// use, as a server with so many loops has. With functions=own each goroutine's jobs are of a function of its
// own, with functions=one all are of the same. wait-ns/op is the time that goroutines wait for locks; where
// there are fewer real processors, a thread that holds one may be off its processor. What costs more with
// more loops shows in cpu-ns/op.
func BenchmarkSchedLoops(b *testing.B) {
	for _, kind := range []string{"own", "one"} {
		for _, loops := range []int{1, 2, 4, 8, 16, 32, 64} {
			b.Run(fmt.Sprintf("functions=%s/loops=%d", kind, loops), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(loops))
				s := newSched()
				names := functionNames(loops)
				stations := make([]*station, loops)
				for i := range stations {
					name := names[0]
					if kind == "own" {
						name = names[i]
					}
					stations[i] = newStation(s, []string{name})
				}
				// With a small heap the collector would run all the time, and more of it with more processors.
				ballast := make([]byte, 256<<20)
				before := lockWaits()
				benchmarkJobs(b, stations)
				b.StopTimer()
				b.ReportMetric(float64(lockWaits()-before)/float64(b.N), "wait-ns/op")
				runtime.KeepAlive(ballast)
				if queued, running := s.Outstanding(); queued+running != 0 {
					b.Errorf("%d jobs queued and %d running at the end", queued, running)
				}
			})
		}
	}
}

// lockWaits returns how long goroutines have waited for locks so far, in all.
func lockWaits() time.Duration {
	waits := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(waits)
	return time.Duration(waits[0].Value.Float64() * 1e9)
}

// BenchmarkGatherLoops takes a buffer for output and gives it back, as a loop does for each connection that
// it writes to, with as many goroutines as processors: from the pool that all loops share, and from one that
// counts nothing.
func BenchmarkGatherLoops(b *testing.B) {
	plain := sync.Pool{New: func() any { return new(bytebufferpool.ByteBuffer) }}
	for _, pool := range []struct {
		name string
		use  func(frame []byte)
	}{
		{"bytebufferpool", func(frame []byte) {
			buffer := bytebufferpool.Get()
			buffer.B = append(buffer.B, frame...)
			bytebufferpool.Put(buffer)
		}},
		{"sync.Pool", func(frame []byte) {
			buffer := plain.Get().(*bytebufferpool.ByteBuffer)
			buffer.B = append(buffer.B[:0], frame...)
			plain.Put(buffer)
		}},
	} {
		for _, loops := range []int{1, 2} {
			b.Run(fmt.Sprintf("pool=%s/loops=%d", pool.name, loops), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(loops))
				b.ReportAllocs()
				defer cpuPerOp(b)()
				share(b.N, loops, func(_, n int) {
					frame := make([]byte, 100)
					for range n {
						pool.use(frame)
					}
				})
			})
		}
	}
}

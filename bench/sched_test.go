package bench

import (
	"fmt"
	"testing"

	"gearloop/codec"
)

// jobPayload is the size of the arguments in the benchmarks of the scheduler, in bytes.
const jobPayload = 64

// BenchmarkSchedJob is one whole foreground job of one client and one worker that is awake. Each
// goroutine has a client and a worker of its own that can do all functions. With jobs queued, spread over
// the functions, each new one goes behind them and the worker gets the one that is first.
func BenchmarkSchedJob(b *testing.B) {
	for _, functions := range []int{1, 64} {
		for _, queued := range []int{0, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("functions=%d/queued=%d", functions, queued), func(b *testing.B) {
				s := newSched()
				names := functionNames(functions)
				queueJobs(s, names, queued)
				// They stay to the end: jobs of clients that have gone would be dropped.
				stations := newStations(s, names, 16)
				for _, goroutines := range []int{1, 2, 4, 8, 16} {
					b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
						benchmarkJobs(b, stations[:goroutines])
					})
				}
				if now, running := s.Outstanding(); now != queued || running != 0 {
					b.Errorf("%d jobs queued and %d running at the end", now, running)
				}
			})
		}
	}
}

// benchmarkJobs shares the jobs among the stations, a goroutine each.
func benchmarkJobs(b *testing.B, stations []*station) {
	b.ReportAllocs()
	b.ResetTimer()
	defer cpuPerOp(b)()
	share(b.N, len(stations), func(g, jobs int) {
		for i := range jobs {
			stations[g].job(g + i)
		}
	})
}

// BenchmarkSchedMemory queues a million background jobs with an argument of 64 bytes. B/job is the heap
// that each takes, charged-B/job what the scheduler books for it on its memory limit.
func BenchmarkSchedMemory(b *testing.B) {
	const jobs = 1_000_000
	for _, unique := range []string{"", "0123456789abcdef"} {
		b.Run(fmt.Sprintf("unique=%d", len(unique)), func(b *testing.B) {
			var heap, charged float64
			for range b.N {
				before := heapInUse()
				s := newSched()
				st := newStation(s, functionNames(1))
				data := submission("function_0", unique)
				for i := range jobs {
					if unique != "" {
						copy(data[len("function_0\x00"):], fmt.Sprintf("%016x", i))
					}
					st.handle(&st.client, codec.SubmitJobBg, data)
				}
				if queued, _ := s.Outstanding(); queued != jobs {
					b.Fatalf("%d jobs queued", queued)
				}
				heap += float64(heapInUse()-before) / jobs
				charged += float64(s.Count().Memory) / jobs
			}
			n := float64(b.N)
			b.ReportMetric(heap/n, "B/job")
			b.ReportMetric(charged/n, "charged-B/job")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n/jobs, "ns/job")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSchedAbilities is a worker that can do a thousand functions: it registers them and leaves,
// without and with another worker that keeps them known; and as the one who is there, it asks for
// a job when there is none and goes to sleep when it sleeps already.
func BenchmarkSchedAbilities(b *testing.B) {
	const abilities = 1000
	names := functionNames(abilities)
	perFunction := func(b *testing.B, f func()) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/abilities, "ns/function")
	}
	s := newSched()
	data := make([][]byte, abilities)
	for i, name := range names {
		data[i] = []byte(name)
	}
	comeAndGo := func() {
		st := newStation(s, nil)
		for _, name := range data {
			st.handle(&st.worker, codec.CanDo, name)
		}
		st.leave()
	}
	b.Run("CAN_DO_and_leave/functions=new", func(b *testing.B) { perFunction(b, comeAndGo) })
	st := newStation(s, names)
	b.Run("CAN_DO_and_leave/functions=known", func(b *testing.B) { perFunction(b, comeAndGo) })
	b.Run("GRAB_JOB", func(b *testing.B) {
		perFunction(b, func() { st.handle(&st.worker, codec.GrabJob, nil) })
	})
	b.Run("PRE_SLEEP", func(b *testing.B) {
		perFunction(b, func() { st.handle(&st.worker, codec.PreSleep, nil) })
	})
}

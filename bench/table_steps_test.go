package bench

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// BenchmarkTableSteps tells of a million queued jobs, a million workers and 100,000 functions, step by step,
// as a loop does: a loop takes steps until they have cost 512. Times of single steps: µs/step on average,
// p99.9-µs and max-µs, the latter with whatever else the machine does. steps is how many there are.
func BenchmarkTableSteps(b *testing.B) {
	const many, functions = 1_000_000, 100_000
	s := newSched()
	var fx sched.Effects
	now := time.Now()
	peers := make([]sched.Peer, many)
	for i := range peers {
		p := &peers[i]
		p.FD = i
		s.Connect(p)
		s.Handle(p, codec.CanDo, payload.Borrow([]byte(fmt.Sprint("function-", i%functions))), now, &fx)
		s.Handle(p, codec.PreSleep, payload.View{}, now, &fx)
		fx.Reset()
	}
	client := &peers[0]
	for i := range many {
		t := codec.SubmitJobBg
		if i%2 == 0 {
			t = codec.SubmitJob
		}
		args := "function-" + strconv.Itoa(i%functions) + "\x00" + strconv.Itoa(i) + "\x00argument"
		s.Handle(client, t, payload.Borrow([]byte(args)), now, &fx)
		fx.Reset()
	}
	a := &admin.Admin{Sched: s, Dialect: dialect.Perl, Objects: func() []admin.Objects { return nil }}
	for _, command := range []string{"jobs", "show unique jobs", "workers", "status", "prioritystatus", "clients", "gladiator"} {
		b.Run(command, func(b *testing.B) {
			times := hdrhistogram.New(100, int64(time.Minute), 3)
			out := make([]byte, 0, 64<<10)
			b.ReportAllocs()
			steps := 0
			for b.Loop() {
				_, table, _ := a.Execute([]byte(command), admin.Asker{From: admin.Loopback}, time.Now(), &fx)
				for more := true; more; steps++ {
					began := time.Now()
					_, _, more = table.Next(out)
					times.RecordValue(int64(time.Since(began)))
				}
			}
			b.ReportMetric(times.Mean()/1e3, "µs/step")
			b.ReportMetric(float64(times.ValueAtQuantile(99.9))/1e3, "p99.9-µs")
			b.ReportMetric(float64(times.Max())/1e3, "max-µs")
			b.ReportMetric(float64(steps)/float64(b.N), "steps")
		})
	}
}

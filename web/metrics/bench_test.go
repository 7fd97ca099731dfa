package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
)

// BenchmarkBesideScrapes makes a submission and a hand-out on a goroutine of their own, as an event loop
// does, while scrapes of 100,000 functions follow each other. The longest time of such a pair shows for how
// long a scrape blocks a loop.
func BenchmarkBesideScrapes(b *testing.B) {
	for _, scrapes := range []bool{false, true} {
		b.Run(fmt.Sprint("scrapes=", scrapes), func(b *testing.B) {
			r := newRig(b, sched.MetricsConfig{Functions: 1000, Histograms: 100})
			c := r.connect()
			for i := range 100_000 {
				r.do(c, codec.SubmitJobBg, fmt.Sprint("function-", i), "", "x")
			}
			loop := &rig{TB: b, sched: r.sched, now: r.now}
			client, worker := loop.connect(), loop.connect()
			for i := range 64 {
				loop.do(worker, codec.CanDo, fmt.Sprint("loop-", i))
			}
			stop, ended := make(chan struct{}), make(chan struct{})
			made := 0
			go func() {
				defer close(ended)
				for scrapes {
					select {
					case <-stop:
						return
					default:
						r.get("/metrics")
						made++
					}
				}
			}()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				loop.do(client, codec.SubmitJobBg, fmt.Sprint("loop-", i%64), "", "x")
				loop.do(worker, codec.GrabJob)
				took = append(took, time.Since(began))
				loop.do(worker, codec.WorkComplete, loop.handle, "")
			}
			close(stop)
			<-ended
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1e3, "µs-max")
			b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds())/1e3, "µs-p99.9")
			b.ReportMetric(float64(made), "scrapes")
		})
	}
}

// BenchmarkScrape makes a scrape of so many functions with the default bounds.
func BenchmarkScrape(b *testing.B) {
	for _, functions := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(functions), func(b *testing.B) {
			r := newRig(b, sched.MetricsConfig{Functions: 1000, Histograms: 100})
			c, w := r.connect(), r.connect()
			for i := range functions {
				name := fmt.Sprint("function-", i)
				r.do(c, codec.SubmitJobBg, name, "", "x")
				if i < 200 {
					r.do(w, codec.CanDo, name)
					r.do(c, codec.SubmitJobBg, name, "", "x")
					r.do(w, codec.GrabJob)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				text := r.get("/metrics")
				b.ReportMetric(float64(len(text)), "bytes")
				b.ReportMetric(float64(strings.Count(text, "\n")), "lines")
			}
		})
	}
}

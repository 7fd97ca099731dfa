package bench

import (
	"testing"
	"time"

	"gearloop/internal/dialect"
	"gearloop/sched"
)

// BenchmarkSchedMetrics is what metrics add to a job, submitted, grabbed and completed by one goroutine:
// counters that outlive the function, and three times in the histograms of all functions and in those of its
// own.
func BenchmarkSchedMetrics(b *testing.B) {
	for _, c := range []struct {
		name    string
		metrics *sched.MetricsConfig
	}{
		{"off", nil}, {"sums", &sched.MetricsConfig{}}, {"own", &sched.MetricsConfig{Functions: 1000, Histograms: 100}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := sched.New(sched.Config{
				Dialect: dialect.Perl, HandlePrefix: "H:host", MaxMemory: 64 << 30, Start: time.Now(), Wakeup: 3, WakeupDelay: -1, Metrics: c.metrics,
			})
			benchmarkJobs(b, newStations(s, functionNames(64), 1))
		})
	}
}

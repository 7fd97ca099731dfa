package bench

import (
	"context"
	"errors"
	"testing"

	"gearloop/internal/load"
	"gearloop/internal/rounds"
	"gearloop/test/await"
)

// syscallJobs is how many jobs are done while system calls are counted.
const syscallJobs = 2000

// BenchmarkWholeJob is one whole job over loopback, in each scenario with each server. srv-µs/job is the
// server's processor time, load-µs/job that of the clients and workers, p50-µs and the others are the time
// from submission to result; syscalls/job are the server's, and B/conn what its memory grew for each
// connection that sleeps, where there are such.
func BenchmarkWholeJob(b *testing.B) {
	for _, s := range Scenarios() {
		b.Run("scenario="+s.Name, func(b *testing.B) {
			for _, name := range []string{"floor", "gearloop-1", "gearloop", "c", "perl"} {
				if s.Large && name == "floor" {
					continue
				}
				b.Run("server="+name, func(b *testing.B) { benchmarkScenario(b, s, name) })
			}
		})
	}
}

func benchmarkScenario(b *testing.B, s Scenario, name string) {
	server := startServer(b, name)
	cfg := s.Load
	cfg.Addr = server.Addr
	ctx := context.Background()
	l, err := load.Open(ctx, cfg, server.PID)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	run := func(span load.Span) load.Result {
		res, err := l.Run(ctx, span)
		if err != nil {
			b.Fatal(err)
		}
		return res
	}
	// Every connection has been used and every buffer has its size before the clock runs.
	warm := 2 * cfg.Clients * cfg.Depth
	run(load.Span{Jobs: warm})
	b.ResetTimer()
	res := run(load.Span{Jobs: b.N, PID: server.PID})
	b.StopTimer()
	report := func(p load.Part, prefix string) {
		b.ReportMetric(rounds.PerSecond(p), prefix+"jobs/s")
		b.ReportMetric(rounds.PerJob(p.Server, p), prefix+"srv-µs/job")
		b.ReportMetric(rounds.PerJob(p.Generator, p), prefix+"load-µs/job")
	}
	report(res.Part, "")
	for _, q := range []struct {
		percent float64
		unit    string
	}{{50, "p50-µs"}, {99, "p99-µs"}, {99.9, "p99.9-µs"}} {
		b.ReportMetric(float64(res.Times.ValueAtQuantile(q.percent))/1e3, q.unit)
	}
	if cfg.Mode == load.Background {
		report(res.Drain, "drain-")
	}
	if g := l.Growth(); g.Connections > 0 {
		b.ReportMetric(float64(g.Connected-g.Before)/float64(g.Connections), "B/conn")
	}
	b.ReportMetric(0, "ns/op") // what jobs/s says already
	if b.N < 100 {
		return // a first try of package testing; the last one counts
	}
	jobs := min(syscallJobs, b.N)
	calls, tool, err := Syscalls(server.PID, func() error {
		run(load.Span{Jobs: jobs})
		return nil
	})
	if err != nil {
		b.Logf("no syscalls/job: %v", err)
		return
	}
	b.Logf("system calls counted by %s", tool)
	b.ReportMetric(float64(calls)/float64(jobs), "syscalls/job")
}

// TestSyscalls counts with each tool the system calls of a server that gets a known number of requests.
func TestSyscalls(t *testing.T) {
	server := startServer(t, "floor")
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	const requests = 100
	l, err := load.Open(ctx, load.Config{
		Addr: server.Addr, Mode: load.Echo, Function: "f", Functions: 1, Clients: 1, Depth: 1, Payload: 64,
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	counters := map[string]func(int, func() error) (int64, error){"perf": perfSyscalls, "strace": straceSyscalls}
	counted := false
	for name, count := range counters {
		var calls int64
		var err error
		// epoll_wait, read and write for each, and some of the runtime's, which preempts the relay every 10 ms: on a busy
		// machine the relay takes long, but not each time.
		for try := 0; try == 0 || try < 5 && err == nil && calls >= 4*requests; try++ {
			calls, err = count(server.PID, func() error {
				_, err := l.Run(ctx, load.Span{Jobs: requests})
				return err
			})
		}
		if errors.Is(err, errNoCount) {
			t.Logf("%s can't count here: %v", name, err)
			continue
		}
		if err != nil || calls < 3*requests || calls >= 4*requests {
			t.Errorf("%s: %d system calls for %d requests, error %v", name, calls, requests, err)
		}
		counted = true
	}
	if !counted {
		t.Error("neither tool can count")
	}
}

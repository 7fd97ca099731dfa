package bench

import (
	"fmt"
	"os"
	"testing"
	"time"

	"gearloop/peers"
)

// programs are the reference servers that may be missing, and where they come from.
var programs = map[peers.Kind]struct{ path, debianPackage string }{
	peers.Perl: {"/usr/bin/gearmand", "gearman-server"},
	peers.C:    {"/usr/sbin/gearmand", "gearman-job-server"},
}

// startServer starts a server, or skips the benchmark when a reference server is not installed.
func startServer(b *testing.B, kind peers.Kind, args ...string) *peers.Server {
	if p, ok := programs[kind]; ok {
		if _, err := os.Stat(p.path); err != nil {
			b.Skipf("no %s server to compare with: %s is missing, it comes with Debian's package %s", kind, p.path, p.debianPackage)
		}
	}
	return peers.Start(b, kind, args...)
}

// BenchmarkWholeJob is one whole job over loopback: SUBMIT_JOB, the waking of a worker if need be, JOB_ASSIGN,
// WORK_COMPLETE to the client. srv-µs/job is the server's processor time, load-µs/job that of the clients and
// workers; p50-µs and p99-µs are the time from submission to result.
func BenchmarkWholeJob(b *testing.B) {
	for _, server := range []struct {
		name string
		kind peers.Kind
		args []string
	}{
		{"gearloop", peers.Gearloop, nil},
		{"gearloop-1-loop", peers.Gearloop, []string{"--loops", "1"}},
		{"perl", peers.Perl, nil},
		{"c", peers.C, nil},
	} {
		b.Run("server="+server.name, func(b *testing.B) {
			s := startServer(b, server.kind, server.args...)
			for _, cfg := range []LoadConfig{
				{Clients: 1, Depth: 1, Workers: 1, Payload: 64},
				{Clients: 1, Depth: 64, Workers: 4, Payload: 64},
				{Clients: 16, Depth: 1, Workers: 16, Payload: 64},
				{Clients: 16, Depth: 16, Workers: 16, Payload: 64},
				{Clients: 64, Depth: 16, Workers: 64, Payload: 64},
				{Clients: 16, Depth: 4, Workers: 16, Payload: 4 << 10},
				{Clients: 4, Depth: 4, Workers: 4, Payload: 64 << 10},
				{Clients: 2, Depth: 2, Workers: 2, Payload: 1 << 20},
			} {
				cfg.Addr, cfg.Function = s.Addr, "bench"
				name := fmt.Sprintf("clients=%d/depth=%d/workers=%d/payload=%d", cfg.Clients, cfg.Depth, cfg.Workers, cfg.Payload)
				b.Run(name, func(b *testing.B) { benchmarkLoad(b, s, cfg) })
			}
		})
	}
}

func benchmarkLoad(b *testing.B, s *peers.Server, cfg LoadConfig) {
	l, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	// Every connection has been used and every buffer has its size before the clock runs.
	if _, err := l.Run(4 * cfg.Clients * cfg.Depth); err != nil {
		b.Fatal(err)
	}
	cpu := func() time.Duration {
		user, system, err := CPUTime(s.PID)
		if err != nil {
			b.Fatal(err)
		}
		return user + system
	}
	serverBefore, ownBefore := cpu(), OwnCPU()
	b.ResetTimer()
	res, err := l.Run(b.N)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	perJob := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(res.Jobs) }
	b.ReportMetric(float64(res.Jobs)/res.Elapsed.Seconds(), "jobs/s")
	b.ReportMetric(float64(res.Latency.Quantile(0.5))/1e3, "p50-µs")
	b.ReportMetric(float64(res.Latency.Quantile(0.99))/1e3, "p99-µs")
	b.ReportMetric(perJob(cpu()-serverBefore), "srv-µs/job")
	b.ReportMetric(perJob(OwnCPU()-ownBefore), "load-µs/job")
	b.ReportMetric(0, "ns/op") // what jobs/s says already
}

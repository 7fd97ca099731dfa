package enginebench

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var engines = []struct {
	name string
	open func(string) (Engine, error)
}{
	{"pebble", OpenPebble}, {"bbolt", OpenBolt}, {"tidwall-wal", OpenTidwall}, {"pebble-record", OpenRecord},
	{"store", OpenStore},
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func diskUsage(dir string) (sum int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}

const size = 140 // a job of 100 bytes with its function, unique id and numbers

func commit(b *testing.B, e Engine, first uint64, jobs [][]byte, ended []uint64) {
	if err := e.Commit(first, jobs, ended); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSubmit appends jobs with so many in flight; each ends one round later.
func BenchmarkSubmit(b *testing.B) {
	for _, inFlight := range []int{1, 64, 256} {
		for _, engine := range engines {
			b.Run(engine.name+"/inflight="+map[int]string{1: "1", 64: "64", 256: "256"}[inFlight], func(b *testing.B) {
				dir := b.TempDir()
				e, err := engine.open(dir)
				if err != nil {
					b.Fatal(err)
				}
				if err := e.Load(func(uint64, []byte) {}); err != nil {
					b.Fatal(err)
				}
				jobs := make([][]byte, inFlight)
				for i := range jobs {
					jobs[i] = make([]byte, size)
				}
				ended := make([]uint64, 0, inFlight)
				next := uint64(1)
				before := cpu()
				start := time.Now()
				for time.Since(start) < 3*time.Second {
					commit(b, e, next, jobs, ended)
					ended = ended[:0]
					for range jobs {
						ended = append(ended, next)
						next++
					}
				}
				took := time.Since(start)
				b.ReportMetric(float64(next)/took.Seconds(), "jobs/s")
				b.ReportMetric(float64(cpu()-before)/float64(next), "cpu-ns/job")
				b.ReportMetric(float64(diskUsage(dir))/1e6, "MB-left")
				b.ReportMetric(0, "ns/op")
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkLoad opens what has a million jobs and reads them.
func BenchmarkLoad(b *testing.B) {
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			dir := b.TempDir()
			e, err := engine.open(dir)
			if err != nil {
				b.Fatal(err)
			}
			jobs := make([][]byte, 5000)
			for i := range jobs {
				jobs[i] = make([]byte, size)
			}
			if err := e.Load(func(uint64, []byte) {}); err != nil {
				b.Fatal(err)
			}
			for i := range uint64(200) {
				commit(b, e, 1+i*5000, jobs, nil)
			}
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				e, err := engine.open(dir)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				if err := e.Load(func(uint64, []byte) { n++ }); err != nil || n != 1_000_000 {
					b.Fatal(n, err)
				}
				b.StopTimer()
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

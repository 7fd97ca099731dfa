package disk

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gearloop/store"
	"gearloop/test/await"
)

// window bounds the number of jobs in flight. Each job ends when the next batch but one is stored.
type window struct {
	free chan struct{}
	d    *Disk
	ends bool
}

func (w *window) Stored(ref store.Ref, err error) {
	if err != nil {
		panic(err)
	}
	if w.ends {
		w.d.Done(ref)
	}
	w.free <- struct{}{}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var hundred = [][]byte{make([]byte, 100)}

// BenchmarkAppend stores jobs of 100 bytes durably, with so many in flight. If ends is set each ends once it
// is stored.
func BenchmarkAppend(b *testing.B) {
	for _, inFlight := range []int{1, 64, 256} {
		for _, ends := range []bool{false, true} {
			b.Run(fmt.Sprintf("inflight=%d/ends=%v", inFlight, ends), func(b *testing.B) {
				d := open(b, Options{Dir: b.TempDir()})
				load(b, d)
				w := &window{free: make(chan struct{}, inFlight), d: d, ends: ends}
				for range inFlight {
					w.free <- struct{}{}
				}
				job := &store.Job{Function: "resize", Unique: "0123456789", Priority: store.Normal, Argument: hundred}
				before := cpuTime()
				b.ResetTimer()
				for b.Loop() {
					<-w.free
					job.Number++
					if _, err := d.Append(job, w); err != nil {
						b.Fatal(err)
					}
				}
				for range inFlight {
					<-w.free
				}
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/job")
				s := d.Stats()
				b.ReportMetric(float64(s.DiskBytes)/1e6, "disk-MB")
				b.ReportMetric(float64(s.LiveBytes)/1e6, "live-MB")
				closeStore(b, d)
			})
		}
	}
}

// counted counts stored jobs.
type counted struct{ n atomic.Int64 }

func (c *counted) Stored(store.Ref, error) { c.n.Add(1) }

// storeMany stores n jobs of 100 bytes and returns their refs.
func storeMany(b testing.TB, d *Disk, n int) []store.Ref {
	c := &counted{}
	refs := make([]store.Ref, n)
	job := &store.Job{Function: "resize", Priority: store.Normal, Argument: hundred}
	for i := range refs {
		job.Number = uint64(i + 1)
		job.Unique = fmt.Sprint("unique", i)
		var err error
		for refs[i], err = d.Append(job, c); err == store.ErrBusy; refs[i], err = d.Append(job, c) {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	await.Until(b, "all is stored", func() bool { return c.n.Load() == int64(n) })
	return refs
}

// BenchmarkDone ends jobs in the order in which they were submitted, and waits until that is on the disk.
func BenchmarkDone(b *testing.B) {
	const n = 500_000
	d := open(b, Options{Dir: b.TempDir()})
	load(b, d)
	for b.Loop() {
		b.StopTimer()
		refs := storeMany(b, d, n)
		b.StartTimer()
		before := cpuTime()
		for _, ref := range refs {
			d.Done(ref)
		}
		flushed(b, d)
		b.ReportMetric(float64(cpuTime()-before)/n, "cpu-ns/job")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/job")
	closeStore(b, d)
}

// ordered counts jobs and checks that they come in order.
type ordered struct {
	store.NoEvents
	tb   testing.TB
	n    int
	last uint64
}

func (o *ordered) Adopt(jobs []store.Job) bool {
	for i := range jobs {
		if jobs[i].Number <= o.last {
			o.tb.Error("out of order")
		}
		o.last = jobs[i].Number
	}
	o.n += len(jobs)
	return true
}

// BenchmarkLoad opens a directory with a million jobs of 100 bytes and reads them all: as they were appended,
// and after more jobs than that were added and ended, so that cleaning has moved most of them.
func BenchmarkLoad(b *testing.B) {
	const n = 1_000_000
	for _, more := range []int{0, n} {
		b.Run(fmt.Sprintf("gone=%d", more), func(b *testing.B) {
			dir := b.TempDir()
			d := open(b, Options{Dir: dir})
			load(b, d)
			refs := storeMany(b, d, n+more)
			for i := 0; i < more; i++ {
				d.Done(refs[2*i])
			}
			flushed(b, d)
			closeStore(b, d)
			for b.Loop() {
				d := open(b, Options{Dir: dir})
				c := &ordered{tb: b}
				if err := d.Start(c); err != nil || c.n != n {
					b.Fatal(c.n, err)
				}
				b.StopTimer()
				b.ReportMetric(float64(d.Stats().DiskBytes)/float64(d.Stats().LiveBytes), "disk/live")
				closeStore(b, d)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkSteady keeps 200,000 jobs queued while jobs are added and ended, a tenth of them only after a long
// time, and reports how much of the disk that takes.
func BenchmarkSteady(b *testing.B) {
	const n = 200_000
	d := open(b, Options{Dir: b.TempDir()})
	load(b, d)
	refs := storeMany(b, d, n)
	c := &counted{}
	var most float64
	job := &store.Job{Number: n, Function: "resize", Unique: "0123456789", Priority: store.Normal, Argument: hundred}
	var busy sync.WaitGroup
	sent := int64(0)
	for i := 0; b.Loop(); i++ {
		job.Number++
		at := i % n
		if at%10 == 0 && i/n%8 != 0 { // stays for eight rounds
			continue
		}
		d.Done(refs[at])
		var err error
		if refs[at], err = d.Append(job, c); err != nil {
			b.Fatal(err)
		}
		sent++
		for sent-c.n.Load() > 1000 {
			time.Sleep(100 * time.Microsecond)
		}
		if i%10_000 == 0 && i > n {
			s := d.Stats()
			most = max(most, float64(s.DiskBytes)/float64(s.LiveBytes))
		}
	}
	busy.Wait()
	b.ReportMetric(most, "disk/live")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	closeStore(b, d)
}

package disk

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// Each call to the file system fails in turn, in each way, once or for a while. What was acknowledged is
// there after a loss of power, what was not stored was refused, and the store takes jobs again.
func TestEachCallFails(t *testing.T) {
	for _, fault := range []struct {
		name  string
		err   error
		count int
		step  int
		mode  SyncMode
	}{
		{"no space", errNoSpace, 1, 1, SyncAlways}, {"I/O", errIO, 1, 1, SyncAlways},
		{"short", errShort, 1, 1, SyncAlways}, {"no space for a while", errNoSpace, 9, 4, SyncAlways},
		{"I/O for a while", errIO, 4, 3, SyncAlways}, {"I/O, interval", errIO, 1, 2, SyncInterval},
		{"no space, none", errNoSpace, 1, 3, SyncNone},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at += fault.step {
				f := &faults{at: at, count: fault.count, err: fault.err}
				if err := faultyRun(t, f, fault.mode); err != nil {
					t.Fatalf("fault at call %d: %v", at, err)
				}
				if f.hit() == 0 {
					if at < 30 {
						t.Fatal("there were hardly any calls")
					}
					return
				}
			}
		})
	}
}

func faultyRun(t *testing.T, f *faults, mode SyncMode) error {
	mem := vfs.NewCrashableMem()
	opts := quick(&hookFS{FS: mem, before: f.before})
	opts.segmentSize, opts.Sync, opts.Interval = 2<<10, mode, time.Millisecond
	l := newLedger()
	var err error
	for range 12 { // a fault while opening is an error; the next attempt may go well
		if l.d, err = Open(opts); err == nil {
			if _, err = loadAll(l.d); err == nil {
				break
			}
			_ = l.d.Close()
		}
		if f.hit() == 0 {
			return fmt.Errorf("open: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("it never opens: %w", err)
	}
	l.workload(t)
	f.over()
	// It recovers by itself.
	number := uint64(1000)
	await.Until(t, "jobs are taken again", func() bool {
		number++
		came := l.append(small(number))
		return came != nil && <-came == nil
	})
	await.Until(t, "no failure is left", func() bool { return l.d.Stats().Failed == nil })
	crashed := quick(mem.CrashClone(vfs.CrashCloneCfg{}))
	if mode != SyncAlways {
		crashed = quick(whole(mem))
	}
	if err := l.d.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	// What was refused for good must not be there after an orderly end.
	for i, opts := range []Options{crashed, quick(mem)} {
		d, err := Open(opts)
		if err != nil {
			return err
		}
		err = l.check(d, i == 1)
		if closed := d.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// After a failure, jobs that were refused are not there any more once the store has written again.
func TestRefusedIsNotStored(t *testing.T) {
	f := &faults{err: errIO, only: func(op string) bool { return op == "sync" }}
	mem := vfs.NewMem() // keeps what was written though its sync failed
	d := open(t, quick(&hookFS{FS: mem, before: f.before}))
	load(t, d)
	r := newReceipts()
	put(t, d, r, small(1))
	f.mu.Lock()
	f.at, f.count = f.calls+1, 1
	f.mu.Unlock()
	if _, err := d.Append(small(2), receipt{r, 2}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 2); !errors.Is(err, store.ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatal("receipt:", err)
	}
	await.Until(t, "no failure is left", func() bool { return d.Stats().Failed == nil })
	put(t, d, r, small(3))
	flushed(t, d)
	closeStore(t, d)
	d = open(t, quick(mem))
	if got := fmt.Sprint(numbers(load(t, d))); got != "[1 3]" {
		t.Error(got)
	}
	closeStore(t, d)
}

// While the disk is full, jobs are refused at once and ends are taken; the log hears of it once.
func TestDiskFull(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	opts := quick(&hookFS{FS: mem, before: func(op, _ string) error {
		if full.Load() && (op == "write" || op == "create") {
			return errNoSpace
		}
		return nil
	}})
	var mu sync.Mutex
	var heard []error
	opts.faultEvery = time.Minute
	opts.Fault = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, err)
	}
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	first := put(t, d, r, small(1))
	put(t, d, r, small(2))
	full.Store(true)
	if _, err := d.Append(small(3), receipt{r, 3}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 3); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	for n := uint64(4); n < 100; n++ {
		if _, err := d.Append(small(n), receipt{r, n}); !errors.Is(err, store.ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := d.Stats().Failed; !errors.Is(err, syscall.ENOSPC) {
		t.Error("failed:", err)
	}
	d.Done(first)
	full.Store(false)
	await.Until(t, "no failure is left", func() bool { return d.Stats().Failed == nil })
	put(t, d, r, small(200))
	await.Until(t, "the end of the fault is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(heard) == 2
	})
	if !errors.Is(heard[0], syscall.ENOSPC) || heard[1] != nil {
		t.Error("heard", heard)
	}
	closeStore(t, d)
	d = open(t, quick(mem))
	if got := fmt.Sprint(numbers(load(t, d))); got != "[2 200]" {
		t.Error(got)
	}
	closeStore(t, d)
}

// A broker that starts on a full disk has its jobs, can let them go, and stores new ones once there is room; no
// generation comes twice.
func TestOpenOnFullDisk(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewCrashableMem()
	noRoom := func(op, path string) error {
		if full.Load() && (op == "create" || op == "write" && mem.PathBase(path) != metaName) {
			return errNoSpace
		}
		return nil
	}
	opts := quick(&hookFS{FS: mem, before: noRoom})
	opts.Sync = SyncNone
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	for n := range uint64(20) {
		put(t, d, r, small(n+1))
	}
	// The process is killed; nothing of the last segment is on disk.
	killed := whole(mem)
	closeStore(t, d)
	for range 3 {
		mem := whole(killed)
		opts.fs = &hookFS{FS: mem, before: noRoom}
		full.Store(true)
		heard := make(chan error, 100)
		opts.Fault = func(err error) { heard <- err }
		generation := d.Run()
		d = open(t, opts)
		if err := <-heard; !errors.Is(err, syscall.ENOSPC) {
			t.Error("told:", err)
		}
		if d.Run() <= generation {
			t.Errorf("run %d after %d", d.Run(), generation)
		}
		jobs := load(t, d)
		if len(jobs) != 20 {
			t.Fatal(numbers(jobs))
		}
		if _, err := d.Append(small(99), nil); !errors.Is(err, store.ErrFailed) {
			t.Error(err)
		}
		killed = whole(mem)
		d.Done(jobs[0].Ref)
		full.Store(false)
		await.Until(t, "no failure is left", func() bool { return d.Stats().Failed == nil })
		put(t, d, newReceipts(), small(100))
		flushed(t, d)
		lost := quick(mem.CrashClone(vfs.CrashCloneCfg{}))
		closeStore(t, d)
		for i, opts := range []Options{lost, quick(mem)} {
			after := open(t, opts)
			got := numbers(load(t, after))
			if i == 1 && (len(got) != 20 || got[0] != 2 || got[19] != 100) || i == 0 && !slices.Contains(got, 20) {
				t.Error(got)
			}
			closeStore(t, after)
		}
	}
}

// A store that is closed while the disk fails says so, and loses nothing that was safe.
func TestCloseWhileFailing(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	opts := quick(&hookFS{FS: mem, before: func(op, _ string) error {
		if full.Load() && op != "read" {
			return errNoSpace
		}
		return nil
	}})
	opts.retryEvery = time.Hour
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	put(t, d, r, small(1))
	full.Store(true)
	if _, err := d.Append(small(2), receipt{r, 2}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 2); err == nil {
		t.Fatal("it was stored")
	}
	if err := d.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Error("close:", err)
	}
	d = open(t, quick(mem))
	if got := numbers(load(t, d)); len(got) == 0 || got[0] != 1 {
		t.Error(got)
	}
	closeStore(t, d)
}

// A slow disk holds up receipts, not Append; when too much waits, jobs are refused.
func TestSlowDisk(t *testing.T) {
	gate := make(chan struct{})
	var slow atomic.Bool
	opts := quick(&hookFS{FS: vfs.NewMem(), before: func(op, _ string) error {
		if slow.Load() && op == "sync" {
			<-gate
		}
		return nil
	}})
	opts.MaxQueued = 100_000
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	slow.Store(true)
	n := uint64(0)
	for {
		n++
		job := small(n)
		job.Argument = [][]byte{make([]byte, 1000)}
		_, err := d.Append(job, receipt{r, n})
		if err == store.ErrBusy {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n > 200 {
			t.Fatal("the queue has no bound")
		}
	}
	if n < 50 {
		t.Error("refused after", n)
	}
	if _, ok := r.got(1); ok {
		t.Error("a receipt before the sync")
	}
	slow.Store(false)
	close(gate)
	for i := uint64(1); i < n; i++ {
		if err := r.wait(t, i); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d, r, small(n))
	closeStore(t, d)
}

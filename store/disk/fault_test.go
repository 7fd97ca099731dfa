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

// While the disk is full, jobs are refused at once and ends are accepted. The log has one line about it.
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

// A broker that starts on a full disk has its jobs, can end them, and stores new ones once there is room. No
// generation is used twice.
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
	// The process is killed. Nothing of the last segment is on the disk.
	killed := whole(mem)
	closeStore(t, d)
	for range 3 {
		mem := whole(killed)
		opts.fs = &hookFS{FS: mem, before: noRoom}
		full.Store(true)
		heard := make(chan error, 100)
		opts.Fault = func(err error) {
			select {
			case heard <- err:
			default: // it repeats that while there is no room
			}
		}
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

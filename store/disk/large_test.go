package disk

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// argument reads an argument and waits for it.
func argument(d *Disk, ref store.Ref, w io.Writer) error {
	done := make(chan error)
	d.Argument(ref, w, func(err error) { done <- err })
	return <-done
}

// An argument that cannot be read is reported, and can be read later.
func TestArgumentOnFailingDisk(t *testing.T) {
	var failing atomic.Bool
	d := open(t, quick(&hookFS{FS: vfs.NewMem(), before: func(op, _ string) error {
		if failing.Load() && op == "read" {
			return errIO
		}
		return nil
	}}))
	load(t, d)
	job := small(1)
	job.Argument = [][]byte{make([]byte, testLarge)}
	large := put(t, d, newReceipts(), job)
	failing.Store(true)
	if err := argument(d, large, io.Discard); !errors.Is(err, errIO) {
		t.Error("with a disk that fails:", err)
	}
	failing.Store(false)
	if err := argument(d, large, io.Discard); err != nil {
		t.Error("when it does not any more:", err)
	}
	closeStore(t, d)
}

// If a large argument cannot be written only its job is refused.
func TestArgumentWithoutRoom(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
		if _, isArgument := argumentOf(mem.PathBase(path)); isArgument && op == "write" && full.Load() {
			return errNoSpace
		}
		return nil
	}})
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	full.Store(true)
	job := small(1)
	job.Argument = [][]byte{make([]byte, testLarge)}
	ref, err := d.Append(job, receipt{r, 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 1); !errors.Is(err, store.ErrFailed) || !errors.Is(err, errNoSpace) {
		t.Error("receipt:", err)
	}
	d.Done(ref) // void
	put(t, d, r, small(2))
	full.Store(false)
	job.Number = 3
	put(t, d, r, job)
	closeStore(t, d)
	d = open(t, quick(mem))
	defer closeStore(t, d)
	if jobs := load(t, d); len(jobs) != 2 || jobs[0].Number != 2 || jobs[1].Number != 3 {
		t.Error(numbers(jobs))
	}
}

// Parent directories that are made with the store's survive a loss of power as it does.
func TestDirectoriesAreDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	opts := quick(mem)
	opts.Dir = "/a/b/c/"
	d := open(t, opts)
	load(t, d)
	put(t, d, newReceipts(), small(1))
	opts.fs = mem.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, d)
	d = open(t, opts)
	defer closeStore(t, d)
	if jobs := load(t, d); len(jobs) != 1 {
		t.Error(numbers(jobs))
	}
}

// The argument of a refused job stays until the log says that the job does not count: after a kill in
// between, the next process must not find one without the other.
func TestRefusedKeepsItsArgument(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var failing bool
	opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
		if ofSegment(path) && op == "sync" && failing {
			return errIO
		}
		return nil
	}})
	opts.manual = true
	d := open(t, opts)
	load(t, d)
	failing = true
	r := newReceipts()
	job := small(1)
	job.Argument = [][]byte{make([]byte, testLarge)}
	if _, err := d.Append(job, receipt{r, 1}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		d.turn()
	}
	if err := r.wait(t, 1); !errors.Is(err, errIO) {
		t.Fatal(err)
	}
	closeStore(t, open(t, quick(whole(mem))))
	failing = false
	for range 5 {
		d.turn()
	}
	await.Until(t, "a new segment is written", func() bool { d.turn(); return d.Stats().Failed == nil })
	for range 5 {
		d.turn()
	}
	await.Until(t, "the argument is removed", func() bool { d.turn(); return len(files(t, mem, argumentSuffix)) == 0 })
	d.closeOut()
}

// A refused job is appended again under its number, as a foreground job is when another submission joins it.
// Its newly written argument is not mistaken for the one that was to be removed.
func TestAppendedAgain(t *testing.T) {
	for _, c := range []struct {
		name      string
		fails     string // the call, of segments
		turns     int    // the store is opened again between the refusal and the next attempt
		keepFiles bool   // nothing can be removed until then
	}{
		{"at once", "sync", 0, false},
		{"behind others", "sync", 20, false},
		{"while files can't be removed", "sync", 20, true},
		{"before it was written", "write", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			var failing, keepFiles bool
			opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
				if failing && ofSegment(path) && op == c.fails || keepFiles && op == "remove" && strings.HasSuffix(path, argumentSuffix) {
					return errIO
				}
				return nil
			}})
			opts.manual, opts.retryEvery, opts.lazyFor = true, 1, 1
			d := open(t, opts)
			load(t, d)
			r := newReceipts()
			job := small(7)
			for try := range 3 {
				failing, keepFiles = true, c.keepFiles
				job.Argument = [][]byte{bytes.Repeat([]byte{byte(try)}, testLarge+try)}
				if _, err := d.Append(job, receipt{r, uint64(try)}); err != nil {
					t.Fatal(err)
				}
				d.turn()
				if err := r.wait(t, uint64(try)); !errors.Is(err, errIO) {
					t.Fatal(err)
				}
				failing = false
				await.Until(t, "a new segment is written", func() bool { d.turn(); return d.Stats().Failed == nil })
				for n := range c.turns {
					if _, err := d.Append(small(100+uint64(n)), receipt{r, uint64(1000*try + 100 + n)}); err != nil {
						t.Fatal(err)
					}
					d.turn()
				}
			}
			want := bytes.Repeat([]byte("x"), testLarge+9)
			job.Argument = [][]byte{want}
			ref, err := d.Append(job, receipt{r, 7})
			if err != nil {
				t.Fatal(err)
			}
			d.turn()
			if err := r.wait(t, 7); err != nil {
				t.Fatal(err)
			}
			keepFiles, d.c.tidyAt = false, time.Time{}
			for range 20 {
				d.turn()
			}
			var got bytes.Buffer
			if err := argument(d, ref, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes, %v", got.Len(), err)
			}
			d.closeOut()
			d.dir.Close()
			d = open(t, quick(mem))
			defer closeStore(t, d)
			if jobs := load(t, d); len(jobs) == 0 || jobs[len(jobs)-1].Number != 7 {
				t.Error(numbers(jobs))
			}
		})
	}
}

package disk

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// told collects the faults that a store reports.
type told struct {
	mu   sync.Mutex
	errs []error
}

func (f *told) fault(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *told) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]error(nil), f.errs...)
}

// tree returns the content of a directory, by path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	content := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var b []byte
			b, err = os.ReadFile(path)
			content[path] = string(b)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return content
}

// must requires steps to succeed.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// The directory, or a file of it, is removed or replaced while a store is open. From then on no job is
// acknowledged, and one fault is reported. What is there instead is not touched. When everything is back jobs
// are stored again.
func TestPulledAway(t *testing.T) {
	const segment = "0000000001.log"
	for _, c := range []struct {
		name string
		away func(t *testing.T, dir string)
		back func(dir string) error // nil: it never comes back
	}{
		{"removed", func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, nil},
		{"moved", func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".moved")) },
			func(dir string) error { return os.Rename(dir+".moved", dir) }},
		{"a backup in its place", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".moved"), os.Rename(dir+".backup", dir))
		}, func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".backup"), os.Rename(dir+".moved", dir))
		}},
		{"a file in its place", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".moved"), os.WriteFile(dir, []byte("x"), 0o600))
		}, func(dir string) error { return errors.Join(os.Remove(dir), os.Rename(dir+".moved", dir)) }},
		{"segment moved", func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, segment), dir+".segment"))
		}, func(dir string) error { return os.Rename(dir+".segment", filepath.Join(dir, segment)) }},
		{"segment replaced", func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, segment), dir+".segment"),
				os.WriteFile(filepath.Join(dir, segment), []byte("another"), 0o600))
		}, func(dir string) error { return os.Rename(dir+".segment", filepath.Join(dir, segment)) }},
		{"META replaced", func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, metaName), dir+".meta"),
				os.WriteFile(filepath.Join(dir, metaName), []byte("another"), 0o600))
		}, func(dir string) error { return os.Rename(dir+".meta", filepath.Join(dir, metaName)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			var f told
			opts := Options{Dir: dir, Fault: f.fault, retryEvery: time.Millisecond, lazyFor: time.Millisecond, large: testLarge}
			d := open(t, opts)
			load(t, d)
			r := newReceipts()
			put(t, d, r, small(1))
			large := small(2)
			large.Argument = [][]byte{make([]byte, testLarge)}
			second := put(t, d, r, large)
			must(t, os.CopyFS(dir+".backup", os.DirFS(dir)))
			put(t, d, r, small(3))

			c.away(t, dir)
			before := tree(t, dir)
			for n := uint64(10); n < 20; n++ {
				job := small(n)
				if n == 14 {
					job.Argument = [][]byte{make([]byte, testLarge)}
				}
				_, err := d.Append(job, receipt{r, n})
				if err == nil {
					err = r.wait(t, n)
				}
				if !errors.Is(err, store.ErrFailed) || !errors.Is(err, errDisplaced) || !strings.Contains(err.Error(), dir) {
					t.Fatalf("job %d: %v", n, err)
				}
				if n == 15 {
					d.Done(second)
				}
				if n > 15 {
					time.Sleep(2 * opts.retryEvery) // it tries again meanwhile
				}
			}
			if errs := f.all(); len(errs) != 1 || !errors.Is(errs[0], errDisplaced) {
				t.Errorf("told: %v", errs)
			}
			after := tree(t, dir)
			if c.name == "META replaced" { // the segment is still the store's own, and is written before META is examined
				own := filepath.Join(dir, segment)
				delete(before, own)
				delete(after, own)
			}
			if !maps.Equal(after, before) {
				t.Errorf("it has changed: %q, before %q", slices.Collect(maps.Keys(after)), slices.Collect(maps.Keys(before)))
			}
			if c.back == nil {
				if err := d.Close(); !errors.Is(err, errDisplaced) {
					t.Error("close:", err)
				}
				return
			}
			must(t, c.back(dir))
			await.Until(t, "no failure is left", func() bool { return d.Stats().Failed == nil })
			put(t, d, r, small(30))
			await.Until(t, "its end is told", func() bool { errs := f.all(); return len(errs) == 2 && errs[1] == nil })
			closeStore(t, d)
			d = open(t, Options{Dir: dir, large: testLarge})
			defer closeStore(t, d)
			if got := numbers(load(t, d)); len(got) != 3 || got[0] != 1 || got[1] != 3 || got[2] != 30 {
				t.Error(got)
			}
		})
	}
}

// A store whose directory was removed while it was idle reports that when it is closed at the latest.
func TestPulledAwayAtTheEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := open(t, Options{Dir: dir})
	load(t, d)
	put(t, d, newReceipts(), small(1))
	must(t, os.RemoveAll(dir))
	if err := d.Close(); !errors.Is(err, errDisplaced) {
		t.Error(err)
	}
}

// Without LOCK the directory keeps its own lock: nobody else can open it, and the process that has it
// continues.
func TestLockRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	link := dir + ".link"
	d := open(t, Options{Dir: dir})
	load(t, d)
	must(t, os.Remove(filepath.Join(dir, lockName)), os.Symlink(dir, link))
	for _, path := range []string{dir, link, dir + "/../data"} {
		if _, err := Open(Options{Dir: path}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := Check(path); !errors.Is(err, store.ErrLocked) {
			t.Errorf("check of %s: %v", path, err)
		}
	}
	put(t, d, newReceipts(), small(1))
	closeStore(t, d)
	closeStore(t, open(t, Options{Dir: link}))
}

// Where the directory itself cannot be locked, as on some network file systems, nothing is acknowledged
// without LOCK.
func TestLockIsAllThereIs(t *testing.T) {
	mem := vfs.NewMem() // one of these
	opts := quick(mem)
	opts.retryEvery = time.Hour
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	put(t, d, r, small(1))
	must(t, mem.Remove(testDir+"/"+lockName))
	if _, err := d.Append(small(2), receipt{r, 2}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 2); !errors.Is(err, errDisplaced) || !strings.Contains(err.Error(), lockName) {
		t.Error(err)
	}
	if err := d.Close(); !errors.Is(err, errDisplaced) {
		t.Error(err)
	}
}

// BenchmarkHolds measures the check before each acknowledgement that the directory is still the one that was
// opened.
func BenchmarkHolds(b *testing.B) {
	d := open(b, Options{Dir: b.TempDir()})
	load(b, d)
	put(b, d, newReceipts(), small(1))
	defer closeStore(b, d)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.holds(); err != nil {
			b.Fatal(err)
		}
	}
}

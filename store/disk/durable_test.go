package disk

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/test/await"
	"gearloop/test/sample"
)

// testUnit is the unit of durable files in tests.
const testUnit = 512

// openDurable implements durableFS.
func (h *hookFS) openDurable(path string) (durableFile, int, error) {
	if h.shuffle == nil {
		return nil, 0, errors.ErrUnsupported
	}
	f, err := h.FS.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, 0, err
	}
	return &shuffledFile{f, path, h}, testUnit, nil
}

// shuffledFile is a durable file of which a write reaches the disk in parts, in any order. A crash or fault may
// come between any two.
type shuffledFile struct {
	vfs.File
	path string
	fs   *hookFS
}

func (f *shuffledFile) WriteAt(p []byte, off int64) (int, error) {
	if off%testUnit != 0 || len(p)%testUnit != 0 {
		panic("not whole units")
	}
	const parts = 4
	part := (len(p)/testUnit + parts - 1) / parts * testUnit
	for _, i := range f.fs.shuffle(parts) {
		from, to := min(i*part, len(p)), min((i+1)*part, len(p))
		if from == to {
			continue
		}
		err := f.fs.before("write", f.path)
		if err == errShort {
			to, err = from+(to-from)/2/testUnit*testUnit, io.ErrShortWrite
		} else if err != nil {
			return 0, err
		}
		if _, failed := f.File.WriteAt(p[from:to], off+int64(from)); failed != nil {
			return 0, failed
		}
		if failed := f.SyncData(); failed != nil {
			return 0, failed
		}
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// recordedWrites is a durable file that records what is written.
type recordedWrites struct {
	t       *testing.T
	content []byte
	fixed   int // bytes that were promised, and must never change
	fail    error
}

func (r *recordedWrites) Close() error { return nil }

func (r *recordedWrites) WriteAt(p []byte, off int64) (int, error) {
	if off%testUnit != 0 || len(p)%testUnit != 0 || len(p) == 0 {
		r.t.Fatalf("%d bytes at %d", len(p), off)
	}
	if r.fail != nil && len(p) > aheadSize/2 {
		return 0, r.fail
	}
	if missing := int(off) + len(p) - len(r.content); missing > 0 {
		r.content = append(r.content, make([]byte, missing)...)
	}
	before := bytes.Clone(r.content[:r.fixed])
	copy(r.content[off:], p)
	if !bytes.Equal(before, r.content[:r.fixed]) {
		r.t.Fatalf("%d bytes at %d change what was promised, %d bytes", len(p), off, r.fixed)
	}
	return len(p), nil
}

// What is written in whole units has the bytes that a file gets otherwise, with zeros behind them, and no write
// changes what an earlier one made durable.
func TestDurableWrites(t *testing.T) {
	for _, c := range []struct {
		name string
		most int64
		fail error
	}{{"no zeros", 0, nil}, {"zeros", 1 << 20, nil}, {"large zeros", 64 << 20, nil}, {"no room for zeros", 1 << 20, errNoSpace}} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			file := &recordedWrites{t: t, fail: c.fail}
			w := &durableWrites{file: file, unit: testUnit, most: c.most}
			var want bytes.Buffer
			plain, records := record.NewWriter(&want), record.NewWriter(w)
			for n := range sample.Of(400, 160) {
				size := rng.IntN(3 * testUnit)
				switch {
				case n%50 == 7:
					size = rng.IntN(80 << 10)
				case n == 150:
					size = 3*spillSize + 5
					if c.fail != nil {
						size = aheadSize / 4
					}
				}
				b := bytes.Repeat([]byte{byte(n + 1)}, size)
				for _, to := range []*record.Writer{plain, records} {
					if _, err := to.WriteRecord(b); err != nil {
						t.Fatal(err)
					}
					if err := to.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				if n%3 > 0 {
					continue // several records are put together
				}
				if err := w.put(); err != nil {
					t.Fatal(err)
				}
				file.fixed = want.Len()
				if !bytes.HasPrefix(file.content, want.Bytes()) {
					t.Fatalf("another content after record %d", n)
				}
				if rest := bytes.Trim(file.content[want.Len():], "\x00"); len(rest) > 0 {
					t.Fatalf("%d bytes are behind record %d", len(rest), n)
				}
			}
		})
	}
}

// A write that fails is an error also when it comes before the end of a batch.
func TestDurableWriteFails(t *testing.T) {
	file := &recordedWrites{t: t, fail: errIO}
	w := &durableWrites{file: file, unit: testUnit}
	if _, err := w.Write(make([]byte, 2*spillSize)); !errors.Is(err, errIO) {
		t.Error("a large one:", err)
	}
	w = &durableWrites{file: file, unit: testUnit}
	if _, err := w.Write(make([]byte, aheadSize)); err != nil {
		t.Error(err)
	}
	if err := w.put(); !errors.Is(err, errIO) {
		t.Error("one at the end:", err)
	}
	w = &durableWrites{file: file, unit: testUnit, most: 4 * aheadSize}
	if _, err := w.Write(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := w.put(); !errors.Is(err, errIO) {
		t.Error("one with zeros is tried again without, and the fault is forgotten:", err)
	}
}

// A file system that opens a file for durable writes and refuses them, at once or later, gets writes and syncs. Only
// the batch whose write it refused is lost.
func TestDurableWritesRefused(t *testing.T) {
	for accepts := range 4 {
		t.Run(strconv.Itoa(accepts), func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			opts := quick(refusingFS{mem, accepts})
			opts.segmentSize = 1 << 20
			d := open(t, opts)
			load(t, d)
			receipts := newReceipts()
			refused, stored := 0, 0
			for n := uint64(1); n <= 5; n++ {
				job := small(n)
				await.Until(t, "the store takes a job", func() bool {
					_, err := d.Append(job, receipt{receipts, n})
					return err == nil
				})
				if receipts.wait(t, n) != nil {
					refused++
				} else {
					stored++
				}
			}
			if refused != min(accepts, 1) {
				t.Errorf("%d jobs were refused", refused)
			}
			closeStore(t, d)
			d = open(t, quick(mem.CrashClone(vfs.CrashCloneCfg{})))
			if jobs := load(t, d); len(jobs) != stored {
				t.Errorf("%d jobs are left of %d", len(jobs), stored)
			}
			closeStore(t, d)
		})
	}
}

// refusingFS refuses durable writes to a file after a number of them.
type refusingFS struct {
	vfs.FS
	accepts int
}

func (fs refusingFS) openDurable(path string) (durableFile, int, error) {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	return &refusedWrites{f, fs.accepts}, testUnit, err
}

type refusedWrites struct {
	vfs.File
	accepts int
}

func (r *refusedWrites) WriteAt(p []byte, off int64) (int, error) {
	if r.accepts--; r.accepts < 0 {
		return 0, &errnoError{syscall.EINVAL}
	}
	n, err := r.File.WriteAt(p, off)
	return n, errors.Join(err, r.SyncData())
}

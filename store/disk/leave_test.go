package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// A store is closed while the disk is full. That is an error only if something is lost. Acknowledged jobs
// exist at the next start and refused ones do not. No message names files that the user does not know.
func TestEndOnFullDisk(t *testing.T) {
	for _, c := range []struct {
		name      string
		mode      SyncMode
		ends      bool // the first job has ended
		small     bool // a new segment has room, but not for much
		restarted bool // the disk was full when the store was opened, after a crash
		says      string
		want      []uint64
	}{
		{name: "jobs were refused", want: []uint64{1, 2, 3}},
		{name: "jobs were refused", restarted: true, want: []uint64{1, 2, 3}},
		{name: "a job has ended", ends: true, says: "ends of jobs that could not be stored, and are done again: up to 1", want: []uint64{1, 2, 3}},
		{name: "little room", ends: true, small: true, want: []uint64{2, 3}},
		{name: "nothing was synced", mode: SyncNone, want: []uint64{1, 2, 3}},
		{name: "nothing was synced", mode: SyncNone, restarted: true, want: []uint64{1, 2, 3}},
		{name: "not all was synced", mode: SyncInterval, want: []uint64{1, 2, 3}},
	} {
		t.Run(fmt.Sprintf("%s, mode %d, restarted %v", c.name, c.mode, c.restarted), func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			var full atomic.Bool
			with := func() Options {
				opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
					changes := op == "create" || op == "write" && mem.PathBase(path) != metaName
					if full.Load() && changes && !(c.small && strings.HasSuffix(path, segmentName(2)+newSuffix)) {
						return errNoSpace
					}
					return nil
				}})
				opts.Sync, opts.Interval, opts.retryEvery = c.mode, time.Hour, time.Hour
				return opts
			}
			d := open(t, with())
			load(t, d)
			r := newReceipts()
			var refs []store.Ref
			for n := range uint64(3) {
				refs = append(refs, put(t, d, r, small(n+1)))
			}
			if c.restarted {
				killed := whole(mem)
				closeStore(t, d)
				mem = killed
				full.Store(true)
				d = open(t, with())
				load(t, d)
			}
			full.Store(true)
			_, err := d.Append(small(9), receipt{r, 9})
			if err == nil {
				err = r.wait(t, 9)
			}
			if !errors.Is(err, errNoSpace) {
				t.Fatal("it was not refused:", err)
			}
			if c.ends {
				d.Done(refs[0])
			}
			err = d.Close()
			switch {
			case c.says == "" && err != nil:
				t.Error("close:", err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, errNoSpace)):
				t.Errorf("close: %v, want something with %q", err, c.says)
			case err != nil && strings.Contains(err.Error(), probeName):
				t.Error("close:", err)
			}
			full.Store(false)
			mem = mem.CrashClone(vfs.CrashCloneCfg{})
			for range 2 {
				d = open(t, with())
				if got := numbers(load(t, d)); fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
				closeStore(t, d)
			}
		})
	}
}

// A refused job that was written does not return after an orderly end on a disk that has been full since.
func TestRefusedStaysAwayAfterFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var full atomic.Bool
	opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
		if full.Load() && (op == "create" || op == "sync" && ofSegment(path)) {
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
	if err := r.wait(t, 2); !errors.Is(err, errNoSpace) {
		t.Fatal(err)
	}
	closeStore(t, d)
	for range 2 { // the first start happens on the full disk, too
		d = open(t, opts)
		if got := numbers(load(t, d)); fmt.Sprint(got) != "[1]" {
			t.Error(got)
		}
		closeStore(t, d)
		full.Store(false)
	}
}

// The message about a full disk says how much room which directory needs, not which file could not be
// written.
func TestProbeIsNotNamed(t *testing.T) {
	var full atomic.Bool
	var f told
	opts := quick(&hookFS{FS: vfs.NewMem(), before: func(op, path string) error {
		if full.Load() && strings.HasSuffix(path, probeName) {
			return errNoSpace
		}
		return nil
	}})
	opts.Fault, opts.manual, opts.retryEvery, opts.faultEvery, opts.probe = f.fault, true, 1, 1, 1<<20
	d := open(t, opts)
	load(t, d)
	full.Store(true)
	d.tryAgain(true)
	errs := f.all()
	want := "store: can't be written to: writing 1024 KiB in " + testDir + ": "
	if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), want) || !errors.Is(errs[0], errNoSpace) {
		t.Errorf("told: %v", errs)
	}
	full.Store(false)
	d.tryAgain(true)
	d.closeOut()
}

// A message about a segment names the file as it is called in the directory.
func TestSegmentIsNamed(t *testing.T) {
	full := false
	var f told
	opts := quick(&hookFS{FS: vfs.NewMem(), before: func(op, path string) error {
		if full && op == "write" {
			return &os.PathError{Op: op, Path: path, Err: errNoSpace}
		}
		return nil
	}})
	opts.Fault, opts.manual = f.fault, true
	d := open(t, opts)
	load(t, d)
	full = true
	if _, err := d.Append(small(1), receipt{newReceipts(), 1}); err != nil {
		t.Fatal(err)
	}
	d.turn()
	if errs := f.all(); len(errs) != 1 || !strings.Contains(errs[0].Error(), segmentName(1)+": ") {
		t.Errorf("told: %v", errs)
	}
	d.closeOut()
}

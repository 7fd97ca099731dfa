package disk

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/test/await"
)

// unsynced fills a store with jobs that were never synced, each in a record of its own.
func unsynced(t *testing.T, opts *Options, jobs int) (d *Disk, ends []int64) {
	t.Helper()
	opts.manual, opts.Sync, opts.retryEvery, opts.segmentSize = true, SyncNone, 1, 64<<10
	d = open(t, *opts)
	load(t, d)
	r := newReceipts()
	for n := range uint64(jobs) {
		if _, err := d.Append(small(n+1), receipt{r, n + 1}); err != nil {
			t.Fatal(err)
		}
		d.turn()
		if err := r.wait(t, n+1); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, d.c.out.records.Size())
	}
	return d, ends
}

// Everything readable in a tail that was never synced is put on the disk when the next segment is begun: even
// if a part of it cannot be read, and even if its segment is no longer the newest.
func TestTailsAreRescued(t *testing.T) {
	const jobs = 10
	name := testDir + "/" + segmentName(1)
	for what, do := range map[string]func(t *testing.T, mem *vfs.MemFS) (left int){
		// A write fails, and one of the earlier records cannot be read back.
		"damaged": func(t *testing.T, mem *vfs.MemFS) int {
			failing := false
			opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
				if failing && op == "write" && ofSegment(path) {
					return errIO
				}
				return nil
			}})
			d, ends := unsynced(t, &opts, jobs)
			f, err := mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("?"), ends[6]+30); err != nil {
				t.Fatal(err)
			}
			f.Close()
			failing = true
			r := newReceipts()
			if _, err := d.Append(small(99), receipt{r, 99}); err != nil {
				t.Fatal(err)
			}
			d.turn()
			failing = false
			await.Until(t, "no failure is left", func() bool { d.turn(); return d.Stats().Failed == nil })
			d.closeOut()
			return 7
		},
		// An earlier version lost power at its start, while it began the next segment.
		"not the newest": func(t *testing.T, mem *vfs.MemFS) int {
			opts := quick(mem)
			d, _ := unsynced(t, &opts, jobs)
			d.closeOut()
			d.dir.Close()
			torn := append(make([]byte, 3000), "the rest of a record"...)
			f, err := mem.Create(testDir+"/"+segmentName(2), vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(torn); err != nil {
				t.Fatal(err)
			}
			f.Close()
			d = open(t, opts)
			d.closeOut()
			return jobs
		},
	} {
		t.Run(what, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			left := do(t, mem)
			for range 2 {
				mem = mem.CrashClone(vfs.CrashCloneCfg{})
				d := open(t, quick(mem))
				want := make([]uint64, left)
				for i := range want {
					want[i] = uint64(i + 1)
				}
				if got := numbers(load(t, d)); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("got %v, want %v", got, want)
				}
				closeStore(t, d)
			}
		})
	}
}

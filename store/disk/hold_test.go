package disk

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// A process is killed between the write and the sync of a batch. The next one starts on a full disk, so it
// cannot write that batch anew, and a loss of power destroys the batch. What the batch made superfluous must
// still exist: the argument of a job that it ended, the segment of a job that it moved.
func TestFullDiskKeepsWhatATailMadeSuperfluous(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, d *Disk, refs map[uint64]store.Ref){
		"argument": func(t *testing.T, d *Disk, refs map[uint64]store.Ref) { d.Done(refs[1]) },
		"segment": func(t *testing.T, d *Disk, refs map[uint64]store.Ref) {
			// There is so much garbage that the jobs of the first segment are moved.
			for number, ref := range refs {
				if number > 20 {
					d.Done(ref)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			var dying, dead, full bool
			opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
				switch {
				case dead || dying && op == "sync" && ofSegment(path):
					dead = true
					return errCrash
				case full && (op == "create" || op == "write" && mem.PathBase(path) != metaName):
					return errNoSpace
				}
				return nil
			}})
			opts.manual, opts.Sync, opts.retryEvery, opts.lazyFor = true, SyncNone, 1, 1
			d := open(t, opts)
			load(t, d)
			r := newReceipts()
			refs := map[uint64]store.Ref{}
			var want []uint64
			for n := range uint64(200) {
				job := small(n + 1)
				job.Argument = [][]byte{make([]byte, 100)}
				if n == 0 {
					job.Argument = [][]byte{make([]byte, testLarge)}
				}
				ref, err := d.Append(job, receipt{r, job.Number})
				if err != nil {
					t.Fatal(err)
				}
				refs[job.Number] = ref
				d.turn()
				if job.Number <= 20 {
					want = append(want, job.Number)
				}
			}
			prepare(t, d, refs)
			moves := name == "segment"
			for turns := 0; !dead; turns++ {
				// The ends must be on the disk before jobs are moved.
				d.mu.Lock()
				dying = !moves || d.next.moved > 0
				d.mu.Unlock()
				if d.turn(); turns > 1000 {
					t.Fatal("nothing was synced")
				}
			}
			d.closeOut()
			d.c.cleaner.close()
			d.dir.Close()

			dying, dead, full = false, false, true
			d = open(t, opts)
			load(t, d)
			for range 20 {
				d.turn()
			}
			if d.Stats().Failed == nil {
				t.Fatal("the disk is not full")
			}
			// By itself the system puts names on the disk first.
			if err := syncDir(mem, testDir); err != nil {
				t.Fatal(err)
			}
			lost := open(t, quick(mem.CrashClone(vfs.CrashCloneCfg{})))
			got := numbers(load(t, lost))
			closeStore(t, lost)
			for _, number := range want {
				if !slices.Contains(got, number) {
					t.Errorf("job %d is gone", number)
				}
			}
			// It is removed once there is room.
			full = false
			await.Until(t, "no failure is left", func() bool { d.turn(); return d.Stats().Failed == nil })
			for range 20 {
				d.turn()
			}
			if moves && d.segments[0].id == 1 {
				t.Error("the first segment is still there")
			}
			if left := files(t, mem, argumentSuffix); !moves && len(left) > 0 {
				t.Errorf("%v is still there", left)
			}
			d.closeOut()
			d.dir.Close()
		})
	}
}

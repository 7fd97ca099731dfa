package disk

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/await"
)

// diskUsage returns the size of a store's files.
func diskUsage(t testing.TB, fs vfs.FS) (sum int64) {
	t.Helper()
	for _, name := range files(t, fs, "") {
		info, err := fs.Stat(testDir + "/" + name)
		if errors.Is(err, os.ErrNotExist) { // removed meanwhile
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// Under steady load, in whatever order jobs end, the files take less than twice the size of the living jobs.
// What cleaning has moved is loaded in the order of submission.
func TestDiskSpace(t *testing.T) {
	const live = 3000
	for name, which := range map[string]func(n int, rng *rand.Rand) int{
		"oldest first": func(int, *rand.Rand) int { return 0 },
		"newest first": func(n int, _ *rand.Rand) int { return n - 1 },
		"any":          func(n int, rng *rand.Rand) int { return rng.IntN(n) },
		"half of them": func(n int, rng *rand.Rand) int { return n/2 + rng.IntN(n/2) },
		"hardly old ones": func(n int, rng *rand.Rand) int {
			if rng.IntN(10) == 0 {
				return rng.IntN(n)
			}
			return n - 1 - rng.IntN(n/10)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			opts := quick(fs)
			opts.manual, opts.segmentSize, opts.lazyFor = true, 8<<10, 1
			d := open(t, opts)
			load(t, d)
			rng := rand.New(rand.NewPCG(1, 2))
			var refs []store.Ref
			r := &counted{}
			number := uint64(0)
			add := func() {
				number++
				job := small(number)
				job.Argument = hundred
				ref, err := d.Append(job, r)
				if err != nil {
					t.Fatal(err)
				}
				refs = append(refs, ref)
			}
			for range live {
				add()
			}
			worst := 0.0
			for i := range 10 * live {
				at := which(len(refs), rng)
				d.Done(refs[at])
				// They are no longer in the order of the jobs, except where jobs end in order.
				if at == 0 {
					refs = refs[1:]
				} else {
					refs[at] = refs[len(refs)-1]
					refs = refs[:len(refs)-1]
				}
				add()
				if i%64 != 0 {
					continue
				}
				d.turn()
				if i > 2*live {
					worst = max(worst, float64(diskUsage(t, fs)-2*metaSlot)/float64(d.Stats().LiveBytes))
				}
			}
			if worst > 2 {
				t.Errorf("the files took %.2f of what lives", worst)
			}
			if d.c.meta.First < 10 {
				t.Error("hardly anything was dropped")
			}
			d.mu.Lock()
			d.closed = true
			d.mu.Unlock()
			for ended := false; !ended; {
				_, _, ended = d.turn()
			}
			if err := d.dir.Close(); err != nil {
				t.Fatal(err)
			}
			d = open(t, quick(fs))
			defer closeStore(t, d)
			jobs := load(t, d)
			if len(jobs) != live {
				t.Fatalf("%d jobs, not %d", len(jobs), live)
			}
			for i := range jobs[1:] {
				if jobs[i+1].Number <= jobs[i].Number {
					t.Fatalf("job %d comes after %d", jobs[i+1].Number, jobs[i].Number)
				}
			}
		})
	}
}

// Once all jobs have ended hardly anything is left on the disk.
func TestEmptied(t *testing.T) {
	fs := vfs.NewMem()
	d := open(t, quick(fs))
	load(t, d)
	r := newReceipts()
	for n := range uint64(300) {
		job := small(n + 1)
		if n%10 == 0 {
			job.Argument = [][]byte{make([]byte, testLarge)}
		}
		d.Done(put(t, d, r, job))
	}
	await.Until(t, "nothing is left", func() bool {
		return len(files(t, fs, argumentSuffix)) == 0 && len(files(t, fs, segmentSuffix)) == 1
	})
	closeStore(t, d)
}

// A start removes the arguments of jobs that no longer exist, and keeps those of others.
func TestOrphans(t *testing.T) {
	fs := vfs.NewMem()
	d := open(t, quick(fs))
	load(t, d)
	job := small(1)
	job.Argument = [][]byte{make([]byte, testLarge)}
	put(t, d, newReceipts(), job)
	closeStore(t, d)
	writeFile(t, fs, testDir+"/"+argumentName(77), []byte("of nobody"))
	report, err := check(fs, testDir)
	if err != nil || report.Orphans != 1 || report.Large != 1 || len(report.Damage) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	d = open(t, quick(fs))
	load(t, d)
	await.Until(t, "the orphan is gone", func() bool { return len(files(t, fs, argumentSuffix)) == 1 })
	closeStore(t, d)
	if left := files(t, fs, argumentSuffix); len(left) != 1 || left[0] != argumentName(1) {
		t.Error(left)
	}
}

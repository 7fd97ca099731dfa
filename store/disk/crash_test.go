package disk

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// crash is what a crash at some moment would leave.
type crash struct {
	call       string
	left       *vfs.MemFS
	books      *ledger // what the broker knew
	generation uint64
}

// The machine loses power, or the process its life, at each call to the file system in turn: while a store
// is filled, cleaned and closed. Whatever was not synced may be lost, wholly or in part.
func TestCrashAtEachCall(t *testing.T) {
	for _, c := range []struct {
		name    string
		mode    SyncMode
		percent int  // of what was not synced is not lost
		lossy   bool // what was acknowledged may be lost
	}{
		{"power", SyncAlways, 0, false}, {"power, torn", SyncAlways, 50, false}, {"killed", SyncAlways, 100, false},
		{"interval, power", SyncInterval, 0, true}, {"interval, killed", SyncInterval, 100, false},
		{"none, torn", SyncNone, 50, true}, {"none, killed", SyncNone, 100, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for range 1 + cycles(t)/100 {
				seed := uint64(time.Now().UnixNano())
				crashes := crashEverywhere(t, c.mode, vfs.CrashCloneCfg{
					UnsyncedDataPercent: c.percent, RNG: rand.New(rand.NewPCG(seed, 1)),
				})
				if len(crashes) < 100 {
					t.Fatal("there were hardly any calls:", len(crashes))
				}
				for i, crash := range crashes {
					if c.lossy {
						crash.books.acked = nil
					}
					if err := crash.recovered(c.mode); err != nil {
						t.Fatalf("crash %d, before %s: %v", i, crash.call, err)
					}
				}
			}
		})
	}
}

func crashEverywhere(t *testing.T, mode SyncMode, how vfs.CrashCloneCfg) (crashes []crash) {
	mem := vfs.NewCrashableMem()
	l := newLedger()
	var mu sync.Mutex
	generation := uint64(0)
	opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
		if op == "read" || op == "stat" || op == "list" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		// What the broker knows is noted first: only what happens later may be missing there.
		books := l.snapshot()
		var left *vfs.MemFS
		if how.UnsyncedDataPercent == 100 {
			left = whole(mem)
		} else {
			left = mem.CrashClone(how)
		}
		crashes = append(crashes, crash{op + " " + path, left, books, generation})
		return nil
	}})
	opts.segmentSize, opts.Sync, opts.Interval = 2<<10, mode, time.Millisecond
	for range 2 {
		d := open(t, opts)
		mu.Lock()
		generation = d.Run()
		mu.Unlock()
		load(t, d)
		l.mu.Lock()
		l.d = d
		l.mu.Unlock()
		if len(l.order) == 0 {
			l.workload(t)
		}
		closeStore(t, d)
	}
	return crashes
}

// recovered opens what a crash left, looks at it, and does so again after a crash at once.
func (c *crash) recovered(mode SyncMode) error {
	generation := c.generation
	left := c.left
	for again := range 2 {
		opts := quick(left)
		opts.Sync = mode
		d, err := Open(opts)
		if err != nil {
			return err
		}
		if d.Run() <= generation {
			err = fmt.Errorf("run %d after %d", d.Run(), generation)
		}
		generation = d.Run()
		left = left.CrashClone(vfs.CrashCloneCfg{})
		if err == nil {
			err = c.books.check(d, false)
		}
		// What was there at the first start must be there at the second, and nothing else.
		d.mu.Lock()
		jobs := d.jobs.taken
		d.mu.Unlock()
		if again == 0 {
			c.books.jobs = jobs
		} else if jobs != c.books.jobs && err == nil {
			err = fmt.Errorf("%d jobs at the first start, %d at the second", c.books.jobs, jobs)
		}
		if closed := d.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

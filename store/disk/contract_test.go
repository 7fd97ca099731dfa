package disk

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/store/storetest"
	"gearloop/test/sample"
)

// The engine fulfils the contract of package store in each mode.
func TestContract(t *testing.T) {
	for _, c := range []struct {
		name    string
		mode    SyncMode
		torn    bool // half of what was not synced survives a loss of power
		durable bool // writes need no sync, and reach the disk in any order
	}{
		{"always", SyncAlways, false, false}, {"always, torn", SyncAlways, true, false}, {"always, durable", SyncAlways, false, true},
		{"interval", SyncInterval, false, false}, {"none, torn", SyncNone, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Engine{
				New: func(testing.TB) storetest.Site {
					p := &testSite{mem: vfs.NewCrashableMem(), mode: c.mode, durable: c.durable}
					if c.torn {
						p.torn = rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
					}
					return p
				},
				Large: testLarge, LosesPower: c.mode != SyncAlways, OnlyCrashes: c.torn, Faults: []error{errNoSpace, errIO, errShort},
				Slow: sample.Only, Thorough: cycles(t),
			})
		})
	}
}

// testSite is a directory in memory.
type testSite struct {
	mem     *vfs.MemFS
	mode    SyncMode
	torn    *rand.Rand
	durable bool
	calls   atomic.Pointer[func(string) error]
}

func (p *testSite) Open() (store.Store, error) {
	hooks := &hookFS{FS: p.mem, before: func(op, path string) error {
		f := p.calls.Load()
		switch op {
		case "read", "stat", "list", "open", "opendir":
			return nil
		}
		if f == nil {
			return nil
		}
		return (*f)(fmt.Sprint(op, " ", p.mem.PathBase(path)))
	}}
	if p.durable {
		hooks.shuffle = rand.Perm
	}
	opts := quick(hooks)
	opts.segmentSize, opts.Sync, opts.Interval, opts.MaxQueued = 2<<10, p.mode, time.Millisecond, 2<<20
	return Open(opts)
}

func (p *testSite) Adopted(store.Store) bool { return true }

func (p *testSite) Intercept(f func(string) error) {
	if f == nil {
		p.calls.Store(nil)
		return
	}
	p.calls.Store(&f)
}

func (p *testSite) Crash(power bool) storetest.Site {
	left := &testSite{mode: p.mode, torn: p.torn, durable: p.durable}
	switch {
	case !power:
		left.mem = whole(p.mem)
	case p.torn != nil:
		left.mem = p.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: p.torn})
	default:
		left.mem = p.mem.CrashClone(vfs.CrashCloneCfg{})
	}
	return left
}

package disk

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

func TestSyncIsParsed(t *testing.T) {
	for s, want := range map[string]SyncMode{"always": SyncAlways, "none": SyncNone, "interval=10ms": SyncInterval} {
		if mode, _, err := ParseSync(s); err != nil || mode != want {
			t.Error(s, mode, err)
		}
	}
	if _, every, _ := ParseSync("interval=10ms"); every != 10*time.Millisecond {
		t.Error(every)
	}
	for _, s := range []string{"", "never", "interval", "interval=", "interval=0s", "interval=-1s", "interval=x"} {
		if _, _, err := ParseSync(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestLock(t *testing.T) {
	for _, opts := range []Options{quick(vfs.NewMem()), {Dir: t.TempDir()}} {
		d := open(t, opts)
		if _, err := Open(opts); !errors.Is(err, store.ErrLocked) {
			t.Error("opened twice:", err)
		}
		if opts.fs != nil {
			if _, err := check(opts.fs, opts.Dir); !errors.Is(err, store.ErrLocked) {
				t.Error("checked while open:", err)
			}
		}
		closeStore(t, d)
		closeStore(t, open(t, opts))
	}
}

func TestNewerFormat(t *testing.T) {
	opts := quick(vfs.NewMem())
	closeStore(t, open(t, opts))
	if err := writeMeta(opts.fs, testDir, meta{Format: format + 1, Generation: 9, Turn: 99}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(opts); !errors.Is(err, store.ErrNewer) {
		t.Error(err)
	}
	if _, err := check(opts.fs, testDir); !errors.Is(err, store.ErrNewer) {
		t.Error(err)
	}
}

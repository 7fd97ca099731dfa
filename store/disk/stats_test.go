package disk

import (
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/test/await"
)

// Jobs, syncs and failures are counted, and a failure has a beginning until it is over.
func TestActivity(t *testing.T) {
	var full atomic.Bool
	d := open(t, quick(&hookFS{FS: vfs.NewMem(), before: func(op, _ string) error {
		if full.Load() && (op == "write" || op == "create") {
			return errNoSpace
		}
		return nil
	}}))
	load(t, d)
	r := newReceipts()
	for n := range uint64(3) {
		put(t, d, r, small(n+1))
	}
	a := d.Activity()
	if a.Batch.Sum != 3 || a.Batch.Count() == 0 || a.Sync.Count() < a.Batch.Count() ||
		a.Written == 0 || a.Segments == 0 || a.Failures != 0 || !a.Since.IsZero() {
		t.Errorf("%+v", a)
	}
	full.Store(true)
	if _, err := d.Append(small(4), receipt{r, 4}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 4); err == nil {
		t.Fatal("a job is stored on a full disk")
	}
	if b := d.Activity(); b.Failures == 0 || b.Since.IsZero() || b.Batch != a.Batch {
		t.Errorf("%+v", b)
	}
	full.Store(false)
	await.Until(t, "the failure is over", func() bool { return d.Activity().Since.IsZero() })
	put(t, d, r, small(5))
	if b := d.Activity(); b.Batch.Sum != 4 || b.Written <= a.Written {
		t.Errorf("%+v", b)
	}
}

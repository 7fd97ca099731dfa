package disk

import (
	"io"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
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
		a.Written == 0 || a.Segments == 0 || a.Failures != (Failures{}) || !a.Since.IsZero() {
		t.Errorf("%+v", a)
	}
	full.Store(true)
	if _, err := d.Append(small(4), receipt{r, 4}); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t, 4); err == nil {
		t.Fatal("a job is stored on a full disk")
	}
	if b := d.Activity(); b.Failures[Write] == 0 || b.Since.IsZero() || b.Batch != a.Batch {
		t.Errorf("%+v", b)
	}
	full.Store(false)
	await.Until(t, "the failure is over", func() bool { return d.Activity().Since.IsZero() })
	put(t, d, r, small(5))
	if b := d.Activity(); b.Batch.Sum != 4 || b.Written <= a.Written {
		t.Errorf("%+v", b)
	}
}

// A failure is counted by what failed.
func TestFailuresByOperation(t *testing.T) {
	mem := vfs.NewMem()
	var failing atomic.Value // func(op string, argument bool) bool
	failing.Store(func(string, bool) bool { return false })
	d := open(t, quick(&hookFS{FS: mem, before: func(op, path string) error {
		_, isArgument := argumentOf(mem.PathBase(path))
		if failing.Load().(func(string, bool) bool)(op, isArgument) {
			return errNoSpace
		}
		return nil
	}}))
	defer closeStore(t, d)
	load(t, d)
	r := newReceipts()
	number := uint64(0)
	add := func(argument [][]byte) (store.Ref, error) {
		number++
		job := small(number)
		if argument != nil {
			job.Argument = argument
		}
		ref, err := d.Append(job, receipt{r, number})
		if err != nil {
			t.Fatal(err)
		}
		return ref, r.wait(t, number)
	}
	large := [][]byte{make([]byte, testLarge)}
	kept, err := add(large)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what Operation
		how  func(op string, argument bool) bool
		do   func() error
	}{
		{Write, func(op string, argument bool) bool { return op == "write" && !argument },
			func() error { _, err := add(nil); return err }},
		{Sync, func(op string, argument bool) bool { return op == "sync" && !argument },
			func() error { _, err := add(nil); return err }},
		{Argument, func(op string, argument bool) bool { return op == "write" && argument },
			func() error { _, err := add(large); return err }},
		{Read, func(op string, argument bool) bool { return op == "open" && argument },
			func() error { return argument(d, kept, io.Discard) }},
	} {
		before := d.Activity()
		failing.Store(c.how)
		if err := c.do(); err == nil {
			t.Errorf("%v: nothing fails", c.what)
		}
		failing.Store(func(string, bool) bool { return false })
		await.Until(t, "it is over", func() bool { return d.Activity().Since.IsZero() })
		after := d.Activity()
		for op := range after.Failures {
			if more := after.Failures[op] - before.Failures[op]; (more > 0) != (Operation(op) == c.what) && Operation(op) != Retry {
				t.Errorf("%v fails, and %v is counted %d times", c.what, Operation(op), more)
			}
		}
	}
	failing.Store(func(op string, argument bool) bool { return op == "create" || op == "write" })
	if _, err := add(nil); err == nil {
		t.Error("a job is stored on a full disk")
	}
	await.Until(t, "another attempt fails", func() bool { a := d.Activity(); return a.Failures[Retry] > 0 })
	failing.Store(func(string, bool) bool { return false })
	await.Until(t, "it is over", func() bool { return d.Activity().Since.IsZero() })
}

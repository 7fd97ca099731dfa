package disk

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

func TestReopen(t *testing.T) {
	for _, mode := range []SyncMode{SyncAlways, SyncInterval, SyncNone} {
		opts := quick(vfs.NewMem())
		opts.Sync, opts.Interval, opts.large = mode, time.Millisecond, store.LargeArgument
		d := open(t, opts)
		if jobs := load(t, d); len(jobs) != 0 {
			t.Fatal("a new store has jobs:", jobs)
		}
		r := newReceipts()
		want := []store.Job{
			{Number: 1, Function: "f", Unique: "a\x00b", Reducer: "sum", Priority: store.Low, Retries: 3, Due: 1e18},
			{Number: 2, Function: "", Argument: [][]byte{[]byte("one "), nil, []byte("and two")}},
			{Number: 1<<63 | 5, Function: strings.Repeat("f", 70000), Unique: strings.Repeat("u", 64<<10)},
			{Number: 4, Function: "ends", Argument: [][]byte{[]byte("x")}},
			{Number: 5, Function: "again", Priority: store.High, Argument: [][]byte{bytes.Repeat([]byte("long "), 30000)}},
		}
		var refs []store.Ref
		for i := range want {
			refs = append(refs, put(t, d, r, &want[i]))
		}
		d.Done(refs[3])
		d.Done(refs[3])
		d.Retry(refs[4], 7)
		d.Done(0)
		d.Done(12345)
		if got := d.Stats().Jobs; got != 4 {
			t.Error("jobs:", got)
		}
		closeStore(t, d)

		d = open(t, opts)
		got := load(t, d)
		want[4].Retries = 7
		want = slices.Delete(want, 3, 4)
		if !slices.Equal(numbers(got), numbers(want)) {
			t.Fatalf("numbers %d, want %d", numbers(got), numbers(want))
		}
		for i := range got {
			argument := bytes.Join(want[i].Argument, nil)
			if !bytes.Equal(got[i].Argument[0], argument) || got[i].Size != len(argument) {
				t.Errorf("argument of job %d is wrong", got[i].Number)
			}
			if got[i].Ref == 0 {
				t.Error("no ref")
			}
			got[i].Argument, want[i].Argument, got[i].Size, got[i].Ref = nil, nil, 0, 0
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("got %+v, want %+v", got[i], want[i])
			}
		}
		if g := d.Run(); g != 2 {
			t.Error("generation", g)
		}
		closeStore(t, d)
	}
}

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

// Receipts come in the order of Append, for jobs that have ended meanwhile, too.
func TestReceiptsInOrder(t *testing.T) {
	d := open(t, quick(vfs.NewMem()))
	load(t, d)
	r := newReceipts()
	var want []uint64
	for n := uint64(1); n <= 2000; n++ {
		ref, err := d.Append(small(n), receipt{r, n})
		if err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			d.Done(ref)
		}
		want = append(want, n)
	}
	closeStore(t, d)
	if !slices.Equal(r.order, want) {
		t.Error("out of order")
	}
	if _, err := d.Append(small(1), receipt{r, 1}); err != store.ErrClosed {
		t.Error("append after close:", err)
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
	if err := writeMeta(opts.fs, testDir, meta{Format: Format + 1, Generation: 9, Turn: 99}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(opts); !errors.Is(err, store.ErrNewer) {
		t.Error(err)
	}
	if _, err := check(opts.fs, testDir); !errors.Is(err, store.ErrNewer) {
		t.Error(err)
	}
}

func TestTooLarge(t *testing.T) {
	d := open(t, quick(vfs.NewMem()))
	defer closeStore(t, d)
	if _, err := d.Append(&store.Job{Unique: strings.Repeat("u", store.MaxName+1)}, nil); err != store.ErrTooLarge {
		t.Error(err)
	}
}

package disk

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// grouped collects the receipts that come together, each group as a text.
type grouped struct {
	store.NoEvents
	calls []string
}

func (g *grouped) StoredAll(receipts []store.Receipt) {
	call := "all"
	for _, r := range receipts {
		call += fmt.Sprint(" ", r.(groupedReceipt).number)
	}
	g.calls = append(g.calls, call)
}

func (g *grouped) Flushed() { g.calls = append(g.calls, "flushed") }

type groupedReceipt struct {
	g      *grouped
	number uint64
}

func (r groupedReceipt) Stored(_ store.Ref, err error) {
	call := fmt.Sprint("one ", r.number)
	if errors.Is(err, store.ErrFailed) {
		call += " refused"
	}
	r.g.calls = append(r.g.calls, call)
}

// Receipts without an error come together, in the order of Append, and around one with an error. A job
// counts in the segment that it is written to, also if that is begun for it.
func TestReceiptsTogether(t *testing.T) {
	mem := vfs.NewMem()
	fails := func(string, string) bool { return false }
	opts := quick(&hookFS{FS: mem, before: func(op, path string) error {
		if fails(op, path) {
			return errNoSpace
		}
		return nil
	}})
	opts.manual = true
	d := open(t, opts)
	g := &grouped{}
	if err := d.Start(g); err != nil {
		t.Fatal(err)
	}
	add := func(numbers ...uint64) {
		t.Helper()
		for _, number := range numbers {
			job := small(number)
			if number <= 4 {
				job.Argument = [][]byte{make([]byte, testLarge)}
			}
			if _, err := d.Append(job, groupedReceipt{g, number}); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(want ...string) {
		t.Helper()
		g.calls = nil
		d.turn()
		if !slices.Equal(g.calls, want) {
			t.Errorf("%q, want %q", g.calls, want)
		}
		for _, s := range d.segments {
			n := 0
			for i := uint32(1); i <= d.jobs.used; i++ {
				if slot := d.jobs.at(i); slot.state != slotFree && uint64(slot.segment) == s.id {
					n++
				}
			}
			if s.live != n {
				t.Errorf("%s: %d jobs, counted %d", segmentName(s.id), n, s.live)
			}
		}
	}
	add(10, 1, 11)
	check("all 10 1 11", "flushed")
	fails = func(op, path string) bool {
		number, isArgument := argumentOf(mem.PathBase(path))
		return op == "write" && isArgument && number == 3
	}
	add(12, 13, 3, 14, 2)
	check("all 12 13", "one 3 refused", "all 14 2", "flushed")
	for number := uint64(100); d.c.out.records.Size() < d.segmentSize(); number++ {
		add(number)
		check(fmt.Sprint("all ", number), "flushed")
	}
	fails = func(op, path string) bool {
		if op == "create" && len(d.next.jobs) == 0 {
			add(22)
		}
		return false
	}
	before := len(d.segments)
	add(20, 21)
	check("all 20 21", "flushed")
	if len(d.segments) != before+1 || d.segments[before].live != 3 {
		t.Errorf("%d segments, want %d, and 3 jobs in the last", len(d.segments), before+1)
	}
	check("all 22", "flushed")
	fails = func(op, _ string) bool { return op == "write" }
	add(23, 24)
	check("one 23 refused", "one 24 refused", "flushed")
	d.closeOut()
	d.dir.Close()
}

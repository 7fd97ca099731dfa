package disk

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// TestUpdateEntry: an update is written as earlier versions of the program can read it. They know the entries
// of updateSize bytes alone, and ignore those of jobs that they do not know.
func TestUpdateEntry(t *testing.T) {
	for _, u := range []update{
		{number: store.Number(3, 7, 5), retries: 258},
		{number: store.Number(3, 7, 5), retries: 258, priority: store.High, prioritized: true},
		{number: noHandle | 9, retries: 1, priority: store.Low, prioritized: true},
	} {
		b := appendUpdate(nil, &u)
		e, rest, err := cutEntry(b)
		if got := (update{e.number, e.retries, e.priority, e.prioritized}); err != nil || len(rest) > 0 || e.kind != kindUpdate || got != u {
			t.Errorf("%+v is read as %+v, rest %x, %v", u, got, rest, err)
		}
		if again := e.append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x is written again as %x", b, again)
		}
		for old := b; len(old) > 0; old = old[updateSize:] {
			number, retries := binary.LittleEndian.Uint64(old[1:]), binary.LittleEndian.Uint16(old[9:])
			if kind(old[0]) != kindUpdate || number != priorityMark && (number != u.number || retries != u.retries) {
				t.Errorf("%+v: an earlier version reads %d retries of job %d", u, retries, number)
			}
		}
	}
	mark := appendUpdate(nil, &update{number: 1, prioritized: true})[:updateSize]
	for _, bad := range [][]byte{
		mark, append(bytes.Clone(mark), mark...), appendEnd(bytes.Clone(mark), 1),
		appendUpdate(nil, &update{number: 1, priority: store.Low + 1, prioritized: true}), mark[:updateSize-1],
	} {
		if _, _, err := cutEntry(bad); err == nil {
			t.Errorf("%x is read", bad)
		}
	}
}

// TestUpdatedPriority: every way in which a job's entry is written again keeps its changed priority.
func TestUpdatedPriority(t *testing.T) {
	fs := vfs.NewMem()
	opts := quick(fs)
	opts.segmentSize = 4 << 10
	d, r := open(t, opts), newReceipts()
	load(t, d)
	refs := []store.Ref{}
	for n := range uint64(3) {
		refs = append(refs, put(t, d, r, &store.Job{Number: store.Number(d.Run(), n+1, store.ShardOf("f")), Function: "f",
			Priority: store.Low, Argument: [][]byte{[]byte("x")}}))
	}
	for _, ref := range refs {
		d.Update(ref, 0, store.High)
	}
	d.Update(refs[1], 0, store.Normal)
	d.Update(refs[2], 2, store.High) // again, with more retries
	want := []store.Priority{store.High, store.Normal, store.High}
	check := func(d *Disk, when string) {
		t.Helper()
		for i, job := range load(t, d) {
			if i < len(want) && job.Priority != want[i] {
				t.Errorf("%s job %d has priority %d, want %d", when, i, job.Priority, want[i])
			}
		}
	}
	closeStore(t, d)
	d = open(t, opts)
	check(d, "after a restart")
	first := d.segments[0].id
	for n := uint64(10); ; n++ {
		d.Done(put(t, d, r, &store.Job{Number: store.Number(d.Run(), n, store.ShardOf("f")), Function: "f",
			Argument: [][]byte{bytes.Repeat([]byte("garbage "), 100)}}))
		d.mu.Lock()
		moved := d.segments[0].id > first
		d.mu.Unlock()
		if moved {
			break
		}
		if n > 10_000 {
			t.Fatal("nothing was moved")
		}
	}
	closeStore(t, d)
	d = open(t, opts)
	check(d, "moved by cleaning,")
	closeStore(t, d)
}

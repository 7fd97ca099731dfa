package disk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/store"
	"gearloop/store/transfer"
)

// A directory of an earlier version of the program can be opened forever, with all jobs as that version
// reported them, in their order and with their handles. Each archive has the directory and what "gearloop
// store dump" of that version printed. The comment of format has the procedure for a new one.
func TestFrozenDirectories(t *testing.T) {
	for _, c := range []struct {
		archive, dump string
		run           uint64 // the first run that this program may open in it
	}{
		// Version 0.1, format 1, two runs and an import; closed in order. It has jobs of all priorities,
		// delayed jobs, reducers, unique ids of all kinds, large arguments, retries, imported jobs without a
		// handle, and moved ones.
		{"format1-ended.tar.gz", "ended.json", 3 * runsPerGeneration},
		// The same after another run with --sync none that was killed.
		{"format1-killed.tar.gz", "killed.json", 4 * runsPerGeneration},
	} {
		t.Run(c.archive, func(t *testing.T) {
			dir := unpacked(t, c.archive)
			lines, err := os.ReadFile(filepath.Join(dir, c.dump))
			if err != nil {
				t.Fatal(err)
			}
			report, err := Check(dir)
			if err != nil || len(report.Damage) > 0 || report.Jobs != bytes.Count(lines, []byte("\n")) || report.NextRun != c.run {
				t.Errorf("check: %+v, %v", report, err)
			}
			var dumped bytes.Buffer
			if err := Dump(dir, &dumped); err != nil || !bytes.Equal(dumped.Bytes(), lines) {
				t.Errorf("dump says something else: %v\n%.500s", err, dumped.Bytes())
			}
			// Neither opening it nor writing all of it anew may change anything.
			for n := range 3 {
				d := open(t, Options{Dir: dir})
				if want := c.run + uint64(n); d.Run() != want {
					t.Errorf("run %d, want %d", d.Run(), want)
				}
				wantDumped(t, d, lines)
				if n == 1 {
					rewrite(t, d)
				}
				closeStore(t, d)
			}
			// New jobs can be added and ended beside the old ones.
			d := open(t, Options{Dir: dir})
			jobs := load(t, d)
			r := newReceipts()
			number := store.Number(d.Run(), 0, store.ShardOf("resize"))
			put(t, d, r, &store.Job{Number: number, Function: "resize", Priority: store.High, Argument: [][]byte{[]byte("new")}})
			for _, job := range jobs[1:] {
				d.Done(job.Ref)
			}
			closeStore(t, d)
			d = open(t, Options{Dir: dir})
			if left := numbers(load(t, d)); fmt.Sprint(left) != fmt.Sprint([]uint64{jobs[0].Number, number}) {
				t.Errorf("jobs %d are left", left)
			}
			closeStore(t, d)
		})
	}
}

// wantDumped requires a store to have the jobs of a dump.
func wantDumped(t *testing.T, d *Disk, lines []byte) {
	t.Helper()
	jobs := load(t, d)
	var dumped []*store.Job
	err := transfer.Read(bytes.NewReader(lines), func(item *transfer.Item) error {
		dumped = append(dumped, item.Job)
		return item.Wrong
	})
	if err != nil || len(dumped) != len(jobs) {
		t.Fatalf("%d jobs are there, %d were dumped: %v", len(jobs), len(dumped), err)
	}
	for i, want := range dumped {
		got := &jobs[i]
		if err := same(d, got, want); err != nil || got.Retries != want.Retries {
			t.Errorf("job %d: %v, %d retries", i, err, got.Retries)
		}
		switch {
		case want.Number == 0:
			if got.Number&noHandle == 0 {
				t.Errorf("job %d, imported without a handle, has number %d", i, got.Number)
			}
		case got.Number != want.Number:
			t.Errorf("job %d has number %d, want %d", i, got.Number, want.Number)
		case got.Unique == "i3": // it was imported with a number that is not of its function's shard
		case store.ShardOfNumber(got.Number) != store.ShardOf(got.Function):
			t.Errorf("job %d of %q lies in shard %d, its handle leads to %d", i, got.Function,
				store.ShardOf(got.Function), store.ShardOfNumber(got.Number))
		}
	}
}

// rewrite adds and ends so many jobs that cleaning moves what is in the oldest segments.
func rewrite(t *testing.T, d *Disk) {
	t.Helper()
	first := d.segments[0].id
	r := newReceipts()
	argument := [][]byte{[]byte(strings.Repeat("garbage ", 25_000))}
	for n := range uint64(400) {
		number := store.Number(d.Run(), n, store.ShardOf("garbage"))
		d.Done(put(t, d, r, &store.Job{Number: number, Function: "garbage", Argument: argument}))
		d.mu.Lock()
		moved := d.segments[0].id > first
		d.mu.Unlock()
		if moved && n > 50 {
			return
		}
	}
	t.Error("nothing was moved")
}

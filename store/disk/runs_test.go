package disk

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"gearloop/store"
)

// No number is given twice, whatever opens a directory in turn: this program, an earlier one whose numbers
// had another layout, and commands, all of which crash or lose META. Each start may give a range of numbers,
// and the ranges of all starts are disjoint.
func TestNumbersAreGivenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := &numbering{t: t, fs: vfs.NewCrashableMem()}
		for range rapid.IntRange(2, 12).Draw(t, "starts") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				n.earlier()
			case 2:
				n.loseMeta()
			case 3, 4:
				n.loseTurn()
			case 5:
				n.imports()
			default:
				n.start()
			}
		}
		n.start()
	})
}

// numbering is a directory and the numbers that were given in it.
type numbering struct {
	t     *rapid.T
	fs    *vfs.MemFS
	given []numberRange
	alive map[uint64]bool
}

// numberRange is the range of one start, in units of a run of today.
type numberRange struct {
	from, to uint64
	who      string
}

const imported = "another directory"

func (n *numbering) give(from, to uint64, who string) {
	for _, other := range n.given {
		if from <= other.to && other.from <= to {
			n.t.Fatalf("%s gives numbers of the runs %d to %d, and so did %s (%d to %d)", who, from, to, other.who, other.from, other.to)
		}
	}
	n.given = append(n.given, numberRange{from, to, who})
}

// open opens the directory and examines the adopted jobs.
func (n *numbering) open() *Disk {
	opts := quick(n.fs)
	opts.manual = true
	d, err := Open(opts)
	if err != nil {
		n.t.Fatal(err)
	}
	jobs, err := loadAll(d)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, job := range jobs {
		if job.Number&noHandle == 0 && store.RunOf(job.Number) >= d.Run() {
			n.t.Fatalf("job %d is of run %d, and run %d begins", job.Number, store.RunOf(job.Number), d.Run())
		}
	}
	return d
}

// start makes this program open the directory, use one or more runs of it, and store a job or none.
func (n *numbering) start() {
	d := n.open()
	n.give(d.Run(), d.Run(), "this program")
	for range rapid.IntRange(0, 2).Draw(n.t, "jobs") {
		n.append(d, store.Number(d.Run(), n.count(store.MaxCount-1), store.ShardOf("f")))
	}
	for range rapid.IntRange(0, 2).Draw(n.t, "new runs") {
		before := d.Run()
		d.NewRun()
		d.turn()
		if d.Run() == before {
			n.t.Fatal("no new run is opened")
		}
		n.give(d.Run(), d.Run(), "this program's NewRun")
		n.append(d, store.Number(d.Run(), n.count(store.MaxCount-1), store.ShardOf("f")))
	}
	n.leave(d)
}

// leave ends a process in some way.
func (n *numbering) leave(d *Disk) {
	switch rapid.SampledFrom([]string{"in order", "killed", "power"}).Draw(n.t, "end") {
	case "in order":
		d.mu.Lock()
		d.closed = true
		d.mu.Unlock()
		for ended := false; !ended; {
			_, _, ended = d.turn()
		}
	case "killed":
		d.closeOut()
	default:
		d.closeOut()
		left := n.fs.CrashClone(vfs.CrashCloneCfg{})
		_ = d.dir.Close()
		n.fs = left
		return
	}
	if err := d.dir.Close(); err != nil {
		n.t.Fatal(err)
	}
}

// count draws a count, often one of the extremes.
func (n *numbering) count(highest uint64) uint64 {
	return rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, highest}), rapid.Uint64Range(0, highest)).Draw(n.t, "count")
}

func (n *numbering) append(d *Disk, number uint64) {
	if n.alive == nil {
		n.alive = map[uint64]bool{}
	}
	if n.alive[number] {
		return // chance drew it twice
	}
	n.alive[number] = true
	ref, err := d.Append(&store.Job{Number: number, Function: "f", Argument: [][]byte{[]byte("x")}}, receipt{newReceipts(), number})
	if err != nil {
		n.t.Fatal(err)
	}
	d.turn()
	if rapid.Bool().Draw(n.t, "ends") {
		d.Done(ref)
	}
}

// earlier does what version 0.1 did when it opened a directory: it incremented the generation, of 2^46
// numbers each, recorded it in META and in the new segment, and knew no runs.
func (n *numbering) earlier() {
	state, err := readDir(n.fs, testDir)
	if err != nil {
		if n.given != nil {
			n.t.Fatal(err)
		}
		return // this program makes the directory: version 0.1 alone needs no test
	}
	if err := state.scan(false, func(*scannedSegment, int64, *entry) error { return nil }); err != nil {
		n.t.Fatal(err)
	}
	generation := max(state.generation, state.meta.Generation) + 1
	n.give(generation*runsPerGeneration, generation*runsPerGeneration+runsPerGeneration-1, "version 0.1")
	last := &state.segments[len(state.segments)-1]
	end := min(last.good, last.limit)
	w, err := makeSegment(n.fs, testDir, last.id+1, 4<<10, createWriter, func(w *writer) error {
		begin := appendBegin(nil, last.id, end, end, generation, 0, state.nextOrder)
		if err := w.batch(begin[:beginSize]); err != nil { // without the mark
			return err
		}
		for i := range rapid.IntRange(0, 2).Draw(n.t, "jobs") {
			number := generation<<generationShift | n.count(1<<40-1)<<6 + 1 + uint64(store.ShardOf("f"))
			job := &store.Job{Number: number, Function: "f", Argument: [][]byte{[]byte("x")}}
			b := appendJob(nil, job, state.nextOrder+uint64(i), 1, false)
			if rapid.Bool().Draw(n.t, "ends") {
				b = appendEnd(b, number)
			}
			if err := w.batch(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if err := w.file.Close(); err != nil {
		n.t.Fatal(err)
	}
	if rapid.Bool().Draw(n.t, "killed before META is written") {
		return
	}
	m := state.meta
	m.Turn, m.Generation, m.Run, m.Last, m.Synced = m.Turn+1, generation, 0, last.id+1, w.synced
	if err := writeMeta(n.fs, testDir, m); err != nil {
		n.t.Fatal(err)
	}
}

// loseMeta loses META, and perhaps the newest segment. The directory must be repaired.
func (n *numbering) loseMeta() {
	if err := n.fs.Remove(testDir + "/" + metaName); err != nil {
		return // there is no directory yet
	}
	if state, err := readDir(n.fs, testDir); err == nil && len(state.segments) > 1 && rapid.Bool().Draw(n.t, "newest segment lost") {
		if err := n.fs.Remove(state.path(&state.segments[len(state.segments)-1])); err != nil {
			n.t.Fatal(err)
		}
		// If it was an import's, nothing records the imported handles any more.
		n.given = slices.DeleteFunc(n.given, func(r numberRange) bool { return r.who == imported })
	}
	if _, err := repair(n.fs, testDir); err != nil {
		n.t.Fatal(err)
	}
}

// loseTurn damages what was written to META last.
func (n *numbering) loseTurn() {
	f, err := n.fs.Open(testDir + "/" + metaName)
	if err != nil {
		return // there is no directory yet
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		n.t.Fatal(err)
	}
	m, err := readMeta(n.fs, testDir)
	if err != nil {
		n.t.Fatal(err)
	}
	content[m.Turn%2*metaSlot+20] ^= 1
	if f, err = n.fs.Create(testDir+"/"+metaName, vfs.WriteCategoryUnspecified); err == nil {
		_, err = f.Write(content)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		n.t.Fatal(err)
	}
	if _, err := readMeta(n.fs, testDir); err == errNoMeta { // it was written only once
		n.loseMeta()
	}
	if _, err := repair(n.fs, testDir); err != nil { // segments that it expects may be missing
		n.t.Fatal(err)
	}
}

// imports adds jobs with handles that another directory gave.
func (n *numbering) imports() {
	number := store.Number(rapid.Uint64Range(1, 5000).Draw(n.t, "run"), n.count(store.MaxCount-1), store.ShardOf("f"))
	run := uint64(1)
	if report, err := check(n.fs, testDir); err == nil {
		run = report.NextRun
	}
	text := fmt.Sprintf(`{"function":"f","number":"%d","argument":"x"}`, number)
	one := 0
	if rapid.Bool().Draw(n.t, "with one that has no handle") {
		one = 1
		text += "\n" + `{"function":"f"}`
		n.give(run, run, "this program's import")
	}
	done, complaints, err := importText(n.fs, testDir, text)
	if err != nil || done.Jobs+done.LeftOut != 1+one || done.LeftOut == 1 && !strings.Contains(complaints[0], "is there already") {
		n.t.Fatalf("%+v, %q, %v", done, complaints, err)
	}
	if done.Jobs > one {
		// The imported numbers are all of one generation and those before. They may equal this directory's by
		// chance, because two directories know nothing of each other. Numbers that are given from now on must
		// not.
		n.given = append(n.given, numberRange{0, (generationOf(number)+1)*runsPerGeneration - 1, imported})
	}
}

// The segments record the run too, because the last write of META may be damaged.
func TestRunOutlivesMeta(t *testing.T) {
	fs := vfs.NewCrashableMem()
	for run := uint64(1); run < 20; run++ {
		opts := quick(fs)
		opts.manual = true
		d := open(t, opts)
		if d.Run() != run {
			t.Fatalf("run %d is opened, want %d", d.Run(), run)
		}
		d.closeOut()
		if err := d.dir.Close(); err != nil {
			t.Fatal(err)
		}
		m, err := readMeta(fs, testDir)
		if err != nil {
			t.Fatal(err)
		}
		if run == 1 {
			continue // it is the only one in META
		}
		content := readFile(t, fs, testDir+"/"+metaName)
		content[m.Turn%2*metaSlot+20] ^= 1
		writeFile(t, fs, testDir+"/"+metaName, content)
	}
}

// A directory that has used up its runs is refused, with the way out.
func TestRunsEnd(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := open(t, quick(fs))
	load(t, d)
	closeStore(t, d)
	m, err := readMeta(fs, testDir)
	if err != nil {
		t.Fatal(err)
	}
	m.Turn, m.Run, m.Generation = m.Turn+1, store.MaxRun-2, (store.MaxRun-2)/runsPerGeneration
	if err := writeMeta(fs, testDir, m); err != nil {
		t.Fatal(err)
	}
	d = open(t, quick(fs))
	told := &runs{opened: make(chan uint64, 10)}
	if err := d.Start(told); err != nil {
		t.Fatal(err)
	}
	if run := <-told.opened; run != store.MaxRun-1 {
		t.Errorf("run %d is opened", run)
	}
	d.NewRun()
	if run := <-told.opened; run != store.MaxRun {
		t.Errorf("run %d is opened", run)
	}
	d.NewRun() // there is none
	put(t, d, newReceipts(), small(store.Number(store.MaxRun, 7, 1)))
	closeStore(t, d)
	if len(told.opened) != 0 || d.Run() != store.MaxRun {
		t.Errorf("run %d is opened", d.Run())
	}
	if _, err := Open(quick(fs)); err == nil || !strings.Contains(err.Error(), "gearloop store dump") {
		t.Error("a run beyond the last:", err)
	}
	if report, err := check(fs, testDir); err != nil || report.Jobs != 1 {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// runs records the opened runs.
type runs struct {
	store.NoEvents
	opened chan uint64
}

func (r *runs) Opened(run uint64) { r.opened <- run }

// NewRun opens a run although the disk fails at first, and reports each run once. Jobs continue meanwhile.
func TestNewRunOnFailingDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	for at := 1; ; at++ {
		f := &faults{err: errIO}
		opts := quick(&hookFS{FS: mem, before: f.before})
		d := open(t, opts)
		told := &runs{opened: make(chan uint64, 10)}
		if err := d.Start(told); err != nil {
			t.Fatal(err)
		}
		first := <-told.opened
		f.mu.Lock()
		f.at, f.count = f.calls+at, 2
		f.mu.Unlock()
		d.NewRun()
		d.NewRun()
		if second := <-told.opened; second <= first {
			t.Fatalf("run %d after %d", second, first)
		}
		hit := f.hit()
		f.over()
		r, n := newReceipts(), uint64(0)
		for err := store.ErrFailed; err != nil; n++ {
			number := store.Number(d.Run(), n, 0)
			if _, err = d.Append(small(number), receipt{r, number}); err == nil {
				err = r.wait(t, number)
			}
		}
		closeStore(t, d)
		if len(told.opened) > 1 {
			t.Errorf("%d more runs were opened", len(told.opened))
		}
		if hit == 0 {
			if at < 5 {
				t.Error("there were hardly any calls")
			}
			return
		}
	}
}

package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/test/sample"
)

// cycles multiplies the length of the tests of crashes and damage, as make crash wants it; 0 by default.
func cycles(t testing.TB) int {
	text := os.Getenv("GEARLOOP_CRASH")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("GEARLOOP_CRASH:", err)
	}
	return n
}

func readFile(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(b)); err != nil { // it may modify its argument
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// files returns the names in the store's directory that have a suffix.
func files(t testing.TB, fs vfs.FS, suffix string) (names []string) {
	t.Helper()
	all, err := fs.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fullDirectory returns a directory with everything that one can contain, after an orderly end, and the jobs
// that must be in it.
func fullDirectory(t testing.TB) (*vfs.MemFS, *ledger, uint64) {
	fs := vfs.NewCrashableMem()
	opts := quick(fs)
	opts.segmentSize = 2 << 10
	l := newLedger()
	l.d = open(t, opts)
	load(t, l.d)
	l.workload(t)
	for n := range uint64(12) {
		job := small(n + 100)
		job.Argument = [][]byte{make([]byte, 400)}
		<-l.append(job)
	}
	generation := l.d.Run()
	closeStore(t, l.d)
	if len(files(t, fs, segmentSuffix)) < 3 || len(files(t, fs, argumentSuffix)) < 2 {
		t.Fatal("too few files:", files(t, fs, ""))
	}
	return fs, l, generation
}

// opens opens a directory and compares it with what must be there. If it is damaged, the test checks the
// report, repairs the directory, and checks that it opens then and holds no job that never existed.
func opens(t testing.TB, fs *vfs.MemFS, l *ledger, generation uint64) (damaged bool) {
	t.Helper()
	d, err := Open(quick(fs))
	if err == nil {
		if err := l.check(d, true); err != nil {
			t.Fatal(err)
		}
		if d.Run() <= generation {
			t.Fatalf("run %d after %d", d.Run(), generation)
		}
		closeStore(t, d)
		return false
	}
	if !errors.Is(err, store.ErrDamaged) {
		t.Fatal(err)
	}
	if text := err.Error(); !strings.Contains(text, "gearloop store repair "+testDir) || strings.Contains(text, "\n") {
		t.Fatal("it does not say how to go on:", text)
	}
	mend(t, fs, l, generation)
	return true
}

// mend repairs a damaged directory and returns the number of jobs in it afterwards.
func mend(t testing.TB, fs *vfs.MemFS, l *ledger, generation uint64) int {
	t.Helper()
	before, err := check(fs, testDir)
	if err != nil || len(before.Damage) == 0 {
		t.Fatalf("check finds nothing: %v, %+v", err, before)
	}
	if _, err := repair(fs, testDir); err != nil {
		t.Fatal("repair:", err)
	}
	after, err := check(fs, testDir)
	if err != nil || len(after.Damage) > 0 {
		t.Fatal("damage is left:", after.Damage, err)
	}
	d, err := Open(quick(fs))
	if err != nil {
		t.Fatal("it does not open after repair:", err)
	}
	defer closeStore(t, d)
	if d.Run() <= generation {
		t.Fatalf("run %d after %d", d.Run(), generation)
	}
	mended := l.snapshot()
	mended.acked = nil
	if err := mended.check(d, false); err != nil {
		t.Fatal("after repair:", err)
	}
	return after.Jobs
}

// A torn end of the log is cut off, wherever a crash tore it and whatever is there.
func TestTornTail(t *testing.T) {
	fs := vfs.NewCrashableMem()
	var torn *vfs.MemFS
	opts := quick(fs)
	tears := false
	opts.fs = &hookFS{FS: fs, before: func(op, path string) error {
		if op == "sync" && tears && torn == nil && ofSegment(path) {
			torn = whole(fs)
		}
		return nil
	}}
	l := newLedger()
	opts.manual = true
	l.d = open(t, opts)
	load(t, l.d)
	for n := range uint64(10) {
		l.append(small(n + 1))
		l.d.turn()
	}
	name := testDir + "/" + files(t, fs, segmentSuffix)[0]
	safe := len(written(t, fs, name))
	books := l.snapshot()
	tears = true
	for n := range uint64(5) {
		l.append(small(n + 11))
	}
	l.d.turn()
	l.d.closeOut()
	books.order, books.appended = l.order, l.appended
	all := written(t, torn, name)
	if len(all) < safe+200 {
		t.Fatal("nothing to tear:", len(all), safe)
	}
	for at := safe; at < len(all); at += sample.Of(1, 3) {
		for i, left := range [][]byte{
			all[:at],
			slices.Concat(all[:at], []byte{all[at] ^ 0x10}, all[at+1:]),
			slices.Concat(all[:at], make([]byte, len(all)-at)),
			slices.Concat(all[:at], make([]byte, 100_000)),
		} {
			if i > 0 && (at-safe)%5 != 0 && cycles(t) == 0 {
				continue
			}
			one := whole(torn)
			writeFile(t, one, name, left)
			d, err := Open(quick(one))
			if err != nil {
				t.Fatalf("torn at %d of %d: %v", at, len(all), err)
			}
			if err := books.check(d, false); err != nil {
				t.Fatalf("torn at %d of %d: %v", at, len(all), err)
			}
			closeStore(t, d)
		}
	}
}

// A changed byte is found wherever it is, or loses nothing.
func TestFlippedByte(t *testing.T) {
	fs, l, generation := fullDirectory(t)
	step := sample.Of(61, 307)
	if cycles(t) > 0 {
		step = 1
	}
	for _, name := range slices.Concat(files(t, fs, segmentSuffix), []string{metaName}) {
		content := readFile(t, fs, testDir+"/"+name)
		for at := 0; at < len(written(t, fs, testDir+"/"+name)); at += step {
			if content[at] == ' ' && at%97 != 0 { // META is mostly blanks
				continue
			}
			one := whole(fs)
			changed := slices.Clone(content)
			changed[at] ^= 1 << (at % 8)
			writeFile(t, one, testDir+"/"+name, changed)
			if damaged := opens(t, one, l, generation); !damaged && name != metaName {
				t.Fatalf("byte %d of %s has changed, and nobody saw it", at, name)
			}
		}
	}
}

// A change in a large argument is found by Check, and when the argument is read. Repair drops that job only.
func TestDamagedArgument(t *testing.T) {
	fs, l, generation := fullDirectory(t)
	sound, err := check(fs, testDir)
	if err != nil {
		t.Fatal(err)
	}
	name := testDir + "/" + files(t, fs, argumentSuffix)[0]
	content := readFile(t, fs, name)
	for at := 0; at < len(content); at += sample.Of(501, 2503) {
		one := whole(fs)
		changed := slices.Clone(content)
		changed[at] ^= 1 << (at % 8)
		writeFile(t, one, name, changed)
		d := open(t, quick(one))
		number, _ := argumentOf(fs.PathBase(name))
		for _, job := range load(t, d) {
			if job.Number != number {
				continue
			}
			done := make(chan error)
			d.Argument(job.Ref, io.Discard, func(err error) { done <- err })
			if err := <-done; !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("byte %d has changed: %v", at, err)
			}
		}
		closeStore(t, d)
		if left := mend(t, one, l, generation); left != sound.Jobs-1 {
			t.Fatalf("%d jobs are left of %d", left, sound.Jobs)
		}
	}
	for _, left := range [][]byte{content[:len(content)-1], append(slices.Clone(content), 0), nil} {
		one := whole(fs)
		writeFile(t, one, name, left)
		if !opens(t, one, l, generation) {
			t.Fatalf("its size is %d instead of %d, and nobody saw it", len(left), len(content))
		}
	}
}

// written returns a segment's content without the zeros ahead of it.
func written(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	return bytes.TrimRight(readFile(t, fs, name), "\x00")
}

// Missing files, and files that are too short, are found.
func TestMissing(t *testing.T) {
	fs, l, generation := fullDirectory(t)
	for _, name := range slices.Concat(files(t, fs, segmentSuffix), files(t, fs, argumentSuffix), []string{metaName}) {
		one := whole(fs)
		if err := one.Remove(testDir + "/" + name); err != nil {
			t.Fatal(err)
		}
		if !opens(t, one, l, generation) {
			t.Fatal("nobody misses", name)
		}
	}
	for _, name := range files(t, fs, segmentSuffix) {
		content := written(t, fs, testDir+"/"+name)
		for at := 0; at < len(content); at += sample.Of(61, 307) {
			one := whole(fs)
			writeFile(t, one, testDir+"/"+name, content[:at])
			if !opens(t, one, l, generation) {
				t.Fatalf("%s ends at %d of %d, and nobody saw it", name, at, len(content))
			}
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	err := error(&DamageError{Dir: "/d", Damage: []Damage{
		{File: "0000000003.log", Offset: 10, Bytes: 20, Jobs: 3, Reason: "can't be read"},
		{File: "META", Jobs: -1, Reason: "is missing"},
	}})
	want := `store: damaged: /d: 0000000003.log: can't be read: 20 bytes from 10 on, ` +
		`jobs that were submitted there: 3; META: is missing. "gearloop store repair /d" keeps all the rest`
	if got := fmt.Sprint(err); got != want || !errors.Is(err, store.ErrDamaged) {
		t.Error(got)
	}
}

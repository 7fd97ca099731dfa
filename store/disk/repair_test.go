package disk

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A repair keeps what precedes and follows damage, even in the same block of the segment, and puts the
// damaged files aside.
func TestRepairKeepsTheRest(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opts := quick(fs)
	opts.segmentSize, opts.manual = 1<<20, true
	l := newLedger()
	l.d = open(t, opts)
	load(t, l.d)
	const jobs = 2000 // in some blocks
	for n := range uint64(jobs) {
		l.append(small(n + 1))
		l.d.turn()
	}
	l.d.closeOut()
	fs = whole(fs)
	name := files(t, fs, segmentSuffix)[0]
	content := readFile(t, fs, testDir+"/"+name)
	for _, at := range []int{200, 201, 202, 203, 204, 205, 206, 207, 210, 40_000, 65_535, 65_536, 65_540} {
		one := whole(fs)
		changed := slices.Clone(content)
		changed[at] ^= 2
		writeFile(t, one, testDir+"/"+name, changed)
		_, err := Open(quick(one))
		var damage *DamageError
		if !errors.As(err, &damage) || len(damage.Damage) != 1 {
			t.Fatal(err)
		}
		where := damage.Damage[0]
		if where.Bytes < 50 || where.Bytes > 300 || where.File != name || where.Offset > int64(at) || where.Offset < int64(at)-100 || where.Jobs < 1 {
			t.Errorf("damage at %d: %v", at, where)
		}
		if left := mend(t, one, l, 1); left < jobs-where.Jobs || left == jobs || left < jobs-2 {
			t.Errorf("damage at %d: %v; %d jobs are left", at, where, left)
		}
		aside := one.PathJoin(testDir, damagedDir, "0000000002", name)
		if !slices.Equal(readFile(t, one, aside), changed) {
			t.Error("it was not put aside as it was")
		}
	}
}

// Each part that cannot be read is reported.
func TestDamageInSeveralPlaces(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opts := quick(fs)
	opts.segmentSize, opts.manual = 1<<20, true
	l := newLedger()
	l.d = open(t, opts)
	load(t, l.d)
	const jobs = 1000
	var ends []int64 // of jobs
	for n := range uint64(jobs) {
		l.append(small(n + 1))
		l.d.turn()
		ends = append(ends, l.d.c.out.synced)
	}
	l.d.closeOut()
	fs = whole(fs)
	name := testDir + "/" + files(t, fs, segmentSuffix)[0]
	content := readFile(t, fs, name)
	offsets := []int{100, 101, 500, 900}
	for _, job := range offsets {
		content[ends[job]-5] ^= 8
	}
	writeFile(t, fs, name, content)
	report, err := check(fs, testDir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range report.Damage {
		got = append(got, fmt.Sprint(d.Offset, d.Bytes, d.Jobs))
	}
	var want []string
	for i, from := range []int{100, 500, 900} {
		n := []int{2, 1, 1}[i]
		want = append(want, fmt.Sprint(ends[from-1], ends[from+n-1]-ends[from-1], n))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if left := mend(t, fs, l, 1); left != jobs-len(offsets) {
		t.Errorf("%d jobs are left", left)
	}
}

// A repair may be interrupted at each call. Everything that could be repaired still can be.
func TestRepairCrashes(t *testing.T) {
	fs, l, generation := fullDirectory(t)
	name := testDir + "/" + files(t, fs, segmentSuffix)[0]
	changed := readFile(t, fs, name)
	changed[len(changed)/2] ^= 1
	writeFile(t, fs, name, changed)
	complete := whole(fs)
	want := mend(t, complete, l, generation)
	var crashes []*vfs.MemFS
	one := whole(fs)
	if _, err := repair(&hookFS{FS: one, before: func(op, _ string) error {
		crashes = append(crashes, one.CrashClone(vfs.CrashCloneCfg{}))
		return nil
	}}, testDir); err != nil {
		t.Fatal(err)
	}
	if len(crashes) < 30 {
		t.Fatal("hardly any calls:", len(crashes))
	}
	for i, left := range crashes {
		report, err := check(left, testDir)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Damage) > 0 {
			report.Jobs = mend(t, left, l, generation)
		}
		if report.Jobs != want {
			t.Errorf("crash at call %d: %d jobs, %d without a crash", i, report.Jobs, want)
		}
	}
}

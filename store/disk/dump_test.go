package disk

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/store/transfer"
)

const importDir = "/other"

// A dump begins with the settings of functions. A directory that has settings keeps its own.
func TestDumpAndImportSettings(t *testing.T) {
	fs := vfs.NewMem()
	opts := quick(fs)
	d := open(t, opts)
	load(t, d)
	document := `{"format":1,"functions":[{"function":"Zg==","paused":{"by":"anna"}}]}`
	if err := d.SaveSettings([]byte(document)); err != nil {
		t.Fatal(err)
	}
	number := 5<<generationShift + store.Shards + uint64(store.ShardOf("resize")) + 1
	put(t, d, newReceipts(), small(number))
	closeStore(t, d)
	var lines bytes.Buffer
	if err := dump(fs, testDir, &lines); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(lines.String(), `{"settings":`+document+"}\n{\"number\"") {
		t.Errorf("dumped is %s", lines.String())
	}
	done, complaints, err := importText(fs, importDir, lines.String())
	if err != nil || done != (transfer.Imported{Jobs: 1, Settings: true}) {
		t.Fatalf("%+v, %q, %v", done, complaints, err)
	}
	for text, complaint := range map[string]string{
		`{"settings":{"other":1}}`:       "line 1: settings: the directory has its own",
		`{"settings":{},"function":"f"}`: "line 1: settings: a job can't have any",
		"\n" + `{"settings":"x"}`:        "line 2: settings: the directory has its own",
		`{"settings":{}`:                 "line 1: JSON ends early",
	} {
		if done, complaints, err := importText(fs, importDir, text); err != nil || done != (transfer.Imported{LeftOut: 1}) || complaints[0] != complaint {
			t.Errorf("%s: %+v, %q, %v", text, done, complaints, err)
		}
	}
	if done, complaints, err := importText(fs, "/third", `{"settings":null}`); err != nil || done.LeftOut != 1 {
		t.Errorf("null: %+v, %q, %v", done, complaints, err)
	}
	if got, err := loadSettings(fs, importDir); err != nil || string(got) != document {
		t.Errorf("imported is %s, %v", got, err)
	}

	// Malformed settings do not prevent a dump of the jobs.
	f, err := fs.Create(fs.PathJoin(testDir, SettingsName), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	lines.Reset()
	if err := dump(fs, testDir, &lines); err == nil || !strings.Contains(err.Error(), SettingsName) {
		t.Errorf("half a document: %v", err)
	}
	if n := strings.Count(lines.String(), "\n"); n != 1 {
		t.Errorf("%d lines are dumped: %s", n, lines.String())
	}
}

// Jobs that are dumped and imported elsewhere are the same, in the same order.
func TestDumpAndImport(t *testing.T) {
	fs := vfs.NewMem()
	opts := quick(fs)
	opts.large = store.LargeArgument
	d := open(t, opts)
	load(t, d)
	r := newReceipts()
	generation := uint64(5) << generationShift
	in := func(function string, count uint64) uint64 {
		return generation + count*store.Shards + uint64(store.ShardOf(function)) + 1
	}
	want := []store.Job{
		{Number: in("resize", 7), Function: "resize", Unique: "u", Reducer: "sum", Priority: store.High, Retries: 2,
			Due: 1_700_000_000_123_456_789, Argument: [][]byte{[]byte("two "), []byte("pieces & <b>\n")}},
		{Number: in("f\xff", 3), Function: "f\xff", Unique: "a\x00\xfe", Reducer: "\x80", Priority: store.Low,
			Argument: [][]byte{{0, 1, 0xff}}},
		{Number: noHandle | 9, Function: "imported", Priority: store.Normal, Argument: [][]byte{nil}},
		{Number: in("large", 1), Function: "large", Priority: store.Normal,
			Argument: [][]byte{bytes.Repeat([]byte("0123456789"), store.LargeArgument/8)}},
	}
	var refs []store.Ref
	for i := range want {
		refs = append(refs, put(t, d, r, &want[i]))
	}
	d.Done(put(t, d, r, small(generation|99)))
	d.Update(refs[1], 4, store.High)
	want[1].Retries, want[1].Priority = 4, store.High
	closeStore(t, d)

	var lines bytes.Buffer
	if err := dump(fs, testDir, &lines); err != nil {
		t.Fatal(err)
	}
	text := lines.String()
	if n := strings.Count(text, "\n"); n != len(want) {
		t.Errorf("%d lines", n)
	}
	for _, part := range []string{
		`{"number":"351843720888798","function":"resize","unique":"u","reducer":"sum","priority":"high",` +
			`"due":"2023-11-14T22:13:20.123456789Z","retries":2,"argument":"two pieces & <b>\n"}` + "\n",
		`"function":"","function_base64":"Zv8=","unique_base64":"YQD+"`, `"argument_base64":"AAH/"`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in\n%.1000s", part, text)
		}
	}

	done, complaints, err := importText(fs, importDir, text)
	if err != nil || done != (transfer.Imported{Jobs: len(want)}) {
		t.Fatalf("%+v, %q, %v", done, complaints, err)
	}
	// Jobs with a handle exist already. The one without is another job.
	if done, complaints, err := importText(fs, importDir, text); err != nil || done.Jobs != 1 || done.LeftOut != len(want)-1 {
		t.Errorf("imported twice: %+v, %q, %v", done, complaints, err)
	}
	opts.Dir = importDir
	d = open(t, opts)
	defer closeStore(t, d)
	if d.Run() < 6*runsPerGeneration {
		t.Error("handles may be given out again: run", d.Run())
	}
	got := load(t, d)
	if len(got) != len(want)+1 {
		t.Fatal("got", numbers(got))
	}
	got = got[:len(want)]
	for i := range got {
		if err := same(d, &got[i], &want[i]); err != nil || got[i].Retries != want[i].Retries {
			t.Error(err, got[i].Retries)
		}
		if i != 2 && got[i].Number != want[i].Number {
			t.Errorf("number %d instead of %d", got[i].Number, want[i].Number)
		}
	}
	if n := got[2].Number; !store.Valid(n) || store.ShardOfNumber(n) != store.ShardOf("imported") {
		t.Error("a job without a handle got number", n)
	}
}

// A dump of a damaged directory has all jobs that can be read.
func TestDumpOfDamaged(t *testing.T) {
	fs, l, _ := fullDirectory(t)
	for _, name := range []string{files(t, fs, segmentSuffix)[1], files(t, fs, argumentSuffix)[0]} {
		one := whole(fs)
		changed := readFile(t, one, testDir+"/"+name)
		changed[len(changed)/2] ^= 4
		writeFile(t, one, testDir+"/"+name, changed)
		var lines bytes.Buffer
		if err := dump(one, testDir, &lines); !errors.Is(err, store.ErrDamaged) {
			t.Error(err)
		}
		n := 0
		err := transfer.Read(&lines, func(item *transfer.Item) error {
			if n++; item.Wrong != nil {
				return item.Wrong
			}
			job := item.Job
			want := l.appended[job.Number]
			if want == nil || !bytes.Equal(job.Argument[0], bytes.Join(want.Argument, nil)) {
				t.Error("dumped and never stored: ", job.Number)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n < 10 {
			t.Error("only", n, "jobs")
		}
	}
}

// Commands do not create the directory that they look at, and do not touch one in use.
func TestCommandsAreCareful(t *testing.T) {
	fs := vfs.NewMem()
	if _, err := check(fs, testDir); err == nil {
		t.Error("checked what is not there")
	}
	if err := dump(fs, testDir, io.Discard); err == nil {
		t.Error("dumped what is not there")
	}
	if _, err := repair(fs, testDir); err == nil {
		t.Error("repaired what is not there")
	}
	if names, err := fs.List("/"); err != nil || len(names) > 0 {
		t.Error(names, err)
	}
	d := open(t, quick(fs))
	defer closeStore(t, d)
	_, checked := check(fs, testDir)
	_, repaired := repair(fs, testDir)
	_, _, imported := importText(fs, testDir, "")
	for _, err := range []error{checked, repaired, imported, dump(fs, testDir, io.Discard)} {
		if !errors.Is(err, store.ErrLocked) {
			t.Error(err)
		}
	}
}

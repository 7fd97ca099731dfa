package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
	"gearloop/store/transfer"
	"gearloop/test/sample"
)

// importText imports lines of JSON and returns the reports of lines that were left out.
func importText(fs vfs.FS, dir, text string) (done transfer.Imported, complaints []string, err error) {
	im, err := newImporter(fs, dir, acceptSome)
	if err != nil {
		return done, nil, err
	}
	done, err = transfer.Import(strings.NewReader(text), im, func(why error) { complaints = append(complaints, why.Error()) })
	return done, complaints, err
}

// acceptSome rejects one function, as the scheduler rejects what no client can submit.
func acceptSome(job *store.Job) error {
	if job.Function == "refused" {
		return errors.New("function is refused")
	}
	return nil
}

// Lines that people write by hand are understood. Malformed ones are left out and reported with line and
// field. Lines before and after them are imported.
func TestImportByHand(t *testing.T) {
	long := strings.Repeat("f", store.MaxName+1)
	for text, complaints := range map[string][]string{
		"":                          nil,
		" \n\n":                     nil,
		`{"function":"f"}`:          nil,
		"{\"function\":\"f\"}\n\n ": nil,
		"{\"function\":\"f\"}\r\n{\"function\":\"f\"}\r\n":                                   nil,
		`{"function":"f","priority":"low","argument":"x","due":"2030-01-01T00:00:00+01:00"}`: nil,
		`{"function":"f"}{"function":"g","argument_base64":"AA=="}`:                          nil,
		`{"function":"f"} {"function":"g"}`:                                                  nil,
		"{\n  \"function\": \"f\",\n  \"argument\": \"}\"\n}\n{\n\"function\":\"g\"}\n":      nil,
		`{"function":"","function_base64":"Zv8="}`:                                           nil,
		`{"function_base64":"Zv8="}`:                                                         nil,
		`{"function":"f","argument":"{\"}\\"}`:                                               nil,

		`{"function":"f","priority":"urgent"}`:                           {`line 1: priority: "urgent" is not high, normal or low`},
		"\n\n{\"function\":\"f\",\"prio\":\"low\"}":                      {`line 3: unknown field "prio"`},
		"{\"function\":\"f\"}\n{\"function\":":                           {"line 2: JSON ends early"},
		"{\"function\":\"f\"}\n{\"function\":\"":                         {"line 2: JSON ends early"},
		"{\"function\":\"f\"}\n{":                                        {"line 2: JSON ends early"},
		"{\"function\":\"g\",\n\"argument\":\"x\"\n{\"function\":\"f\"}": {"line 2: JSON ends early"},
		"{\"function\":\"g\",\n\"argument\":\n\n":                        {"line 2: JSON ends early"},
		"hello\n{\"function\":\"f\"}":                                    {"line 1: no JSON: invalid character 'h' looking for beginning of value"},
		"{\"function\":\"f\"} hello\n{\"function\":\"f\"}":               {"line 1: no JSON: invalid character 'h' looking for beginning of value"},
		"{\"function\":\"f\"}}\n{\"function\":\"f\"}":                    {"line 1: no JSON: invalid character '}' looking for beginning of value"},
		"{\"function\":'f'}\n{\"function\":\"f\"}":                       {`line 1: no JSON: invalid character '\'' looking for beginning of value`},
		"[{\"function\":\"f\"}]":                                         {"line 1: an array instead of an object with a function"},
		"7\n\"f\"\nnull": {"line 1: a number instead of an object with a function",
			"line 2: a string instead of an object with a function", "line 3: function is missing"},
		`{}`:                            {"line 1: function is missing"},
		`{"function":7}`:                {"line 1: function: a number instead of a string"},
		`{"function":"f","number":12}`:  {`line 1: number: a number instead of a string, as in "12"`},
		`{"function":"f","number":"x"}`: {`line 1: number: "x" is no number from 1 to 9223372036854775807`},
		`{"function":"f","number":"0"}`: {`line 1: number: "0" is no number from 1 to 9223372036854775807`},
		`{"function":"f","number":"9223372036854775808"}`:                          {`line 1: number: "9223372036854775808" is no number from 1 to 9223372036854775807`},
		`{"function":"f","number":"22"}` + "\n" + `{"function":"f","number":"22"}`: {"line 2: number: a job with the number 22 is there already (--new-handles gives it another one)"},
		`{"function":"f","due":"tomorrow"}`:                                        {`line 1: due: "tomorrow" is no time like 2030-01-31T12:00:00Z`},
		`{"function":"f","due":7}`:                                                 {`line 1: due: a number instead of a string`},
		`{"function":"f","retries":65536}`:                                         {"line 1: retries: 65536 is no number from 0 to 65535"},
		`{"function":"f","retries":-1}`:                                            {"line 1: retries: -1 is no number from 0 to 65535"},
		`{"function":"f","retries":"many"}`:                                        {`line 1: retries: "many" is no number from 0 to 65535`},
		`{"function":"f","argument":"x","argument_base64":"not that"}`:             {"line 1: argument_base64: illegal base64 data at input byte 3"},
		`{"function":"` + long + `"}`:                                              {"line 1: store: job too large"},
		`{"function":"refused"}`:                                                   {"line 1: function is refused"},
	} {
		fs := vfs.NewMem()
		around := "{\"function\":\"before\"}\n"
		done, told, err := importText(fs, testDir, around+text+"\n{\"function\":\"after\"}\n")
		if err != nil {
			t.Errorf("%.80q: %v", text, err)
		}
		var want []string
		for _, c := range complaints {
			var line int
			if _, err := fmt.Sscanf(c, "line %d:", &line); err != nil {
				t.Fatal(err)
			}
			want = append(want, strings.Replace(c, fmt.Sprint("line ", line), fmt.Sprint("line ", line+1), 1))
		}
		if !slices.Equal(told, want) || done.LeftOut != len(want) {
			t.Errorf("%.80q:\n told %q\n want %q", text, told, want)
		}
		d := open(t, quick(fs))
		got := load(t, d)
		closeStore(t, d)
		if len(got) != done.Jobs || got[0].Function != "before" || got[len(got)-1].Function != "after" {
			t.Errorf("%.80q: %d jobs, told %d", text, len(got), done.Jobs)
		}
	}
}

// A line may be as long as the largest argument requires. The number of lines is not limited.
func TestImportOfMuch(t *testing.T) {
	fs := vfs.NewMem()
	var text strings.Builder
	for n := range 3 * transfer.MaxJobs {
		fmt.Fprintf(&text, "{\"function\":\"f%d\",\"argument\":\"%d\"}\n", n%7, n)
	}
	fmt.Fprintf(&text, "{\"function\":\"large\",\"argument\":%q}\n", strings.Repeat("x", 3<<20))
	done, complaints, err := importText(fs, testDir, text.String())
	if err != nil || done.Jobs != 3*transfer.MaxJobs+1 {
		t.Fatalf("%+v, %q, %v", done, complaints, err)
	}
	d := open(t, Options{Dir: testDir, fs: fs})
	jobs := load(t, d)
	for i := range jobs[:3*transfer.MaxJobs] {
		if want := fmt.Sprint(i); string(jobs[i].Argument[0]) != want {
			t.Fatalf("job %d has argument %.20q", i, jobs[i].Argument[0])
		}
	}
	if last := &jobs[len(jobs)-1]; last.Size != 3<<20 {
		t.Errorf("the large argument has %d bytes", last.Size)
	}
	closeStore(t, d)
}

// A time beyond the range of engines becomes the last in it. A time in the past means at once.
func TestImportedTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2030-01-31T12:00:00.5Z":    time.Date(2030, 1, 31, 12, 0, 0, 5e8, time.UTC),
		"9999-12-31T23:59:59Z":      time.Unix(store.LatestDue, 0),
		"2262-04-11T23:47:17Z":      time.Unix(store.LatestDue, 0),
		"1969-12-31T23:59:59Z":      {},
		"0001-01-01T00:00:00Z":      {},
		"1600-01-01T00:00:00+02:00": {},
	} {
		fs := vfs.NewMem()
		if done, complaints, err := importText(fs, testDir, fmt.Sprintf(`{"function":"f","due":%q}`, text)); err != nil || done.Jobs != 1 {
			t.Fatalf("%s: %+v, %q, %v", text, done, complaints, err)
		}
		d := open(t, quick(fs))
		if got := store.DueTime(load(t, d)[0].Due); !got.Equal(want) {
			t.Errorf("%s is due at %v, want %v", text, got, want)
		}
		closeStore(t, d)
	}
}

// Each imported job has a handle of its function and keeps it over any number of starts, which assign it to
// no other job.
func TestImportedHandles(t *testing.T) {
	fs := vfs.NewMem()
	f := store.ShardOf("f")
	theirs := store.Number(5, 7, f)
	lines := []string{
		`{"function":"f"}`, `{"function":"g"}`, `{"function":"f","unique":"u"}`,
		fmt.Sprintf(`{"function":"f","number":"%d"}`, theirs),
		// These numbers are impossible: of another shard, of no run, or of runs that must not be used up.
		fmt.Sprintf(`{"function":"g","number":"%d"}`, theirs+64), `{"function":"f","number":"9223372036854775807"}`,
		fmt.Sprintf(`{"function":"f","number":"%d"}`, store.Number(store.MaxRun-5, 1, f)),
		// The number that this import has given to the first job.
		fmt.Sprintf(`{"function":"f","number":"%d"}`, store.Number(1, 0, f)),
	}
	done, complaints, err := importText(fs, testDir, strings.Join(lines, "\n"))
	if err != nil || done != (transfer.Imported{Jobs: len(lines), GivenAnew: 4}) {
		t.Fatalf("%+v, %q, %v", done, complaints, err)
	}
	var first []uint64
	for start := range 4 {
		d := open(t, quick(fs))
		jobs := load(t, d)
		if start == 0 {
			first = numbers(jobs)
		}
		if !slices.Equal(numbers(jobs), first) {
			t.Errorf("start %d: numbers %d, at the first %d", start+1, numbers(jobs), first)
		}
		for _, job := range jobs {
			if !store.Valid(job.Number) || store.ShardOfNumber(job.Number) != store.ShardOf(job.Function) || store.RunOf(job.Number) >= d.Run() {
				t.Errorf("job of %s has number %d in run %d", job.Function, job.Number, d.Run())
			}
		}
		if first[3] != theirs {
			t.Errorf("a job that brought number %d has %d", theirs, first[3])
		}
		closeStore(t, d)
	}
	sorted := slices.Sorted(slices.Values(first))
	if len(slices.Compact(sorted)) != len(lines) {
		t.Errorf("two jobs have one number: %d", first)
	}
}

// Imports of a few jobs do not add a segment each. An import without jobs changes nothing.
func TestImportsAddNoSegments(t *testing.T) {
	for _, fs := range []vfs.FS{vfs.NewMem(), machine} {
		dir := testDir
		if fs == machine {
			dir = t.TempDir() + "/new"
		}
		for _, text := range []string{"", "nonsense", `{"function":"refused"}`} {
			if done, _, err := importText(fs, dir, text); err != nil || done.Jobs != 0 {
				t.Error(done, err)
			}
			if _, err := fs.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("importing %q makes a directory: %v", text, err)
			}
		}
		list := func() (names []string) {
			names, err := fs.List(dir)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(names)
			return names
		}
		var after []string
		for n := range 20 {
			done, complaints, err := importText(fs, dir, fmt.Sprintf("{\"function\":\"f\",\"argument\":\"%d\"}\nnonsense", n))
			if err != nil || done.Jobs != 1 || done.LeftOut != 1 {
				t.Fatalf("%+v, %q, %v", done, complaints, err)
			}
			if n == 0 {
				after = list()
			}
			if _, _, err := importText(fs, dir, "nonsense"); err != nil {
				t.Fatal(err)
			}
			if now := list(); !slices.Equal(now, after) {
				t.Fatalf("after %d imports there are %q, after the first %q", n+1, now, after)
			}
			report, err := check(fs, dir)
			if err != nil || len(report.Damage) > 0 || report.Jobs != n+1 || report.Segments != 1 || report.Torn != 0 || report.Unused == 0 {
				t.Fatalf("%+v, %v", report, err)
			}
		}
		// A broker begins a segment of its own, and the next import continues that.
		d := open(t, Options{Dir: dir, fs: fs})
		if d.Run() != 21 {
			t.Errorf("run %d after 20 imports", d.Run())
		}
		if n := len(load(t, d)); n != 20 {
			t.Errorf("%d jobs", n)
		}
		closeStore(t, d)
		for range 3 {
			if done, _, err := importText(fs, dir, `{"function":"f"}`); err != nil || done.Jobs != 1 {
				t.Fatal(done, err)
			}
		}
		if report, err := check(fs, dir); err != nil || report.Segments != 2 || report.Jobs != 23 {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

// An error of the disk ends an import. Jobs added before it stay.
func TestImportOnFailingDisk(t *testing.T) {
	lines := strings.Repeat("{\"function\":\"f\",\"argument\":\""+strings.Repeat("x", 3000)+"\"}\n", 50)
	for at := 1; ; at += sample.Of(1, 7) {
		mem := vfs.NewMem()
		f := &faults{at: at, count: 1000, err: errNoSpace}
		done, complaints, err := importText(&hookFS{FS: mem, before: f.before}, testDir, lines)
		if err == nil != (f.hit() == 0) || len(complaints) > 0 {
			t.Errorf("fault at call %d: %+v, %q, %v", at, done, complaints, err)
		}
		if _, err := mem.Stat(testDir); err == nil {
			d := open(t, quick(mem))
			if n := len(load(t, d)); n < done.Jobs || done.Jobs == 50 && n != 50 {
				t.Errorf("fault at call %d: %d jobs are there, told of %d", at, n, done.Jobs)
			}
			closeStore(t, d)
		}
		if f.hit() == 0 {
			if at < 10 || done.Jobs != 50 {
				t.Error("there were hardly any calls:", at, done)
			}
			return
		}
	}
}

// A directory with other content is rejected and not changed.
func TestNoStore(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll(testDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"passwd", "syslog.log", "1.arg"} {
		_, checked := check(fs, testDir)
		_, repaired := repair(fs, testDir)
		for what, err := range map[string]error{"check": checked, "repair": repaired, "dump": dump(fs, testDir, new(strings.Builder))} {
			if !errors.Is(err, ErrNoStore) || !strings.Contains(err.Error(), testDir) {
				t.Errorf("%s: %v", what, err)
			}
		}
		writeFile(t, fs, testDir+"/"+name, []byte("of others"))
	}
	if names := files(t, fs, ""); !slices.Equal(names, []string{"1.arg", "passwd", "syslog.log"}) {
		t.Errorf("it has %q now", names)
	}
}

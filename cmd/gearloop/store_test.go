package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gearloop/store"
	"gearloop/store/disk"
	"gearloop/store/gearmandqueue"
)

func TestStoreMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"bogus":                               `unknown command "bogus" (see gearloop store --help)`,
		"check":                               "missing DIR or URL argument (see gearloop store check --help)",
		"repair":                              "missing DIR argument (see gearloop store repair --help)",
		"repair postgres://h/jobs":            "a database can't be repaired by gearloop; gearloop store check tells what is wrong with it",
		"check mysql://h/jobs":                `"mysql://h/jobs" is no address of a database: it must begin with postgres://`,
		"dump postgres://h:x/jobs":            "the address can't be read: it must be as postgres://USER@HOST:PORT/NAME",
		"import postgres://h/jobs b c":        `unexpected argument "c" (see gearloop store import --help)`,
		"migrate":                             "missing URL argument, such as postgres://HOST/NAME (see gearloop store migrate --help)",
		"migrate /var/lib/gearloop":           `"/var/lib/gearloop" is no address of a database: it must begin with postgres://`,
		"dump a b":                            `unexpected argument "b" (see gearloop store dump --help)`,
		"import a b c":                        `unexpected argument "c" (see gearloop store import --help)`,
		"import a --bogus":                    "unknown option --bogus (see gearloop store import --help)",
		"import a b --from-gearmand-sqlite c": "--from-gearmand-sqlite excludes b",
		"import a --table b":                  "--table is of --from-gearmand-sqlite",
	} {
		_, err := run(append([]string{"store"}, strings.Fields(args)...)...)
		if err == nil || err.Error() != want || !errors.As(err, new(usageError)) {
			t.Errorf("%s: %T %v\n\twant %s", args, err, err, want)
		}
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for _, command := range []string{"check", "dump", "repair"} {
		if _, err := run("store", command, nowhere); err == nil || errors.As(err, new(usageError)) {
			t.Errorf("%s: %T %v", command, err, err)
		}
	}
	if _, err := os.Stat(nowhere); !os.IsNotExist(err) {
		t.Error("a directory was made:", err)
	}
}

// What the commands say of a directory: when it is sound, in use, damaged and repaired.
func TestStoreCommands(t *testing.T) {
	home := t.TempDir()
	dir, other, file := filepath.Join(home, "data"), filepath.Join(home, "other"), filepath.Join(home, "jobs")
	lines := `{"function":"resize","unique":"u","priority":"high","argument":"cat.jpg"}` + "\n" +
		`{"function":"resize","priority":"normal","argument":"dog.jpg"}` + "\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(want string, args ...string) {
		t.Helper()
		got, err := run(append([]string{"store"}, args...)...)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v; want %q", args, got, err, want)
		}
	}
	says("2 jobs imported\n", "import", dir, file)
	says("2 jobs, 0 of them with large arguments\n", "check", dir)
	says("no damage\n", "check", dir)
	says("no damage, nothing was changed\n", "repair", dir)
	dumped, err := run("store", "dump", dir)
	if without := regexp.MustCompile(`"number":"\d+",`).ReplaceAllString(dumped, ""); err != nil || without != lines {
		t.Errorf("dump: %q, %v; want, with numbers, %q", dumped, err, lines)
	}

	root := rootCommand()
	root.SetArgs([]string{"store", "import", other})
	root.SetIn(strings.NewReader(lines[:strings.Index(lines, "\n")]))
	var out bytes.Buffer
	root.SetOut(&out)
	if err := root.Execute(); err != nil || out.String() != "1 job imported\n" {
		t.Error(out.String(), err)
	}

	d, err := disk.Open(disk.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run("store", "import", other, filepath.Join(home, "nowhere")); !os.IsNotExist(err) {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	content, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	content[bytes.Index(content, []byte("dog.jpg"))] = 'f'
	if err := os.WriteFile(segments[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := run("store", "check", dir)
	if err == nil || errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "gearloop store repair "+dir) ||
		!strings.Contains(report, "damaged: "+filepath.Base(segments[0])+": can't be read") {
		t.Error(report, err)
	}
	if _, err := run("store", "dump", dir); !errors.Is(err, store.ErrDamaged) {
		t.Error(err)
	}
	says("damaged: "+filepath.Base(segments[0]), "repair", dir)
	says("no damage\n", "check", dir)
	if aside, err := filepath.Glob(filepath.Join(dir, "damaged", "*", "*.log")); err != nil || len(aside) == 0 {
		t.Error(aside, err)
	}
}

// The import reads the file that is named. Its content is tested in package gearmandqueue.
func TestStoreImportFromGearmand(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	out, err := run("store", "import", t.TempDir(), "--from-gearmand-sqlite", nowhere)
	if !os.IsNotExist(err) || out != "" {
		t.Error(out, err)
	}
}

// An import says how many priorities of gearmand's table it did not know.
func TestStoreImportOfUnknownPriorities(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec("CREATE TABLE " + gearmandqueue.Table + " (unique_key TEXT, function_name TEXT, priority INTEGER, " +
		"data BLOB, when_to_run INTEGER);" +
		"INSERT INTO " + gearmandqueue.Table + " VALUES ('a', 'f', 0, '', 0), ('b', 'f', 3, '', 0), ('c', 'f', NULL, '', 0)")
	if err != nil {
		t.Fatal(err)
	}
	out, err := run("store", "import", t.TempDir(), "--from-gearmand-sqlite", file)
	want := "3 jobs imported\n2 jobs got normal priority: theirs in the file was not 0, 1 or 2\n"
	if err != nil || out != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}

// The command reports what an import left out, with line numbers and the sum, and its exit status is that of
// a failure.
func TestStoreImportLeavesOut(t *testing.T) {
	job := `{"function":"f"}` + "\n"
	many := strings.Repeat("nonsense\n", 30)
	for _, c := range []struct {
		text, err    string
		out, because string // what is printed, and what is said before the error
	}{
		{job + "\n" + job + `{"function":`, "line 4: JSON ends early; 2 jobs were imported", "2 jobs imported\n", ""},
		{job + `{"function":"` + strings.Repeat("f", 513) + `"}`, "line 2: function has 513 bytes, the most is 512; 1 job was imported", "1 job imported\n", ""},
		{`{"function":"a\u0000b"}`, "line 1: function has a NUL in it; 0 jobs were imported", "", ""},
		{job + "{}\n" + job + "{}", "line 4: function is missing; 2 are left out in all; 2 jobs were imported", "2 jobs imported\n",
			"gearloop: line 2: function is missing\n"},
		{many, "line 30: no JSON: invalid character 'o' in literal null (expecting 'u'); 30 are left out in all; 0 jobs were imported", "", ""},
		{`{"function":"f","number":"3"}`, "", "1 job imported\n1 job got a new handle: the old one can't be one of its function here\n", ""},
	} {
		root := rootCommand()
		root.SetArgs([]string{"store", "import", filepath.Join(t.TempDir(), "new")})
		root.SetIn(strings.NewReader(c.text))
		var out, because bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&because)
		err := root.Execute()
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) || errors.As(err, new(usageError)) {
			t.Errorf("%.60q: %v, want %s", c.text, err, c.err)
		}
		if out.String() != c.out && !(c.out == "" && out.Len() == 0) {
			t.Errorf("%.60q: prints %q, want %q", c.text, out.String(), c.out)
		}
		if c.text == many {
			if n := strings.Count(because.String(), "\n"); n != leftOutMost-1 {
				t.Errorf("%d lines are told one by one", n)
			}
		} else if because.String() != c.because {
			t.Errorf("%.60q: says %q, want %q", c.text, because.String(), c.because)
		}
	}
}

// A directory without stored jobs is an error, and is not changed.
func TestStoreOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "passwd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "repair", "dump"} {
		out, err := run("store", command, dir)
		if !errors.Is(err, disk.ErrNoStore) || out != "" || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Error("there is more in it now:", left, err)
	}
}

// After imports no command reports a crash.
func TestStoreCheckAfterImports(t *testing.T) {
	dir, file := filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "jobs")
	if err := os.WriteFile(file, []byte(`{"function":"f"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, err := run("store", "import", dir, file); err != nil || out != "1 job imported\n" {
			t.Fatal(out, err)
		}
	}
	out, err := run("store", "check", dir)
	if err != nil || strings.Contains(out, "torn") || !strings.Contains(out, "2 jobs, ") || !strings.Contains(out, "1 segment, ") ||
		!strings.Contains(out, "bytes of the segments unused") || !strings.HasSuffix(out, "no damage\n") {
		t.Errorf("check: %v\n%s", err, out)
	}
}

// Two brokers have given the same handle to a job each: an import leaves it out, and tells the option that takes it.
func TestStoreImportNewHandles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	number := fmt.Sprint(store.Number(3, 1, store.ShardOf("f")))
	line := `{"number":"` + number + `","function":"f","argument":"x"}` + "\n"
	if out, err := runWith(line, "store", "import", dir); err != nil || out != "1 job imported\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if out, err := runWith(line, "store", "import", dir); err == nil || !strings.Contains(err.Error(), "--new-handles") {
		t.Errorf("the same handle: %q, %v", out, err)
	}
	if out, err := runWith(line, "store", "import", dir, "--new-handles"); err != nil || out != "1 job imported\n" {
		t.Errorf("with a new handle: %q, %v", out, err)
	}
	out, err := runWith("", "store", "dump", dir)
	if err != nil || strings.Count(out, `"argument":"x"`) != 2 || strings.Count(out, `"number":"`+number+`"`) != 1 {
		t.Errorf("%s, %v", out, err)
	}
}

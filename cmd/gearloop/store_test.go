package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/store"
	"gearloop/store/disk"
)

func TestStoreMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"bogus":                               `unknown command "bogus" (see gearloop store --help)`,
		"check":                               "which directory? (see gearloop store check --help)",
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
	says(lines, "dump", dir)

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

// The file of gearmand that is named is the one that is read; gearmandqueue has the test of its content.
func TestStoreImportFromGearmand(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	out, err := run("store", "import", t.TempDir(), "--from-gearmand-sqlite", nowhere)
	if !os.IsNotExist(err) || out != "" {
		t.Error(out, err)
	}
}

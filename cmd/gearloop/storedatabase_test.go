package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/store"
	"gearloop/store/postgres"
	"gearloop/test/pgtest"
)

// runWith runs a command with an input, and returns its output.
func runWith(input string, args ...string) (string, error) {
	var out strings.Builder
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(input))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.Execute()
	return out.String(), err
}

// What the commands say of a database: without tables, sound, moved to a directory and back, damaged, of a
// newer version.
func TestStoreDatabase(t *testing.T) {
	server := pgtest.Start(t)
	schema := server.Schema(t)
	url, dir := server.URL(schema), filepath.Join(t.TempDir(), "data")
	for _, command := range []string{"check", "dump", "migrate"} {
		if out, err := runWith("", "store", command, url); !errors.Is(err, postgres.ErrNoTables) || out != "" {
			t.Errorf("%s of nothing: %q, %v", command, out, err)
		}
	}
	lines := `{"settings":{"format":1,"functions":[]}}` + "\n" +
		`{"function":"resize","unique":"u","priority":"high","argument":"cat.jpg"}` + "\n" + `{"function":"resize","argument":"dog.jpg"}` + "\n"
	out, err := runWith(lines+"nonsense\n", "store", "import", url)
	if want := "2 jobs imported\nsettings of functions imported\n"; out != want || err == nil || !strings.HasPrefix(err.Error(), "line 4: no JSON: ") ||
		!strings.HasSuffix(err.Error(), "; 2 jobs were imported") || errors.As(err, new(usageError)) {
		t.Errorf("import: %q, %v", out, err)
	}
	out, err = runWith("", "store", "check", url)
	if err != nil || !strings.HasPrefix(out, "2 jobs, 0 of them with large arguments\nRUN ") || !strings.Contains(out, "released  2\n") ||
		!strings.HasSuffix(out, "no damage\n") {
		t.Errorf("check: %v\n%s", err, out)
	}
	for _, command := range []string{"init", "migrate"} {
		if out, err = runWith("", "store", command, url); err != nil || out != "the tables are up to date\n" {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
	dumped, err := runWith("", "store", "dump", url)
	if err != nil || strings.Count(dumped, "\n") != 3 || !strings.Contains(dumped, `"cat.jpg"`) {
		t.Fatalf("dump: %q, %v", dumped, err)
	}
	if out, err := runWith(dumped, "store", "import", dir); err != nil || !strings.HasPrefix(out, "2 jobs imported\n") {
		t.Errorf("back: %q, %v", out, err)
	}
	if back, err := runWith("", "store", "dump", dir); err != nil || back != dumped {
		t.Errorf("the directory has %q, %v\nthe database %q", back, err, dumped)
	}

	server.Exec(t, "delete from "+schema+".run")
	out, err = runWith("", "store", "check", url)
	if err == nil || errors.As(err, new(usageError)) || !strings.Contains(out, "damaged: run ") || !strings.HasPrefix(err.Error(), "the database is damaged;") {
		t.Errorf("check of a damaged one: %v\n%s", err, out)
	}
	server.Exec(t, "update "+schema+".meta set format = 99")
	for _, command := range []string{"check", "dump", "import", "init", "migrate"} {
		out, err := runWith(lines, "store", command, url)
		if !errors.Is(err, store.ErrNewer) || out != "" || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "version 99") {
			t.Errorf("%s of a newer one: %q, %v", command, out, err)
		}
	}
	server.Exec(t, "update "+schema+".meta set format = 0") // as one older than all
	if out, err := runWith("", "store", "check", url); err == nil {
		t.Errorf("check of an older one: %q", out)
	}
}

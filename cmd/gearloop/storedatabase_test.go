package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// What a broker of version 1 left is refused by those who only read, until it is migrated: nothing is lost then, and the
// handles stay.
func TestStoreMigrate(t *testing.T) {
	old, err := os.ReadFile("../../store/postgres/testdata/version1.sql")
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.Start(t)
	schema := server.Schema(t)
	url := server.URL(schema)
	server.Exec(t, "set search_path = "+schema+";\n"+string(old))
	for _, command := range [][]string{{"store", "check"}, {"store", "dump"}, {"cluster", "status"}} {
		if out, err := runWith("", append(command, url)...); err == nil || out != "" || !strings.Contains(err.Error(), "gearloop store migrate") {
			t.Errorf("%s of an older one: %q, %v", command, out, err)
		}
	}
	want := fmt.Sprintf("the tables had version 1, and have version %d now\n", postgres.Format)
	for range 2 {
		if out, err := runWith("", "store", "migrate", url); err != nil || out != want {
			t.Errorf("migrate: %q, %v", out, err)
		}
		want = "the tables are up to date\n"
	}
	out, err := runWith("", "store", "check", url)
	if err != nil || !strings.HasPrefix(out, "3 jobs, 1 of them with large arguments\n") || !strings.HasSuffix(out, "no damage\n") {
		t.Errorf("check: %q, %v", out, err)
	}
	out, err = runWith("", "store", "dump", url)
	for _, job := range []string{
		`{"number":"275767686728777788","function":"mail.send","unique":"daily","priority":"normal","argument":"to everybody"}`,
		`{"number":"275767686728777822","function":"resize","unique":"large","priority":"normal","argument":"` + strings.Repeat("x", 300_000) + `"}`,
	} {
		if err != nil || !strings.Contains(out, job+"\n") {
			t.Errorf("dump: %.1000q, %v, want %.100q", out, err, job)
		}
	}
}

func TestAnswered(t *testing.T) {
	wrong := errors.New("timeout: context deadline exceeded")
	for _, c := range []struct {
		wait time.Duration
		err  error
		want string
	}{
		{time.Hour, wrong, wrong.Error()},
		{0, wrong, "the database has not answered within 30s: " + wrong.Error()},
		{0, nil, "<nil>"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), c.wait)
		if got := fmt.Sprint(answered(ctx, c.err)); got != c.want {
			t.Errorf("%v, %v: %s, want %s", c.wait, c.err, got, c.want)
		}
		cancel()
	}
}

package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gearloop/sched"
	"gearloop/store/disk"
)

// TestSettingsOverRestarts changes settings of functions before the store is open, as an operator can, and
// while the server runs. Both survive a restart, and are exported and imported with the jobs. A malformed
// file makes the start fail with a line that names the file and the way out.
func TestSettingsOverRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jobs")
	socket := filepath.Join(t.TempDir(), "admin.sock")
	o, err := parsed(t, []string{"--listen", "127.0.0.1:0", "--data-dir", dir, "--admin-socket", socket}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{options: o, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if err := p.build(); err != nil {
		t.Fatal(err)
	}
	p.server.Act(func(now time.Time, fx *sched.Effects) {
		err = p.scheduler.PauseFunction("early", sched.Setting{By: "anna", Since: now}, now, fx)
	})
	if err == nil {
		err = p.openStore()
	}
	p.giveUp()
	if err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(dir, disk.SettingsName)
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"format":1,"functions":`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = run("serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	if err == nil || !strings.Contains(err.Error(), file+": the stored settings of functions are malformed: ") ||
		!strings.HasSuffix(err.Error(), "; move the file away to start with all functions open and none paused") {
		t.Errorf("a file that makes no sense: %v", err)
	}
	if err := os.WriteFile(file, stored, 0o600); err != nil {
		t.Fatal(err)
	}

	r := newBroker(t, "--data-dir", dir)
	r.says("close late", "late is closed")
	r.server.Stop()
	r = newBroker(t, "--data-dir", dir)
	if r.function("early").Paused == nil || r.function("late").Closed == nil {
		t.Errorf("after a restart: %+v, %+v", r.function("early"), r.function("late"))
	}
	r.server.Stop()

	dump, err := run("store", "dump", dir)
	if err != nil {
		t.Fatal(err)
	}
	lines, other := filepath.Join(t.TempDir(), "lines"), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(lines, []byte(dump), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("store", "import", other, lines); err != nil || !strings.Contains(out, "settings of functions imported") {
		t.Errorf("import: %s, %v", out, err)
	}
	r = newBroker(t, "--data-dir", other)
	if r.function("early").Paused == nil || r.function("late").Closed == nil {
		t.Errorf("elsewhere: %+v, %+v", r.function("early"), r.function("late"))
	}
}

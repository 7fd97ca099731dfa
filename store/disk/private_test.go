package disk

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Stored files belong to their owner alone, whatever the umask and the previous state of the directory.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	write := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				must(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644))
			}
		}
	}
	populate := func(t *testing.T, dir string) {
		d := open(t, Options{Dir: dir, large: testLarge})
		load(t, d)
		job := small(1)
		job.Argument = [][]byte{make([]byte, testLarge)}
		put(t, d, newReceipts(), job)
		closeStore(t, d)
		must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			must(t, err)
			return os.Chmod(path, 0o666)
		}))
	}
	for _, c := range []struct {
		name     string
		before   fs.FileMode // of the directory; 0 = there is none
		populate func(t *testing.T, dir string)
		after    fs.FileMode
		refused  string
	}{
		{"new", 0, nil, 0o700, ""},
		{"empty", 0o777, nil, 0o700, ""},
		{"empty with a group's bit", 0o777 | fs.ModeSetgid, nil, 0o700 | fs.ModeSetgid, ""},
		{"mounted", 0o755, func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700)) }, 0o700, ""},
		{"store of an earlier version", 0o755, populate, 0o700, ""},
		{"store that everybody may write to", 0o777, populate, 0o700, ""},
		{"with other files", 0o755, write("notes"), 0o755, ""},
		{"with other files, of a group", 0o775, write("notes"), 0o775, ""},
		{"with other files, everybody may write", 0o777, write("notes"), 0o777, "everybody may write to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if c.before != 0 {
				must(t, os.Mkdir(dir, 0o700))
				if c.populate != nil {
					c.populate(t, dir)
				}
				must(t, os.Chmod(dir, c.before))
			}
			before, _ := os.ReadDir(dir)
			d, err := Open(Options{Dir: dir, large: testLarge})
			if c.refused != "" {
				after, _ := os.ReadDir(dir)
				if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), dir) || len(after) != len(before) {
					t.Errorf("%v; there are %d files, were %d", err, len(after), len(before))
				}
			} else {
				must(t, err)
				load(t, d)
				job := small(2)
				job.Argument = [][]byte{make([]byte, testLarge)}
				put(t, d, newReceipts(), job)
			}
			must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				must(t, err)
				info, err := e.Info()
				must(t, err)
				want := fs.FileMode(0o600)
				switch name := e.Name(); {
				case path == dir:
					want = c.after
				case name == "lost+found":
					want = 0o700
				case isForeign(name):
					want = 0o644
				}
				if got := info.Mode() &^ fs.ModeDir; got != want {
					t.Errorf("%s has mode %v, want %v", path, got, want)
				}
				return nil
			}))
			if d != nil {
				closeStore(t, d)
			}
		})
	}
	// The same applies to what Repair writes and puts aside.
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(dir, 0o700))
	populate(t, dir)
	path := filepath.Join(dir, argumentName(1))
	must(t, os.Truncate(path, 5))
	if _, err := Repair(dir); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Options{Dir: dir})
	must(t, err)
	closeStore(t, d)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		info, err := e.Info()
		must(t, err)
		above := filepath.Dir(path) == filepath.Join(dir, damagedDir, "0000000002") // below a private directory
		if info.Mode()&others != 0 && !above {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	}))
}

// A link in the place of LOCK is not followed: its target would be emptied.
func TestLockIsNoLink(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(t.TempDir(), "precious")
	must(t, os.WriteFile(precious, []byte("x"), 0o600), os.Symlink(precious, filepath.Join(dir, lockName)))
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if b, err := os.ReadFile(precious); string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

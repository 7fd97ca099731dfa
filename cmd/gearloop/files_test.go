package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// precious makes a file that nobody may overwrite through a link.
func precious(t *testing.T) (path string, unharmed func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		t.Helper()
		if text, err := os.ReadFile(path); string(text) != "precious" || err != nil {
			t.Errorf("the file that the link names holds %q, %v", text, err)
		}
	}
}

// shared returns a directory that others may write to.
func shared(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// In a directory that others may write to, neither pid file nor log is written through a link, and a file
// that somebody put there beforehand does not receive them.
func TestLinksOfOthers(t *testing.T) {
	target, unharmed := precious(t)
	for kind, link := range map[string]func(string, string) error{"symbolic": os.Symlink, "hard": os.Link} {
		dir := shared(t)
		log, pid := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
		for _, path := range []string{log, pid, pid + ".new"} {
			if err := link(target, path); err != nil {
				t.Fatal(err)
			}
		}
		if f, err := openLog(log); err == nil || !strings.Contains(err.Error(), "link") {
			t.Errorf("%s link as log: %v, %v", kind, f, err)
		}
		if err := writePidfile(pid); err != nil {
			t.Errorf("%s link as pid file: %v", kind, err)
		}
		if info, err := os.Lstat(pid); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s link as pid file: is %v now, %v", kind, info, err)
		}
		if text, err := os.ReadFile(pid); !bytes.Equal(text, pidLine()) || err != nil {
			t.Errorf("%s link: the pid file holds %q, %v", kind, text, err)
		}
		unharmed()
		if kind == "symbolic" {
			// A log file that does not exist yet is not created through a link.
			gone := filepath.Join(dir, "gone")
			if err := os.Symlink(gone+".target", gone); err != nil {
				t.Fatal(err)
			}
			if f, err := openLog(gone); err == nil {
				t.Errorf("made %s by a link", f.Name())
			}
		}
	}
	// Where only this user can create links they are followed, as for /var/log in a container.
	own := filepath.Join(t.TempDir(), "log")
	if err := os.Symlink(target+".log", own); err != nil {
		t.Fatal(err)
	}
	f, err := openLog(own)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := os.Stat(target + ".log"); err != nil {
		t.Error(err)
	}
}

// A process removes the pid file only if it names that process.
func TestRemovePidfile(t *testing.T) {
	dir := shared(t)
	path := filepath.Join(dir, "pid")
	if err := writePidfile(path); err != nil {
		t.Fatal(err)
	}
	removePidfile(path)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("our own is still there: %v", err)
	}
	removePidfile(path) // somebody else has removed it
	for _, text := range []string{"1\n", "", "not a number\n", string(pidLine()) + "1\n", strings.TrimSpace(string(pidLine()))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		removePidfile(path)
		if got, err := os.ReadFile(path); string(got) != text || err != nil {
			t.Errorf("one that holds %q: %q, %v", text, got, err)
		}
	}
	os.Remove(path)
	if err := os.Symlink("/proc/self/stat", path); err != nil {
		t.Fatal(err)
	}
	removePidfile(path)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("a link: %v", err)
	}
}

// The log may be a named pipe. It is opened even without a reader, and its first reader gets the lines.
func TestLogIsPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := newLogFile(path, "text")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	l.put(line{text: []byte("one\n")})
	l.own.flush(t.Context())
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buffer := make([]byte, 10)
	if n, err := r.Read(buffer); string(buffer[:n]) != "one\n" || err != nil {
		t.Errorf("%q, %v", buffer[:n], err)
	}
	l.file.Close()
}

package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A log file that was moved away is written again under its name after open.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	l, err := newLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "two\n")
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "three\n")
	// What can't be opened leaves things as they are.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.open(); err == nil {
		t.Error("a directory is opened as a log")
	}
	io.WriteString(l, "four\n")
	for name, want := range map[string]string{"log.1": "one\ntwo\n", "log.2": "three\nfour\n"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); string(text) != want || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := newLogFile("relative"); err != nil {
		t.Error(err)
	}
	missing, err := newLogFile(filepath.Join(dir, "none", "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := missing.open(); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "log file: ") {
		t.Errorf("a missing directory: %v", err)
	}
}

// Lines go to syslog with the severity and under the name that they have with the C server. While there
// is nobody to hear them they are lost, and nothing else is.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log := slog.New(newSyslog("unixgram", path, slog.LevelInfo)).With("number", 7).WithGroup("g")
	log.Error("nobody hears it")
	daemon, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	daemon.SetReadDeadline(time.Now().Add(20 * time.Second))
	log.Debug("not logged")
	buffer := make([]byte, 1<<10)
	for _, line := range []struct {
		level    slog.Level
		severity string
	}{
		{slog.LevelError, "11"}, {slog.LevelWarn, "12"}, {levelNotice, "13"}, {slog.LevelInfo, "14"},
	} {
		log.Log(t.Context(), line.level, "a line", "key", "value")
		n, _, err := daemon.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`^<` + line.severity + `>[A-Z][a-z]{2} .\d \d\d:\d\d:\d\d ` +
			`gearmand\[\d+\]: msg="a line" number=7 g.key=value\n$`)
		if !want.Match(buffer[:n]) {
			t.Errorf("%v: %q", line.level, buffer[:n])
		}
	}
}

// The names of levels are the C server's.
func TestLevelNames(t *testing.T) {
	for i, name := range levelNames {
		if got := levelName(levels[i]); got != name {
			t.Errorf("%s is called %s", name, got)
		}
	}
}

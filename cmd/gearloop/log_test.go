package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/test/await"
)

// After a log file was moved away, open creates it again under its name.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	l, err := newLogFile(path, "text")
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		l.put(line{text: []byte(text)})
		l.own.flush(t.Context())
	}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	say("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	say("two\n")
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	say("three\n")
	// If opening fails the log stays as it is.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.open(); err == nil {
		t.Error("a directory is opened as a log")
	}
	say("four\n")
	for name, want := range map[string]string{"log.1": "one\ntwo\n", "log.2": "three\nfour\n"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); string(text) != want || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := newLogFile("relative", "text"); err != nil {
		t.Error(err)
	}
	missing, err := newLogFile(filepath.Join(dir, "none", "log"), "text")
	if err != nil {
		t.Fatal(err)
	}
	if err := missing.open(); err == nil || !strings.HasSuffix(err.Error(), "/none/log: its directory does not exist") {
		t.Errorf("a missing directory: %v", err)
	}
}

// No line is lost or written twice while the file is opened again and again.
func TestReopenUnderLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	l, err := newLogFile(path, "text")
	if err != nil {
		t.Fatal(err)
	}
	const files, perFile = 50, 40
	for n := range files {
		if err := l.open(); err != nil {
			t.Fatal(err)
		}
		for i := range perFile {
			l.put(line{text: fmt.Appendf(nil, "line %d\n", n*perFile+i)})
		}
		if err := os.Rename(path, fmt.Sprintf("%s.%03d", path, n)); err != nil {
			t.Fatal(err)
		}
	}
	l.own.flush(t.Context())
	names, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var all []byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	var want []byte
	for i := range files * perFile {
		want = fmt.Appendf(want, "line %d\n", i)
	}
	if !bytes.Equal(all, want) {
		t.Errorf("%d lines instead of %d, or another order", bytes.Count(all, []byte("\n")), files*perFile)
	}
}

// Lines go to syslog with the severity and program name that the C server uses. While no daemon listens they
// are lost; the next line says how many.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	handler := newSyslog("unixgram", path, slog.LevelInfo)
	queue := outputs[len(outputs)-1]
	log := slog.New(handler).With("number", 7).WithGroup("g")
	for range 2 {
		log.Error("nobody hears it")
		queue.flush(t.Context())
	}
	daemon, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	daemon.SetReadDeadline(time.Now().Add(await.Limit))
	log.Debug("not logged")
	buffer := make([]byte, 1<<10)
	log.Error("after the loss")
	const lost = `msg="lines of the log were dropped: they came faster than they were taken" lines=2` + "\n"
	if n, _, err := daemon.ReadFrom(buffer); err != nil || !bytes.HasSuffix(buffer[:n], []byte(lost)) {
		t.Errorf("before the first line that is heard: %q, %v", buffer[:n], err)
	}
	if _, _, err := daemon.ReadFrom(buffer); err != nil {
		t.Fatal(err)
	}
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

// Nobody waits for a syslog daemon that does not read. It gets the number of lines that it missed.
func TestSyslogDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	daemon, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	log := slog.New(newSyslog("unixgram", path, slog.LevelInfo))
	const many = 20_000
	for i := range many {
		log.Info("a line of some length that nobody reads, with a number", "number", i)
	}
	daemon.SetReadDeadline(time.Now().Add(await.Limit))
	buffer := make([]byte, 1<<10)
	told := regexp.MustCompile(`lines of the log were dropped.* lines=(\d+)\n$`)
	// Lines may come between two gaps, when the queue is written slowly.
	heard, dropped := 0, 0
	for dropped == 0 || heard+dropped < many {
		n, _, err := daemon.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("after %d lines, and %d that are said to be dropped: %v", heard, dropped, err)
		}
		if m := told.FindSubmatch(buffer[:n]); m != nil {
			lines, _ := strconv.Atoi(string(m[1]))
			dropped += lines
		} else {
			heard++
		}
	}
	if heard+dropped != many {
		t.Errorf("says that %d lines were dropped of %d, of which %d came", dropped, many, heard)
	}
}

// The C server's levels have their names in every format; slog would print INFO+2 and ERROR+1.
func TestLevelsInLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log := slog.New(handlerIn(format, &b, slog.LevelDebug))
		for _, l := range levels {
			log.Log(t.Context(), l, "x")
		}
		var got []string
		for _, m := range regexp.MustCompile(`level"?[=:]"?(\S+?)[" ,]`).FindAllStringSubmatch(b.String(), -1) {
			got = append(got, m[1])
		}
		if want := "FATAL ALERT CRITICAL ERROR WARN NOTICE INFO DEBUG"; strings.Join(got, " ") != want {
			t.Errorf("%s: %s; want %s", format, got, want)
		}
	}
}

// Signals have names in every format, because their numbers say nothing.
func TestSignalNames(t *testing.T) {
	for s, want := range map[os.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGUSR1: "SIGUSR1"} {
		var b bytes.Buffer
		slog.New(handlerIn("json", &b, slog.LevelDebug)).Info("ending", "signal", signalName(s))
		if !strings.Contains(b.String(), `"signal":"`+want+`"`) {
			t.Errorf("%v: %s", s, &b)
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

// A value that a peer chooses cannot begin a new line in the log, in any format.
func TestLogLinesCantBeForged(t *testing.T) {
	const forged = "f\nlevel=ERROR msg=forged\r\u2028\x1b[2J"
	for _, format := range []string{"text", "json"} {
		var file bytes.Buffer
		log := slog.New(handlerIn(format, &file, slog.LevelInfo))
		log.Error("message "+forged, "function", forged, forged, 1, "error", errors.New(forged))
		if line := file.String(); strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\r\u2028\x1b") {
			t.Errorf("%s: %q", format, line)
		}
	}
}

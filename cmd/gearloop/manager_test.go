package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/internal/sdnotify"
	"gearloop/reactor"
	"gearloop/test/await"
)

// heardBy returns a notifier with a watchdog, and a function that returns the next message to its service
// manager, or "".
func heardBy(t *testing.T) (*sdnotify.Notifier, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n, err := sdnotify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(); c.Close() })
	return n, func() string {
		if err := n.Send("END"); err != nil { // messages arrive in order and without delay
			t.Fatal(err)
		}
		var all []string
		for {
			c.SetReadDeadline(time.Now().Add(await.Limit))
			b := make([]byte, 4096)
			k, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if string(b[:k]) == "END" {
				return strings.Join(all, "|")
			}
			all = append(all, strings.ReplaceAll(string(b[:k]), "\n", " "))
		}
	}
}

// The service manager is told: at every look that the server is alive; every 10 seconds how many jobs there
// are, if that has changed; why a server is stuck, and nothing else about it; and at the end how long it may
// take.
func TestReporter(t *testing.T) {
	n, heard := heardBy(t)
	alive, phase, jobs := error(nil), reactor.Running, "1 job"
	r := &reporter{
		to: n, log: slog.New(slog.NewTextHandler(io.Discard, nil)), ending: 90 * time.Second,
		alive: func() error { return alive }, phase: func() reactor.Phase { return phase }, jobs: func() string { return jobs },
	}
	begin := time.Now()
	r.told, r.toldAt = jobs, begin
	for _, step := range []struct {
		what string
		at   time.Duration
		set  func()
		want string
	}{
		{"it lives", 1, func() {}, "WATCHDOG=1"},
		{"nothing has changed", 11, func() {}, "WATCHDOG=1"},
		{"too early", 9, func() { jobs = "2 jobs" }, "WATCHDOG=1"},
		{"more jobs", 12, func() {}, "WATCHDOG=1 STATUS=2 jobs"},
		{"stuck", 13, func() { alive = errors.New("a loop is stuck for 11s") }, "STATUS=a loop is stuck for 11s"},
		{"still stuck", 14, func() {}, ""},
		{"it lives again", 24, func() { alive = nil }, "WATCHDOG=1 STATUS=2 jobs"},
		{"it drains", 25, func() { phase = reactor.Draining }, "WATCHDOG=1 STOPPING=1 EXTEND_TIMEOUT_USEC=90000000 STATUS=ending, 2 jobs"},
		{"and goes on", 26, func() { jobs = "1 job" }, "WATCHDOG=1"},
		{"and tells", 36, func() {}, "WATCHDOG=1 STATUS=ending, 1 job"},
	} {
		step.set()
		r.look(begin.Add(step.at * time.Second))
		if got := heard(); got != step.want {
			t.Errorf("%s: the manager hears %q, want %q", step.what, got, step.want)
		}
	}
}

// While a store loads the server asks for more time again and again, but not afterwards.
func TestReporterWhileLoading(t *testing.T) {
	n, heard := heardBy(t)
	r := &reporter{to: n, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	const message = "STATUS=loading EXTEND_TIMEOUT_USEC=60000000"
	const every = 20 * time.Millisecond // heard reads faster even on a slow machine
	times := 0
	err := r.during("loading", every, func() error {
		await.Until(t, "the manager is asked three times", func() bool {
			times += strings.Count(heard(), message)
			return times >= 3
		})
		return io.ErrUnexpectedEOF
	})
	if err != io.ErrUnexpectedEOF {
		t.Error("the error is lost:", err)
	}
	heard()
	time.Sleep(3 * every)
	if late := heard(); late != "" {
		t.Errorf("it is asked afterwards: %q", late)
	}
}

// Reloading is reported, but not before the server is ready, because that report would say so.
func TestReporterReloads(t *testing.T) {
	n, heard := heardBy(t)
	r := &reporter{to: n, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	r.reloading(func() {})
	if got := heard(); got != "" {
		t.Errorf("before it is ready: %q", got)
	}
	r.ready.Store(true)
	r.reloading(func() {
		if got := heard(); !strings.HasPrefix(got, "RELOADING=1 MONOTONIC_USEC=") {
			t.Errorf("at first: %q", got)
		}
	})
	if got := heard(); got != "READY=1" {
		t.Errorf("at last: %q", got)
	}
}

// A service manager that does not answer is logged once, until it answers again.
func TestReporterIsNotHeard(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	n, err := sdnotify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	r := &reporter{to: n, log: slog.New(slog.NewTextHandler(&log, nil))}
	r.send(sdnotify.Ready)
	r.send(sdnotify.Ready)
	if got := strings.Count(log.String(), "could not report"); got != 1 {
		t.Errorf("logged %d times", got)
	}
}

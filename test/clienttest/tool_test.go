package clienttest

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tool returns the command line of the program gearman.
func tool(s *target, args ...string) []string {
	return append([]string{"gearman", "-h", s.host, "-p", s.port}, args...)
}

// wantText fails the test unless the program ended with code and printed text,
// which need not end a line.
func (r result) wantText(t *testing.T, code int, text string) {
	t.Helper()
	if got := anonymous(r.stdout); got != text || r.code != code {
		t.Fatalf("code %d, printed %q, want code %d and %q\nstderr: %s", r.code, got, code, text, r.stderr)
	}
}

// wantFailure is wantText for what a program writes on its standard error.
func (r result) wantFailure(t *testing.T, code int, text string) {
	t.Helper()
	if r.stderr != text || r.code != code || r.stdout != "" {
		t.Fatalf("code %d, complained %q, want code %d and %q\nstdout: %s", r.code, r.stderr, code, text, r.stdout)
	}
}

// TestToolClient runs the client modes with a Perl worker, so that the Perl server can be compared too.
func TestToolClient(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		perlWorker(t, s, "echo", "reverse", "fail", "steps")
		s.awaitWorkers(t, 1, "echo", "reverse", "fail", "steps")
		for _, c := range []struct {
			name, stdin string
			args        []string
			code        int
			stdout      string
		}{
			{"argument", "", []string{"-f", "reverse", "hello"}, 0, "olleh"},
			{"several arguments", "", []string{"-f", "reverse", "one", "two"}, 0, "enoowt"},
			{"pipe", "piped text", []string{"-f", "reverse"}, 0, "txet depip"},
			{"pipe with NULs", "a\x00b\n", []string{"-f", "reverse"}, 0, "\nb\x00a"},
			{"a job per line", "a b\nc d\n", []string{"-n", "-f", "reverse"}, 0, "\nb a\nd c"},
			{"a job per line without its end", "a b\nc d\n", []string{"-N", "-f", "reverse"}, 0, "b ad c"},
			{"prefix", "", []string{"-P", "-f", "reverse", "hello"}, 0, "reverse: olleh"},
			{"unique id", "", []string{"-u", "key", "-f", "reverse", "hello"}, 0, "olleh"},
			{"high priority", "", []string{"-I", "-f", "reverse", "hello"}, 0, "olleh"},
			// It writes results at once and buffers its own lines until it ends.
			{"status", "", []string{"-f", "steps", "x"}, 0, "stepped33% Complete\n66% Complete\n100% Complete\n"},
			{"no function", "", []string{"x"}, 1, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				run(t, c.stdin, tool(s, c.args...)...).wantText(t, c.code, c.stdout)
			})
		}
		t.Run("failing job", func(t *testing.T) {
			run(t, "", tool(s, "-f", "fail", "x")...).wantFailure(t, 1, "Job failed\n")
		})
		t.Run("several functions", func(t *testing.T) {
			r := run(t, "", tool(s, "-f", "echo", "-f", "reverse", "-P", "x")...)
			if r.code != 0 || r.stdout != "echo: xreverse: x" && r.stdout != "reverse: xecho: x" {
				t.Fatalf("code %d, printed %q", r.code, r.stdout)
			}
		})
	})
}

// TestToolWorker runs the worker modes, with the same program as client.
func TestToolWorker(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		launch(t, tool(s, "-w", "-f", "rev", "--", "rev")...)
		launch(t, tool(s, "-w", "-f", "tr1", "-f", "tr2", "--", "tr", "a-z", "A-Z")...)
		launch(t, tool(s, "-w", "-f", "bracket", "-n", "--", "sed", "s/^/</;s/$/>/")...)
		launch(t, tool(s, "-w", "-f", "strip", "-N", "--", "sed", "s/^/</;s/$/>/")...)
		s.awaitWorkers(t, 1, "rev", "tr1", "tr2", "bracket", "strip")
		for _, c := range []struct {
			name, stdin string
			args        []string
			stdout      string
		}{
			{"command", "", []string{"-f", "rev", "hello"}, "olleh"},
			{"pipe", "one\ntwo\n", []string{"-f", "rev"}, "eno\nowt\n"},
			{"nothing sent", "ignored", []string{"-s", "-f", "rev"}, ""},
			{"one of two functions", "", []string{"-P", "-f", "tr2", "x"}, "tr2: X"},
			{"low priority", "", []string{"-L", "-f", "rev", "hello"}, "olleh"},
			// The program sends WORK_DATA for each line except the last, then everything again with WORK_COMPLETE,
			// which it prints as well.
			{"data per line", "x\ny\n", []string{"-f", "bracket"}, "<x>\n<x>\n<y>\n"},
			{"data per line without its end", "x\ny\n", []string{"-f", "strip"}, "<x><x>\n<y>"},
		} {
			t.Run(c.name, func(t *testing.T) {
				run(t, c.stdin, tool(s, c.args...)...).wantText(t, 0, c.stdout)
			})
		}
	})
}

// A worker reports a failing command, and the client's exit code is 1.
func TestToolFailingCommand(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		launch(t, tool(s, "-w", "-f", "bad", "--", "sh", "-c", "cat >/dev/null; exit 3")...)
		run(t, "", tool(s, "-f", "bad", "x")...).wantFailure(t, 1, "Job failed\n")
		s.await(t, "bad", function{workers: 1})
	})
}

// Background jobs of all priorities, and a worker without a command that ends after three jobs and prints
// them.
func TestToolBackground(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		run(t, "", tool(s, "-b", "-L", "-f", "print", "low ")...).wantText(t, 0, "")
		run(t, "", tool(s, "-b", "-f", "print", "normal ")...).wantText(t, 0, "")
		run(t, "high ", tool(s, "-b", "-I", "-f", "print")...).wantText(t, 0, "")
		s.await(t, "print", function{total: 3})
		run(t, "", tool(s, "-w", "-c", "3", "-f", "print")...).wantText(t, 0, "high normal low ")
		s.await(t, "print", function{})
	})
}

func TestToolUnique(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		for _, arg := range []string{"first", "second"} {
			run(t, "", tool(s, "-b", "-u", "key", "-f", "print", arg)...).wantText(t, 0, "")
		}
		run(t, "", tool(s, "-b", "-u", "other", "-f", "print", ",third")...).wantText(t, 0, "")
		s.await(t, "print", function{total: 2})
		run(t, "", tool(s, "-w", "-c", "2", "-f", "print")...).wantText(t, 0, "first,third")
	})
}

func TestToolVerbose(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		run(t, "", tool(s, "-v", "-b", "-f", "print", "x")...).wantText(t, 0, "Task created: H\n")
	})
}

func TestToolPidFile(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		path := filepath.Join(t.TempDir(), "pid")
		worker := launch(t, tool(s, "-w", "-c", "1", "-i", path, "-f", "print")...)
		s.awaitWorkers(t, 1, "print")
		if pid, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(pid)) != fmt.Sprint(worker.pid) {
			t.Fatalf("pid file %q, %v, want %d", pid, err, worker.pid)
		}
		run(t, "", tool(s, "-f", "print", "last")...).wantText(t, 0, "")
		worker.want(t, "last")
		worker.end(t, 0)
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatalf("the pid file is still there: %v", err)
		}
	})
}

// The client has a time limit of its own; the server must drop the job when a worker asks for it.
func TestToolTimeout(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		r := run(t, "", tool(s, "-t", "200", "-f", "reverse", "lost")...)
		r.wantText(t, 0, "")
		if !strings.Contains(r.stderr, "GEARMAN_TIMEOUT") {
			t.Fatalf("stderr: %s", r.stderr)
		}
		worker := perlWorker(t, s, "--verbose", "reverse")
		run(t, "", tool(s, "-f", "reverse", "next")...).wantText(t, 0, "txen")
		worker.want(t, "started", "completed txen")
	})
}

// The program's reading time is quadratic in the size, so this uses no more than about a MiB.
func TestToolLarge(t *testing.T) {
	eachExtended(t, func(t *testing.T, s *target) {
		launch(t, tool(s, "-w", "-f", "sum", "--", "md5sum")...)
		launch(t, tool(s, "-w", "-f", "zeroes", "--", "head", "-c", "1200000", "/dev/zero")...)
		large := strings.Repeat("0123456789abcdef\x00\n", 60_000)
		run(t, large, tool(s, "-f", "sum")...).wantText(t, 0, fmt.Sprintf("%x  -\n", md5.Sum([]byte(large))))
		r := run(t, "", tool(s, "-f", "zeroes", "x")...)
		if r.code != 0 || !bytes.Equal([]byte(r.stdout), make([]byte, 1_200_000)) {
			t.Fatalf("code %d, %d bytes\nstderr: %s", r.code, len(r.stdout), r.stderr)
		}
	})
}

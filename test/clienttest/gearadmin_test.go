package clienttest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gearloop/test/peers"
)

func gearadmin(t *testing.T, s *target, args ...string) result {
	t.Helper()
	return run(t, "", append([]string{"gearadmin", "-h", s.host, "-p", s.port}, args...)...)
}

// prepare gives the server one worker and two queued jobs.
func prepare(t *testing.T, s *target) {
	t.Helper()
	perlWorker(t, s, "--id", "someone", "echo", "note")
	s.awaitWorkers(t, 1, "echo", "note")
	for _, unique := range []string{"first", "second"} {
		run(t, "", tool(s, "-b", "-u", unique, "-f", "queued", "x")...).wantText(t, 0, "")
	}
}

func TestGearadminStatus(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		gearadmin(t, s, "--status").wantText(t, 0, ".\n")
		prepare(t, s)
		r := gearadmin(t, s, "--status")
		lines := strings.Split(strings.TrimSuffix(r.stdout, "\n.\n"), "\n")
		if s.dialect == "c" {
			slices.Sort(lines)
		}
		if want := []string{"echo\t0\t0\t1", "note\t0\t0\t1", "queued\t2\t0\t0"}; r.code != 0 || !slices.Equal(lines, want) {
			t.Fatalf("code %d, %q", r.code, r.stdout)
		}
	})
}

func TestGearadminWorkers(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		prepare(t, s)
		r := gearadmin(t, s, "--workers")
		worker := regexp.MustCompile(`(?m)^[0-9]+ 127\.0\.0\.1 someone : (echo note|note echo)$`)
		asking := regexp.MustCompile(`(?m)^[0-9]+ 127\.0\.0\.1 - : ?$`)
		if r.code != 0 || !worker.MatchString(r.stdout) || !asking.MatchString(r.stdout) || !strings.HasSuffix(r.stdout, "\n.\n") {
			t.Fatalf("code %d, %q", r.code, r.stdout)
		}
	})
}

func TestGearadminVersion(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		r := gearadmin(t, s, "--server-version")
		if want := regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+\S*\n$`); r.code != 0 || !want.MatchString(r.stdout) {
			t.Fatalf("code %d, %q", r.code, r.stdout)
		}
	})
}

// The commands that came after the Perl server, which answers them with an error line; Gearloop has them in
// both dialects.
func TestGearadminLaterCommands(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		if s.Kind == peers.Perl {
			for _, args := range [][]string{
				{"--server-verbose"}, {"--create-function", "x"}, {"--drop-function", "x"}, {"--show-unique-jobs"},
				{"--show-jobs"}, {"--getpid"}, {"--priority-status"}, {"--cancel-job", "H:x:1"},
			} {
				// Debian's Gearman::Server has a slip in its table of texts and sends none.
				gearadmin(t, s, args...).wantFailure(t, 0, "Error: unknown_command \r\n")
			}
			return
		}
		prepare(t, s)
		gearadmin(t, s, "--getpid").wantText(t, 0, fmt.Sprintf("%d\n", s.PID))
		if r := gearadmin(t, s, "--server-verbose"); !regexp.MustCompile(`^[A-Z]+\n$`).MatchString(r.stdout) {
			t.Fatalf("--server-verbose: %q", r.stdout)
		}
		gearadmin(t, s, "--create-function", "made").want(t, "OK")
		s.awaitWorkers(t, 0, "made")
		if _, shown := s.status(t)["made"]; !shown {
			t.Fatal("the created function is not shown")
		}
		gearadmin(t, s, "--drop-function", "made").want(t, "OK")
		if _, shown := s.status(t)["made"]; shown {
			t.Fatal("the dropped function is still shown")
		}
		noFunction, noJob := "Error: function not found\r\n", "Error: UNKNOWN_JOB\r\n"
		if s.dialect == "perl" {
			noFunction, noJob = "Error: unknown_function Function+not+found\r\n", "Error: unknown_job No+such+job+waits\r\n"
		}
		gearadmin(t, s, "--drop-function", "made").wantFailure(t, 0, noFunction)
		lines := strings.Fields(gearadmin(t, s, "--show-unique-jobs").stdout)
		slices.Sort(lines)
		if !slices.Equal(lines, []string{".", "first", "second"}) {
			t.Fatalf("--show-unique-jobs: %q", lines)
		}
		jobs := gearadmin(t, s, "--show-jobs").stdout
		handles := handle.FindAllString(jobs, -1)
		if len(handles) != 2 || anonymous(jobs) != "H\t0\t0\t1\nH\t0\t0\t1\n.\n" {
			t.Fatalf("--show-jobs: %q", jobs)
		}
		if r := gearadmin(t, s, "--priority-status"); !strings.Contains(r.stdout, "queued\t0\t2\t0\t0\n") {
			t.Fatalf("--priority-status: %q", r.stdout)
		}
		gearadmin(t, s, "--cancel-job", handles[0]).want(t, "OK")
		gearadmin(t, s, "--cancel-job", "H:nowhere:99").wantFailure(t, 0, noJob)
	})
}

// gearadmin has no switch for shutdown; the command goes over the wire as it
// stands.
func TestShutdown(t *testing.T) {
	eachServer(t, func(t *testing.T, first *target) {
		for i, line := range []string{"shutdown\n", "shutdown graceful\n"} {
			s := first
			if i > 0 {
				s = first.another(t)
			}
			if s.Kind == peers.C {
				t.Skip("gearmand answers shutdown only after its other connections ended")
			}
			c, err := s.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
			if code, err := s.Wait(deadline); code != 0 || err != nil {
				t.Fatalf("%q: code %d, %v", line, code, err)
			}
			if r := gearadmin(t, s, "--status"); r.code == 0 {
				t.Fatalf("%q: it still answers: %s", line, r.stdout)
			}
		}
	})
}

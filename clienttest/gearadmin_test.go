package clienttest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
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
	t.Parallel()
	s := start(t)
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
}

func TestGearadminWorkers(t *testing.T) {
	t.Parallel()
	s := start(t)
	prepare(t, s)
	r := gearadmin(t, s, "--workers")
	worker := regexp.MustCompile(`(?m)^[0-9]+ 127\.0\.0\.1 someone : (echo note|note echo)$`)
	asking := regexp.MustCompile(`(?m)^[0-9]+ 127\.0\.0\.1 - : ?$`)
	if r.code != 0 || !worker.MatchString(r.stdout) || !asking.MatchString(r.stdout) || !strings.HasSuffix(r.stdout, "\n.\n") {
		t.Fatalf("code %d, %q", r.code, r.stdout)
	}
}

func TestGearadminVersion(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := gearadmin(t, s, "--server-version")
	if want := regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+\S*\n$`); r.code != 0 || !want.MatchString(r.stdout) {
		t.Fatalf("code %d, %q", r.code, r.stdout)
	}
}

// The Perl server's dialect answers the commands it does not have with an error
// line, which gearadmin prints.
func TestGearadminUnknownCommands(t *testing.T) {
	t.Parallel()
	s := start(t)
	if s.dialect != "perl" {
		t.Skip("the dialect has these commands: see TestGearadminOfDialectC")
	}
	// Debian's Gearman::Server has a slip in its table of texts and sends none.
	text := "Unknown+server+command"
	if s.reference {
		text = ""
	}
	for _, args := range [][]string{
		{"--server-verbose"}, {"--create-function", "x"}, {"--drop-function", "x"}, {"--show-unique-jobs"},
		{"--show-jobs"}, {"--getpid"}, {"--priority-status"}, {"--cancel-job", "H:x:1"},
	} {
		gearadmin(t, s, args...).wantFailure(t, 0, "Error: unknown_command "+text+"\r\n")
	}
}

func TestGearadminOfDialectC(t *testing.T) {
	t.Parallel()
	s := start(t)
	if s.dialect != "c" {
		t.Skip("these commands are the dialect c's")
	}
	prepare(t, s)
	gearadmin(t, s, "--getpid").wantText(t, 0, fmt.Sprintf("%d\n", s.PID))
	gearadmin(t, s, "--server-verbose").want(t, "ERROR")
	gearadmin(t, s, "--create-function", "made").want(t, "OK")
	s.awaitWorkers(t, 0, "made")
	if _, shown := s.status(t)["made"]; !shown {
		t.Fatal("the created function is not shown")
	}
	gearadmin(t, s, "--drop-function", "made").want(t, "OK")
	if _, shown := s.status(t)["made"]; shown {
		t.Fatal("the dropped function is still shown")
	}
	gearadmin(t, s, "--drop-function", "made").wantFailure(t, 0, "Error: function not found\r\n")
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
	gearadmin(t, s, "--cancel-job", "H:nowhere:99").wantFailure(t, 0, "Error: UNKNOWN_JOB\r\n")
}

// gearadmin has no switch for shutdown; the command goes over the wire as it
// stands.
func TestShutdown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"shutdown\n", "shutdown graceful\n"} {
		s := start(t)
		if s.dialect == "c" {
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
}

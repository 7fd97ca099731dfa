package clienttest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/test/peers"

	"gearloop/test/await"
)

// The program under testdata/libgearman has a case for each thing that an application does with the library.
// The files in its directory facts say what it observes in the dialect c.

// libgearmanCase is one case as the files of facts have it.
type libgearmanCase struct {
	name string
	args []string // further options of the server
	// notReference says that gearmand itself behaves differently. The file says why.
	notReference bool
	facts        []string
}

// readFacts reads all files of facts. A case begins with "== NAME [OPTION]...", a comment with "# "; the
// comment that begins with "# not gearmand" excepts the case from a run against that server.
func readFacts(t *testing.T) []libgearmanCase {
	t.Helper()
	files, err := filepath.Glob("testdata/libgearman/facts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no facts: %v", err)
	}
	var all []libgearmanCase
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			head, isHead := strings.CutPrefix(line, "== ")
			switch {
			case isHead:
				fields := strings.Fields(head)
				all = append(all, libgearmanCase{name: fields[0], args: fields[1:]})
			case strings.HasPrefix(line, "# not gearmand"):
				all[len(all)-1].notReference = true
			case line == "" || strings.HasPrefix(line, "#"):
			default:
				last := &all[len(all)-1]
				last.facts = append(last.facts, line)
			}
		}
	}
	return all
}

// buildLibgearman builds the program; it lasts as long as the test.
func buildLibgearman(t *testing.T) string {
	t.Helper()
	sources, err := filepath.Glob("testdata/libgearman/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "gearmand").Output()
	if err != nil {
		t.Fatalf("pkg-config does not find libgearman (run make test-deps): %v", err)
	}
	program := filepath.Join(t.TempDir(), "libgearman")
	args := append([]string{"-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread", "-o", program}, sources...)
	if out, err := exec.Command("gcc", append(args, strings.Fields(string(flags))...)...).CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

// TestLibgearman builds the program once for all cases.
func TestLibgearman(t *testing.T) {
	t.Parallel()
	server := "gearloop-c"
	switch name := os.Getenv(serverVariable); name {
	case "c":
		server = name
	case "gearloop", "perl":
		t.Skip("the facts are those of the dialect c")
	}
	program := buildLibgearman(t)
	cases := readFacts(t)
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	known := strings.Fields(run(t, "", program).stdout)
	slices.Sort(names)
	slices.Sort(known)
	if !slices.Equal(names, known) {
		t.Fatalf("facts are for %q, the program has %q", names, known)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if server == "c" && c.notReference {
				t.Skip("gearmand does not do that: see the facts")
			}
			testLibgearman(t, startServer(t, server, c.args...), program, c)
		})
	}
}

// testLibgearman runs one case. When the program says so, the server is stopped and started again.
func testLibgearman(t *testing.T, s *target, program string, c libgearmanCase) {
	p := launch(t, program, s.Addr, c.name)
	for i, want := range c.facts {
		got := p.line(t)
		if got != want {
			t.Fatalf("fact %d is %q, want %q\nall: %q\nstderr: %s", i+1, got, want, c.facts, p.errors())
		}
		if got == "restart" {
			s.Stop()
			startAgain(t, s)
			if _, err := p.stdin.Write([]byte("here\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.end(t, 0)
}

// startAgain starts a server like the one that was stopped on the same address, and ends it with the test.
func startAgain(t *testing.T, s *target) {
	t.Helper()
	argv := []string{peers.Binary(t), "serve", "--dialect", s.dialect, "--listen", s.Addr}
	if s.Kind == peers.C {
		argv = []string{"/usr/sbin/gearmand", "-L", s.host, "-p", s.port, "-u", "root", "-l", "stderr",
			"-P", filepath.Join(t.TempDir(), "pid")}
	}
	// A connection of another program may use the port for a moment.
	p := launch(t, argv...)
	await.UntilSaid(t, func() bool {
		select {
		case <-p.done:
			p = launch(t, argv...)
		default:
		}
		c, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}, func() string { return "the server does not listen again: " + p.errors() })
}

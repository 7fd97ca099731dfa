package peers

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// Kind says which job server is meant.
type Kind int

const (
	// Gearloop is the server of this tree.
	Gearloop Kind = iota
	// Perl is Gearman::Server, from Debian's package gearman-server.
	Perl
	// C is gearmand, from Debian's package gearman-job-server.
	C
)

const (
	perlProgram = "/usr/bin/gearmand"
	cProgram    = "/usr/sbin/gearmand"
)

// String returns the short name of the kind: gearloop, perl or c.
func (k Kind) String() string {
	switch k {
	case Gearloop:
		return "gearloop"
	case Perl:
		return "perl"
	case C:
		return "c"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// ParseKind returns the kind whose String is name.
func ParseKind(name string) (Kind, error) {
	for _, k := range []Kind{Gearloop, Perl, C} {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("peers: no server is called %q", name)
}

// commandLine returns program and arguments of a reference server that is to
// listen on port.
func commandLine(tb testing.TB, kind Kind, port int, args []string) []string {
	tb.Helper()
	switch kind {
	case Perl:
		perl, err := exec.LookPath("perl")
		if err != nil {
			tb.Fatalf("peers: no perl in PATH; install Debian's package perl (run make test-deps)")
		}
		mustExist(tb, perlProgram, "gearman-server")
		return append([]string{perl, perlProgram, "-p", fmt.Sprint(port), "-L", "127.0.0.1"}, args...)
	case C:
		mustExist(tb, cProgram, "gearman-job-server")
		owner := "root"
		if u, err := user.Current(); err == nil {
			owner = u.Username
		}
		pidfile := filepath.Join(tb.TempDir(), "c.pid")
		return append([]string{cProgram, "-p", fmt.Sprint(port), "-L", "127.0.0.1",
			"-u", owner, "-l", "stderr", "-P", pidfile}, args...)
	}
	tb.Fatalf("peers: %v is no reference server", kind)
	return nil
}

func mustExist(tb testing.TB, program, debianPackage string) {
	tb.Helper()
	if _, err := os.Stat(program); err != nil {
		tb.Fatalf("peers: %s is missing; it comes with Debian's package %s (run make test-deps)", program, debianPackage)
	}
}

// listenArgs counts the addresses that args ask Gearloop to listen on.
func listenArgs(args []string) int {
	n := 0
	for _, a := range args {
		switch {
		case a == "-L", a == "--listen", strings.HasPrefix(a, "--listen="),
			strings.HasPrefix(a, "-L") && len(a) > 2:
			n++
		}
	}
	return n
}

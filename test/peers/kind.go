package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// Kind is a kind of job server.
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

// commandLine returns program and arguments of a reference server for a port, with dir for its files.
// ErrMissing: it is not installed.
func commandLine(kind Kind, port int, dir string, args []string) ([]string, error) {
	switch kind {
	case Perl:
		perl, err := exec.LookPath("perl")
		if err != nil {
			return nil, fmt.Errorf("no perl in PATH; it comes with Debian's package perl (run make test-deps): %w", ErrMissing)
		}
		if err := mustExist(perlProgram, "gearman-server"); err != nil {
			return nil, err
		}
		return append([]string{perl, perlProgram, "-p", fmt.Sprint(port), "-L", "127.0.0.1"}, args...), nil
	case C:
		if err := mustExist(cProgram, "gearman-job-server"); err != nil {
			return nil, err
		}
		owner := "root"
		if u, err := user.Current(); err == nil {
			owner = u.Username
		}
		return append([]string{cProgram, "-p", fmt.Sprint(port), "-L", "127.0.0.1",
			"-u", owner, "-l", "stderr", "-P", filepath.Join(dir, "c.pid")}, args...), nil
	}
	return nil, fmt.Errorf("%v is no reference server", kind)
}

// ErrMissing: the server's package is not installed.
var ErrMissing = errors.New("not installed")

func mustExist(program, debianPackage string) error {
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%s is missing; it comes with Debian's package %s (run make test-deps): %w", program, debianPackage, ErrMissing)
	}
	return nil
}

// listenArgs counts the addresses in args for Gearloop to listen on: for Gearman, and all. It announces each of them.
// --protocol (-r) adds that of the HTTP gateway.
func listenArgs(args []string) (gearman, all int) {
	for _, a := range args {
		switch name, _, _ := strings.Cut(a, "="); {
		case name == "--listen", a == "-L", strings.HasPrefix(a, "-L") && len(a) > 2:
			gearman++
			all++
		case name == "--web", name == "--admin-socket", name == "--protocol", name == "-r":
			all++
		}
	}
	return gearman, all
}

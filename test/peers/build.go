package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gearloop/internal/invariants"
)

// raceVariable set to 1 builds Gearloop with the race detector.
const raceVariable = "GEARLOOP_TEST_RACE"

var built struct {
	once sync.Once
	path string
	err  error
	// lifeline is a pipe that stays open while the process lives: its end makes the sweeper remove the program's
	// directory.
	lifeline *os.File
}

// Build returns the path of a gearloop program built from this tree. The first call builds it; it is kept
// until this process ends.
func Build() (string, error) {
	built.once.Do(func() { built.path, built.err = buildGearloop() })
	return built.path, built.err
}

func buildGearloop() (string, error) {
	dir, err := os.MkdirTemp("", "gearloop-peers-")
	if err != nil {
		return "", err
	}
	if err := sweepAtExit(dir); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("starting the sweeper of %s: %w", dir, err)
	}
	path := filepath.Join(dir, "gearloop")
	args := []string{"build", "-o", path}
	if os.Getenv(raceVariable) == "1" {
		args = append(args, "-race")
	}
	if invariants.Enabled {
		args = append(args, "-tags", "invariants")
	}
	if !testing.Testing() {
		guided, err := guidedArgs()
		if err != nil {
			return "", err
		}
		args = append(args, guided...)
	}
	cmd := exec.Command("go", append(args, "gearloop/cmd/gearloop")...)
	if os.Getenv(raceVariable) != "1" {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as released; the race detector requires C
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building gearloop: %w\n%s", err, out)
	}
	return path, nil
}

// guidedArgs returns the arguments with which go build builds the program that "make build" builds, for
// measurements. Tests do without: for a program with a profile all packages, also the library's, are compiled again.
func guidedArgs() ([]string, error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "gearloop/cmd/gearloop").Output()
	if err != nil {
		return nil, fmt.Errorf("looking for gearloop's profile: %w", err)
	}
	return []string{"-trimpath", "-pgo", filepath.Join(strings.TrimSpace(string(dir)), "gearloop.pgo")}, nil
}

// sweepAtExit removes dir when this process has ended. A test process may end without running its own code (a
// panic, a timeout), so a shell waits for the end of a pipe that only this process holds open.
func sweepAtExit(dir string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", `read -r _; rm -rf -- "$1"`, "sweeper", dir)
	cmd.Stdin = r
	setOwnGroup(cmd)
	if err := cmd.Start(); err != nil {
		w.Close()
		return err
	}
	built.lifeline = w
	return cmd.Process.Release()
}

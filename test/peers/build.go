package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"gearloop/internal/invariants"
)

// raceVariable asks for a Gearloop with the race detector built in when it is 1.
const raceVariable = "GEARLOOP_TEST_RACE"

var built struct {
	once sync.Once
	path string
	err  error
	// lifeline is a pipe held open for as long as the process lives: its end
	// tells the sweeper to remove the directory of the program.
	lifeline *os.File
}

// Build returns the path of a gearloop program built from this tree. It is built at the first call and kept
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
	cmd := exec.Command("go", append(args, "gearloop/cmd/gearloop")...)
	if os.Getenv(raceVariable) != "1" {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped; the race detector needs C
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building gearloop: %w\n%s", err, out)
	}
	return path, nil
}

// sweepAtExit removes dir once this process has ended. A test process may end
// without running any code of its own (a panic, a time-out), so a shell waits
// for the end of a pipe that only this process holds open.
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

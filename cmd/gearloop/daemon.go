package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// backgroundVariable tells a process that it is the one in the background. On descriptor reportFD
// it says that it is ready, or why it is not.
const (
	backgroundVariable = "GEARLOOP_BACKGROUND"
	reportFD           = 3
	readyReport        = "ready"
)

func inBackground() bool { return os.Getenv(backgroundVariable) != "" }

// startInBackground starts this program anew in a session of its own, without the terminal, and
// returns once it listens or has failed to. Go can't fork; a second start with the same arguments
// does the same.
func startInBackground() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	reports, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reports.Close()
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), backgroundVariable+"=1")
	cmd.Stderr = os.Stderr              // for warnings, until leaveForeground
	cmd.ExtraFiles = []*os.File{theirs} // the first becomes reportFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	theirs.Close()
	report, err := io.ReadAll(reports)
	if string(report) == readyReport {
		return cmd.Process.Release()
	}
	if len(report) == 0 {
		report = []byte("the server ended before it was ready")
	}
	failed := errors.New(strings.TrimSpace(string(report)))
	var exit *exec.ExitError
	if errors.As(cmd.Wait(), &exit) && exit.ExitCode() == exitUsage {
		return usageError{failed}
	}
	return errors.Join(failed, err)
}

// leaveForeground is the last step of a start in the background: it tells the process that was started
// by hand, and lets go of everything of it, its directory included, which may then be unmounted.
func leaveForeground() {
	os.Chdir("/")
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		for fd := range 3 {
			unix.Dup2(int(null.Fd()), fd)
		}
		null.Close()
	}
	reportToForeground(readyReport)
}

// reportToForeground tells the process that was started by hand how it went: readyReport or an
// error's text. It is told once; a process that was not started in the background has nobody to
// tell.
func reportToForeground(report string) {
	if inBackground() {
		f := os.NewFile(reportFD, "report")
		fmt.Fprint(f, report)
		f.Close()
	}
}

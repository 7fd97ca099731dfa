package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
	failed := errors.New(strings.TrimSpace(string(report)))
	var exit *exec.ExitError
	if errors.As(cmd.Wait(), &exit) && exit.ExitCode() == exitUsage {
		return usageError{failed}
	}
	return errors.Join(failed, err)
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

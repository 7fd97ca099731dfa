package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// backgroundVariable tells a process that startInBackground of the process with the given id started it. It
// reports on descriptor reportFD that it is ready, or its error.
const (
	backgroundVariable = "GEARLOOP_BACKGROUND"
	reportFD           = 3
	readyReport        = "ready"
)

var (
	isBackground bool     // startInBackground started this process
	foreground   *os.File // where such a process reports, once; otherwise nil
)

// findForeground detects whether startInBackground started this process. A variable may be inherited by
// accident, so it counts only if it names our parent and the descriptor is a pipe.
func findForeground() {
	parent := os.Getenv(backgroundVariable)
	var pipe unix.Stat_t
	if parent != strconv.Itoa(os.Getppid()) || unix.Fstat(reportFD, &pipe) != nil || pipe.Mode&unix.S_IFMT != unix.S_IFIFO {
		return
	}
	os.Unsetenv(backgroundVariable)
	unix.CloseOnExec(reportFD)
	isBackground, foreground = true, os.NewFile(reportFD, "foreground")
}

func inBackground() bool { return isBackground }

// startInBackground starts this program again in a new session without the terminal, and returns when it
// listens or has failed. Go cannot fork; a second start with the same arguments has the same effect.
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
	cmd.Env = append(os.Environ(), backgroundVariable+"="+strconv.Itoa(os.Getpid()))
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

// leaveForeground is the last step of a start in the background: it reports to the original process, and
// gives up everything inherited from it, including its directory, which may then be unmounted.
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

// reportToForeground reports the result of the start: readyReport or an error's text. Only the first report
// is sent; in a process that was not started in the background nothing is.
func reportToForeground(report string) {
	if foreground != nil {
		fmt.Fprint(foreground, report)
		foreground.Close()
		foreground = nil
	}
}

package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Syscalls returns how many system calls a process makes while f runs, and which tool has counted them: perf,
// which is quick, or strace, which slows the process down a lot. It fails where neither can.
func Syscalls(pid int, f func() error) (calls int64, tool string, err error) {
	if calls, err = perfSyscalls(pid, f); !errors.Is(err, errNoCount) {
		return calls, "perf", err
	}
	why := err
	if calls, err = straceSyscalls(pid, f); !errors.Is(err, errNoCount) {
		return calls, "strace", err
	}
	return 0, "", fmt.Errorf("%w; %w", why, err)
}

// errNoCount is a tool that can't count.
var errNoCount = errors.New("system calls can't be counted")

// perfSyscalls counts with perf. The program that perf runs meanwhile tells by its first output that
// counting has begun, and ends when its input does.
func perfSyscalls(pid int, f func() error) (int64, error) {
	cmd := exec.Command("perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", strconv.Itoa(pid), "--", "/bin/sh", "-c", "echo begin; read -r _")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w: %w", errNoCount, err)
	}
	_, begun := bufio.NewReader(stdout).ReadString('\n')
	var failed error
	if begun == nil {
		failed = f()
	}
	stdin.Close()
	io.Copy(io.Discard, stdout)
	if err := errors.Join(begun, cmd.Wait()); err != nil && stderr.Len() == 0 {
		return 0, fmt.Errorf("%w: perf: %w", errNoCount, err)
	}
	if failed != nil {
		return 0, failed
	}
	for line := range strings.Lines(stderr.String()) {
		fields := strings.Split(line, ",")
		if len(fields) > 2 && fields[2] == "raw_syscalls:sys_enter" {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: perf: %.200q", errNoCount, stderr.String())
}

// straceSyscalls counts with strace, which says on its standard error when it is attached.
func straceSyscalls(pid int, f func() error) (int64, error) {
	cmd := exec.Command("strace", "-c", "-f", "-p", strconv.Itoa(pid))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w: %w", errNoCount, err)
	}
	out := bufio.NewReader(stderr)
	first, err := out.ReadString('\n')
	if !strings.Contains(first, "attached") {
		cmd.Process.Kill()
		cmd.Wait()
		return 0, fmt.Errorf("%w: strace: %q, %v", errNoCount, first, err)
	}
	failed := f()
	cmd.Process.Signal(syscall.SIGINT)
	rest, err := io.ReadAll(out)
	cmd.Wait() // tells of the signal
	if err := errors.Join(failed, err); err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(rest)) {
		// The last line is the sum: its calls are the fourth column.
		if fields := strings.Fields(line); len(fields) >= 5 && fields[len(fields)-1] == "total" {
			if n, err := strconv.ParseInt(fields[3], 10, 64); err == nil {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: strace: no sum in its output", errNoCount)
}

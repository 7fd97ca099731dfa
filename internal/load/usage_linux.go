package load

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process has used so far.
type Usage struct {
	CPU      time.Duration // of all threads, including ended ones
	Resident int64         // memory in bytes
	Peak     int64         // peak of resident memory since the start or resetPeak
	Switches int64         // context switches of the existing threads
}

// SampleUsage returns what a process has used. It needs Linux.
func SampleUsage(pid int) (Usage, error) {
	var u Usage
	var ts unix.Timespec
	// The clock id of a process's CPU time, as clock_getcpuclockid computes it.
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return u, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	u.CPU = time.Duration(ts.Nano())
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.Resident, u.Peak = 1024*field(status, "VmRSS"), 1024*field(status, "VmHWM")
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return u, err
	}
	for _, t := range tasks {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, t.Name())); err == nil {
			u.Switches += field(status, "voluntary_ctxt_switches") + field(status, "nonvoluntary_ctxt_switches")
		}
	}
	return u, nil
}

// field returns the number after a name in /proc/PID/status, 0 if it is missing.
func field(status []byte, name string) int64 {
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if key == name {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n
		}
	}
	return 0
}

// resetPeak resets a process's peak of resident memory. It may lack the permission.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// ownCPU returns the processor time of this process so far.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

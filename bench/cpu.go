package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// clockTick is the unit of processor times in /proc (USER_HZ), the same on every Linux.
const clockTick = 10 * time.Millisecond

// CPUTime returns the processor time that a process and all its threads, also those that
// have ended, have used so far, in user and in system mode, to a hundredth of a second. It needs Linux.
func CPUTime(pid int) (user, system time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(stat)
}

// parseStat reads the times from /proc/PID/stat. The program's name, in parentheses, may
// hold anything.
func parseStat(stat []byte) (user, system time.Duration, err error) {
	_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, 0, fmt.Errorf("unknown form of /proc/PID/stat: %q", stat)
	}
	var times [2]time.Duration
	for i := range times {
		ticks, err := strconv.ParseInt(string(fields[11+i]), 10, 64)
		if err != nil {
			return 0, 0, err
		}
		times[i] = time.Duration(ticks) * clockTick
	}
	return times[0], times[1], nil
}

// OwnCPU returns the processor time of this process so far, user and system mode together.
func OwnCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

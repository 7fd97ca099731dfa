package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func dieWithParent(cmd *exec.Cmd, signal syscall.Signal) { cmd.SysProcAttr.Pdeathsig = signal }

// children returns the processes whose parent is pid.
func children(pid int) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		rest := stat[bytes.LastIndexByte(stat, ')')+1:] // the name may have blanks
		if fields := strings.Fields(string(rest)); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, n)
		}
	}
	return found
}

// CPU returns how much processor time the server has used, with all its processes, those that have ended too.
func (s *Server) CPU() time.Duration {
	pid := s.PID()
	ticks := ticksOf(pid, true)
	for _, child := range children(pid) {
		ticks += ticksOf(child, false)
	}
	return time.Duration(ticks) * time.Second / 100
}

// ticksOf returns the processor time of a process in hundredths of a second: with that of children that have ended.
func ticksOf(pid int, ended bool) (ticks int64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // begins with the third field, the state
	last := 12
	if ended {
		last = 14
	}
	for i := 11; i <= last && i < len(fields); i++ {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		ticks += n
	}
	return ticks
}

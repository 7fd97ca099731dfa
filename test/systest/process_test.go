package systest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/test/await"
)

// memory returns a figure of a process from /proc, in bytes: VmHWM is its peak, VmRSS its current memory.
func memory(t *testing.T, pid int, figure string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in the status of process %d", figure, pid)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib << 10
}

// cpuOf returns the CPU time that a process has used, its own and the kernel's for it, in steps of 10 ms.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The second field is a name in parentheses, which may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const utime, stime, tick = 14 - 3, 15 - 3, 10 * time.Millisecond
	var sum time.Duration
	for _, f := range []string{fields[utime], fields[stime]} {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// rests requires a server to use almost no CPU while nobody asks anything. A server that spins uses all of
// it, on every core it has threads for.
func rests(t *testing.T, pid int) {
	t.Helper()
	period := await.Scaled(600 * time.Millisecond)
	before := cpuOf(t, pid)
	time.Sleep(period)
	if used := cpuOf(t, pid) - before; used > period/4 {
		t.Errorf("%v of CPU time in %v, with nothing to do", used, period)
	}
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gearloop/internal/load"
	"gearloop/test/peers"
)

const (
	startLimit = 60 * time.Second
	// stopLimit is how long a server has to end after SIGTERM before it is killed.
	stopLimit = 10 * time.Second
	// tick is the unit of processor time in /proc.
	tick = 10 * time.Millisecond
)

// A child gets its parent-death signal when the thread ends that started it, so the goroutine that starts all of them
// stays on the main thread.
func init() { runtime.LockOSThread() }

// errMissing is a server that is not installed.
var errMissing = errors.New("not installed")

// process is a server's process; it may have children.
type process struct {
	pid  int
	addr string
	end  func()
}

// spawn starts a program in dir, without its output unless it fails to listen on addr. addr "" is not waited for.
func spawn(dir, addr string, env []string, program string, args ...string) (*process, error) {
	var out tail
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // a child that lives on may hold the output open
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	p := &process{pid: cmd.Process.Pid, addr: addr}
	p.end = sync.OnceFunc(func() {
		left := map[int]string{} // descendants, and when they began
		for _, child := range family(p.pid)[1:] {
			left[child] = startOf(child)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(stopLimit):
			cmd.Process.Kill()
			<-exited
		}
		for child, start := range left { // those that outlived it
			if start != "" && startOf(child) == start {
				syscall.Kill(child, syscall.SIGKILL)
			}
		}
	})
	for limit := time.Now().Add(startLimit); addr != ""; {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-exited:
			return nil, fmt.Errorf("%s has ended: %s", program, out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(limit) {
			p.end()
			return nil, fmt.Errorf("%s does not listen on %s after %v: %s", program, addr, startLimit, out.String())
		}
	}
	return p, nil
}

// tail keeps the last output of a program.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.data = append(t.data, p...)
	if len(t.data) > 2*most {
		t.data = append(t.data[:0], t.data[len(t.data)-most:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}

// freeAddr returns an address of this machine that nobody listens on.
func freeAddr() (addr string, port int, err error) {
	port, err = peers.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port, err
}

// find returns the path of a program, or errMissing with where it comes from.
func find(from string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("%s is %w: %s", names[len(names)-1], errMissing, from)
}

// usage is what the processes of a server have used so far.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
}

// sample returns what a process and its descendants have used, ended ones included.
func sample(pid int) (usage, error) {
	var sum usage
	for i, member := range family(pid) {
		u, err := load.SampleUsage(member)
		if err != nil {
			if i > 0 { // it has just ended
				continue
			}
			return sum, err
		}
		sum.cpu += u.CPU + childrenOf(member)
		sum.resident += u.Resident
	}
	return sum, nil
}

// childrenOf returns the processor time of the ended children of a process, from /proc.
func childrenOf(pid int) time.Duration {
	fields := stat(pid)
	if len(fields) < 15 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[13], 10, 64)
	system, _ := strconv.ParseInt(fields[14], 10, 64)
	return time.Duration(user+system) * tick
}

func parentOf(pid int) (int, bool) {
	fields := stat(pid)
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

// startOf returns when a process began, which tells it from a later one with its number; "" if there is none.
func startOf(pid int) string {
	fields := stat(pid)
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// stat returns the fields of /proc/PID/stat from the state on.
func stat(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
}

// family returns a process and its descendants.
func family(pid int) []int {
	entries, _ := os.ReadDir("/proc")
	children := map[int][]int{}
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if parent, ok := parentOf(child); ok {
				children[parent] = append(children[parent], child)
			}
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

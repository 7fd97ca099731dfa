package peers

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// BindToTest gives cmd its own process group. On Linux it also has cmd killed when the thread ends that starts it.
func BindToTest(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func setOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// listens reports whether process pid itself listens on TCP port. Looking it up instead of connecting leaves
// no trace in the server and cannot confuse it with another process on that port.
func listens(pid, port int) bool {
	own := sockets(pid)
	if len(own) == 0 {
		return false // reading the tables is expensive, the list of descriptors is not
	}
	// The process's own tables: a test may have moved a thread of this process to another network.
	for _, table := range []string{fmt.Sprintf("/proc/%d/net/tcp", pid), fmt.Sprintf("/proc/%d/net/tcp6", pid)} {
		for _, inode := range listeners(table, port) {
			if own[inode] {
				return true
			}
		}
	}
	return false
}

// sockets returns the inodes of a process's sockets.
func sockets(pid int) map[string]bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	inodes := map[string]bool{}
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

// listeners returns the inodes of the sockets in a table of the kernel that
// listen on port.
func listeners(table string, port int) []string {
	const listenState = "0A"
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var inodes []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		// The table begins with the listening sockets.
		if fields[3] != listenState && fields[0] != "sl" {
			break
		}
		_, hexPort, _ := strings.Cut(fields[1], ":")
		if p, err := strconv.ParseUint(hexPort, 16, 16); err == nil && int(p) == port {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// standsStill reports whether all threads of a process are stopped.
func standsStill(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		if _, rest, ok := strings.Cut(string(stat), ") "); !ok || rest[0] != 'T' {
			return false
		}
	}
	return len(tasks) > 0
}

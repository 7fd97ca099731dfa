//go:build !linux

package peers

import (
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// BindToTest gives cmd its own process group. On Linux it also has cmd killed when the thread ends that starts it.
func BindToTest(cmd *exec.Cmd) { setOwnGroup(cmd) }

func setOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// listens reports whether anybody accepts connections on port. There is no portable way to find out who.
func listens(_, port int) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// standsStill reports whether all threads of a process are stopped. There is no portable way to find out.
func standsStill(int) bool { return true }

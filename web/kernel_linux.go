package web

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// heldByKernel returns the size of a socket's output queue, in bytes; 0 if it is not a socket.
func heldByKernel(c net.Conn) (n int) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return n
}

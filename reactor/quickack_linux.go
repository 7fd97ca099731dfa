package reactor

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acknowledge has the system acknowledge at once what has come in. A client that waits for that before it sends more
// (Nagle's algorithm) would lose 40 ms after its handshake: the end of it is not answered by anything.
func acknowledge(socket net.Conn) {
	if raw, err := socket.(syscall.Conn).SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}

package reactor

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acknowledgePart has the system acknowledge at once what has come in of a packet that is not all there, if there is
// one. Its peer may wait for that: over loopback a segment has up to 64 KiB, of which the system acknowledges every second
// one at once and a lone one after 40 ms, and libgearman's clients and workers have no more than that on the way.
func (c *conn) acknowledgePart() {
	if (c.fast != nil || c.skip > 0) && c.Addr.Addr().IsLoopback() {
		unix.SetsockoptInt(c.FD, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}
}

// acknowledge has the system acknowledge at once what has come in. A client that waits for that before it sends more
// (Nagle's algorithm) would lose 40 ms after its handshake: the end of it is not answered by anything.
func acknowledge(socket net.Conn) {
	if raw, err := socket.(syscall.Conn).SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}

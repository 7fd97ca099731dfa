package reactor

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acknowledgePart makes the system acknowledge an incomplete packet at once. Its peer may be waiting for
// that: over loopback a segment holds up to 64 KiB, the system acknowledges every second one at once and a
// single one after 40 ms, and clients and workers built on libgearman have no more than that in flight.
func (c *conn) acknowledgePart() {
	if (c.fast != nil || c.skip > 0) && c.Addr.Addr().IsLoopback() {
		unix.SetsockoptInt(c.FD, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}
}

// acknowledge makes the system acknowledge input at once. A client that waits for that before it sends more
// (Nagle's algorithm) would lose 40 ms after its handshake, whose end is not answered otherwise.
func acknowledge(socket net.Conn) {
	if raw, err := socket.(syscall.Conn).SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}

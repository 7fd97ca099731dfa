package reactor

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls move the bytes of connections. All sockets are non-blocking, so Go's scheduler is not told of
// the calls: it would consider a long copy as blocked, and move the processor to another thread and back. The
// garbage collector waits for such a call, so none may copy more than about a MiB (readTurn, writeSize).

// readSocket is recv(2) for a non-empty buffer. read(2) would do the same, but goes through what the kernel does
// for files first: some 3 % of both ends of a small transfer over loopback.
func readSocket(fd int, buf []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// readSocketTo is readv(2) for 1 to maxVectors non-empty buffers.
func readSocketTo(fd int, buffers [][]byte) (int, error) {
	if len(buffers) == 1 {
		return readSocket(fd, buffers[0])
	}
	var vectors [maxVectors]unix.Iovec
	for i, b := range buffers {
		vectors[i].Base = &b[0]
		vectors[i].SetLen(len(b))
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&vectors)), uintptr(len(buffers)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// writeSocket writes 1 to maxVectors non-empty pieces with one system call. One piece, which is usual, goes by
// send(2); see readSocket.
func writeSocket(fd int, pieces [][]byte) (int, error) {
	var n uintptr
	var errno unix.Errno
	if len(pieces) == 1 {
		b := pieces[0]
		n, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno == unix.ENOTSOCK { // a pipe or file, which only simulations have
			n, _, errno = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		}
	} else {
		var vectors [maxVectors]unix.Iovec
		for i, b := range pieces {
			vectors[i].Base = &b[0]
			vectors[i].SetLen(len(b))
		}
		n, _, errno = unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vectors)), uintptr(len(pieces)))
	}
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// acceptSocket is accept4(2). The new socket is non-blocking. (unix.Accept4 asks the system for the protocol of each
// socket, which takes another call.)
func acceptSocket(fd int) (socket int, peer netip.AddrPort, err error) {
	var from unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(from))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer, errno
	}
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(&from))
		peer = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), portOf(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(&from))
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.Scope_id != 0 && ip.Is6() {
			ip = ip.WithZone(zoneOf(int(a.Scope_id)))
		}
		peer = netip.AddrPortFrom(ip, portOf(a.Port))
	}
	return int(n), peer, nil
}

// portOf converts a port from the order of the network.
func portOf(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return binary.BigEndian.Uint16(b[:])
}

// zoneOf returns the name of a network interface, or its number if it has gone.
func zoneOf(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

// unreadBytes returns the number of received bytes that were not read.
func unreadBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// limitSocket bounds what the kernel keeps for a socket in each direction, in bytes, as far as it can. What
// it has sent and the peer has not acknowledged comes on top: with less than two of loopback's segments (64
// KiB) in SO_SNDBUF, each would wait for the peer's delayed acknowledgement.
func limitSocket(fd, size int) {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, size)
}

// hasEnded reports whether the peer of a socket sends no more than is there.
func hasEnded(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return n > 0 && err == nil
}

package reactor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls move the bytes of connections. No socket blocks, so Go's scheduler is not told of them: it would take
// those that copy much for ones that block, give what they run on to another thread, and have it given back. The
// collector waits for them: none may copy more than a MiB or so (readSize, payload.ChunkSize, writeSize).

// readSocket is read(2), for a buffer that is not empty.
func readSocket(fd int, buf []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// writeSocket writes pieces, none of which is empty, with one system call. There are 1 to maxVectors of them.
func writeSocket(fd int, pieces [][]byte) (int, error) {
	var n uintptr
	var errno unix.Errno
	if len(pieces) == 1 {
		b := pieces[0]
		n, _, errno = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
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

// unreadBytes returns how many bytes have come that were not read.
func unreadBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

//go:build !linux

package reactor

import "golang.org/x/sys/unix"

// readSocket is read(2).
func readSocket(fd int, buf []byte) (int, error) { return unix.Read(fd, buf) }

// readSocketTo reads into the first of the buffers.
func readSocketTo(fd int, buffers [][]byte) (int, error) { return unix.Read(fd, buffers[0]) }

// writeSocket writes the first of the pieces.
func writeSocket(fd int, pieces [][]byte) (int, error) { return unix.Write(fd, pieces[0]) }

// unreadBytes does not know; it returns 0.
func unreadBytes(int) int { return 0 }

// limitSocket bounds what the kernel keeps for a socket of what has come, in bytes.
func limitSocket(fd, size int) { unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size) }

// hasEnded reports whether the peer of a socket sends no more, as far as is known.
func hasEnded(int) bool { return false }

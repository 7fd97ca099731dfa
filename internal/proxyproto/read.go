package proxyproto

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Networks are the networks of proxies.
type Networks []netip.Prefix

// Has reports whether an address is in one of the networks.
func (n Networks) Has(a netip.Addr) bool {
	for _, p := range n {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Read reads the header that a connection begins with, and nothing behind it, so that the socket can be
// handed over to somebody else. The connection has to be one of the system's, and should have a deadline. The
// error is io.EOF where a peer sends nothing at all.
func Read(socket net.Conn) (source netip.AddrPort, err error) {
	buf := make([]byte, 256) // enough for most headers
	have := 0
	for {
		n, err := Peek(socket, buf[have:])
		if err == io.EOF && have > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return source, err
		}
		source, size, err := parse(buf[:have+n])
		if err != nil {
			return source, err
		}
		count := n // else the next peek would see it again, and not wait for more
		if size > 0 {
			count = size - have
		}
		if _, err := io.ReadFull(socket, buf[have:have+count]); err != nil {
			return source, err
		}
		have += count
		switch {
		case size > 0:
			return source, nil
		case have == len(buf):
			buf = append(buf, make([]byte, Max-len(buf))...)
		}
	}
}

// Peek waits for input and does not consume it. It returns io.EOF at the end of the input.
func Peek(socket net.Conn, buf []byte) (n int, err error) {
	conn, ok := socket.(syscall.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Read(func(fd uintptr) bool {
		for {
			if n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK); err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	switch {
	case failed != nil:
		return 0, failed
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

package load

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketAddress returns an address for connect(2): the first one of a host name.
func socketAddress(addr string) (unix.Sockaddr, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return &unix.SockaddrUnix{Name: path}, nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	a := tcp.AddrPort()
	ip := a.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, nil
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}, nil
}

// reconnect closes the connection, if open, and opens a new one in its place. It does not wait for the server
// to accept; output waits for that.
func (c *conn) reconnect() error {
	if !c.closed {
		c.loop.conns[c.fd] = gone
		c.loop.poller.remove(c.fd)
		unix.Close(c.fd)
	}
	c.closed = true
	// unix.Connect writes to its address argument, so each call needs its own.
	var family int
	var target unix.Sockaddr
	switch a := c.loop.load.target.(type) {
	case *unix.SockaddrInet4:
		family, target = unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: a.Addr}
	case *unix.SockaddrInet6:
		family, target = unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: a.Addr}
	case *unix.SockaddrUnix:
		family, target = unix.AF_UNIX, &unix.SockaddrUnix{Name: a.Name}
	}
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	l := c.loop
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	*c = conn{loop: l, fd: fd, receiver: c.receiver, ready: true, out: c.out[:0], dirty: c.dirty}
	l.conns[fd] = c
	err = unix.SetNonblock(fd, true)
	if err == nil {
		err = unix.Connect(fd, target)
	}
	if err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	if err := l.poller.add(fd); err != nil {
		return err
	}
	return c.wait(true)
}

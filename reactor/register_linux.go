package reactor

import (
	"errors"
	"net"
	"reflect"
	"syscall"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// gnet takes in connections only as a net.Conn, which it duplicates, and from another goroutine, which waits until the
// loop has returned to gnet: eight system calls and three changes of goroutines for each. Its own accept calls the
// two functions below, which it does not export.

// canRegister reports whether loops can take in connections by themselves.
func (s *Server) canRegister() bool {
	for _, l := range s.allLoops() {
		if s.portable || !l.canStay() {
			return false
		}
	}
	return true
}

// enrollDirectly gives a connection to a loop, which has gnet register it. The socket is closed. If there is no
// descriptor, the peer waits.
func (s *Server) enrollDirectly(socket net.Conn, c *conn) error {
	defer socket.Close()
	fd, err := descriptorOf(socket.(syscall.Conn))
	for ; isShort(err); fd, err = descriptorOf(socket.(syscall.Conn)) {
		if err := s.awaitDescriptor(err); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	l := s.emptiest(s.allLoops()[0])
	l.population.Add(1)
	taken := make(chan error, 1)
	l.do(func() { taken <- l.register(c, fd) })
	return <-taken
}

// register makes gnet watch a connection, which counts in the loop's population. If that fails the socket is closed.
func (l *loop) register(c *conn, fd int) error {
	l.entering = c
	err := registerWith(l.events, fd)
	l.entering = nil
	if c.loop == nil {
		l.population.Add(-1)
		return errors.Join(errNotTaken, err)
	}
	return nil
}

//go:linkname newStreamConn github.com/panjf2000/gnet/v2.newStreamConn
func newStreamConn(proto string, fd int, loop unsafe.Pointer, peer unix.Sockaddr, local, remote net.Addr) unsafe.Pointer

//go:linkname register0 github.com/panjf2000/gnet/v2.(*eventloop).register0
func register0(loop, conn unsafe.Pointer) error

// registerWith registers a socket with a loop of gnet. It must be called on that loop. gnet calls OnOpen, or closes
// the socket.
func registerWith(loop gnet.EventLoop, fd int) error {
	p := reflect.ValueOf(loop).UnsafePointer()
	return register0(p, newStreamConn("tcp", fd, p, nil, nil, nil))
}

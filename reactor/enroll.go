package reactor

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errEnding: the server no longer accepts connections.
var errEnding = errors.New("the server is ending")

// errNotTaken: a loop could not register a connection.
var errNotTaken = errors.New("the event loop does not take it")

// handOver gives an accepted connection, which has a slot, to a loop.
func (s *Server) handOver(socket net.Conn, c *conn) error {
	err := s.enroll(socket, c)
	if err != nil {
		s.notTaken(c, err)
	}
	return err
}

// notTaken returns the slot of a connection that no loop has taken, and counts the failure.
func (s *Server) notTaken(c *conn, why error) {
	s.slots.give(c.slot)
	s.counters.AcceptErrors.Add(1)
	s.log.Debug("taking over a connection failed", "peer", c.Addr, "error", why)
}

// enroll gives a connection to a loop. gnet duplicates the descriptor and closes the one it gets, even if the
// duplication fails because no descriptor is free. So a spare one is held until gnet has succeeded; if it
// fails, the peer waits.
func (s *Server) enroll(socket net.Conn, c *conn) error {
	s.handovers <- struct{}{}
	defer func() { <-s.handovers }()
	if s.canRegister() {
		return s.enrollDirectly(socket, c)
	}
	h := handover{server: s, socket: socket, spare: -1}
	defer h.close()
	for {
		err := h.try(c)
		if !isShort(err) {
			return err
		}
		if err := s.awaitDescriptor(err); err != nil {
			return err
		}
	}
}

// awaitDescriptor waits before descriptors are tried again. It fails when the server ends.
func (s *Server) awaitDescriptor(why error) error {
	s.acceptFailed(why)
	select {
	case <-time.After(acceptPause):
		return nil
	case <-s.ending:
		return errEnding
	}
}

// isShort reports whether an error says that there are no descriptors.
func isShort(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// handover is a connection on its way to a loop: its socket, its spare descriptor, or both.
type handover struct {
	server *Server
	socket net.Conn
	spare  int      // -1: none
	file   *os.File // a file of spare, when socket was closed
}

// try takes the next steps until one fails.
func (h *handover) try(c *conn) (err error) {
	if h.socket == nil {
		if h.file == nil {
			h.file = os.NewFile(uintptr(h.spare), "socket")
			h.spare = -1
		}
		if h.socket, err = net.FileConn(h.file); err != nil {
			return err
		}
		h.file.Close()
		h.file = nil
	}
	if h.spare < 0 {
		if h.spare, err = descriptorOf(h.socket.(syscall.Conn)); err != nil {
			return err
		}
	}
	h.server.enters()
	_, err = h.server.client.EnrollContext(h.socket, c)
	h.server.entered()
	h.socket = nil // gnet has closed it in any case
	if err == nil && c.loop == nil {
		return errNotTaken
	}
	return err
}

// enters makes loops return to gnet, which registers new connections, until entered is called.
func (s *Server) enters() {
	s.entrants.Add(1)
	for _, l := range s.allLoops() {
		l.callUp()
	}
}

// entered allows loops to wait by themselves again.
func (s *Server) entered() { s.entrants.Add(-1) }

// close closes what is left.
func (h *handover) close() {
	if h.socket != nil {
		h.socket.Close()
	}
	if h.spare >= 0 {
		unix.Close(h.spare)
	}
	if h.file != nil {
		h.file.Close()
	}
}

// descriptorOf duplicates the descriptor of a socket.
func descriptorOf(socket syscall.Conn) (fd int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(failed, err); err != nil {
		return -1, err
	}
	return fd, nil
}

// DialContext returns a connection to this server from inside the process. It waits for a slot like any other
// connection, and fails when ctx or the server ends. It needs two descriptors, one of them not covered by the
// slots: see Config.Descriptors. The connection counts as local. The server must be running.
func (s *Server) DialContext(ctx context.Context) (net.Conn, error) { return s.dial(ctx, &conn{}) }

// dial is DialContext for an existing conn.
func (s *Server) dial(ctx context.Context, c *conn) (net.Conn, error) {
	if !s.entering() {
		return nil, errEnding
	}
	defer s.acceptors.Done()
	w := new(waiter)
	s.slots.enter(w)
	select {
	case <-w.granted:
	case <-s.ending:
		s.slots.leave(w)
		return nil, errEnding
	case <-ctx.Done():
		s.slots.leave(w)
		return nil, ctx.Err()
	}
	theirs, ours, err := socketPair()
	if err != nil {
		s.slots.give(w.slot)
		return nil, err
	}
	c.slot = w.slot
	if err := s.handOver(ours, c); err != nil {
		theirs.Close()
		return nil, err
	}
	return theirs, nil
}

// entering reports whether a connection may still be accepted. If so, the server does not end before
// acceptors.Done is called.
func (s *Server) entering() bool {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	select {
	case <-s.ending:
		return false
	default:
		s.acceptors.Add(1)
		return true
	}
}

// socketPair returns two connected sockets.
func socketPair() (a, b net.Conn, err error) {
	pair, err := barePair()
	if err != nil {
		return nil, nil, err
	}
	a, err = pair[0].conn()
	if err == nil {
		if b, err = pair[1].conn(); err == nil {
			return a, b, nil
		}
		a.Close()
	}
	return nil, nil, err
}

// bareSocket is a socket's descriptor that Go's poller does not know.
type bareSocket int

// barePair returns two connected sockets in non-blocking mode.
func barePair() (pair [2]bareSocket, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		for i, fd := range fds {
			syscall.CloseOnExec(fd)
			pair[i] = bareSocket(fd)
		}
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return pair, os.NewSyscallError("socketpair", err)
	}
	for _, s := range pair {
		if err := syscall.SetNonblock(int(s), true); err != nil {
			pair[0].Close()
			pair[1].Close()
			return pair, os.NewSyscallError("fcntl", err)
		}
	}
	return pair, nil
}

// conn converts a bare socket, which must not be used afterwards, to a net.Conn.
func (s bareSocket) conn() (net.Conn, error) {
	file := os.NewFile(uintptr(s), "socketpair")
	c, err := net.FileConn(file)
	if closed := file.Close(); err == nil && closed != nil {
		c.Close()
		return nil, closed
	}
	return c, err
}

func (s bareSocket) Write(b []byte) (int, error) { return unix.Write(int(s), b) }
func (s bareSocket) Close() error                { return unix.Close(int(s)) }

package reactor

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// loopListener is a TCP listener from which the loops accept by themselves, as long as that takes no waiting: no
// PROXY header, no TLS handshake, slots enough. An accepted connection then costs no goroutine's turn, no second
// descriptor and no entry in Go's poller. When slots or descriptors are short, acceptors do it (relay).
type loopListener struct {
	*net.TCPListener // closed by detach: Go's poller would wake a thread for each connection

	from *door

	mu        sync.Mutex   // guards what follows, and fd from being closed while a loop accepts
	fd        int          // -1: the loops do not accept from it
	relayed   net.Listener // of the acceptors; nil: the loops accept
	unwatched bool         // a loop could not watch it: once acceptors accept, they stay
	closed    bool
}

// newListener returns the listener that is to be used for l.
func newListener(l net.Listener) net.Listener {
	if tcp, ok := l.(*net.TCPListener); ok {
		return &loopListener{TCPListener: tcp, fd: -1}
	}
	return l
}

// acceptInLoops makes the loops accept from a listener; false if they can't.
func (s *Server) acceptInLoops(l net.Listener, from *door) bool {
	d, ok := l.(*loopListener)
	if !ok || len(s.cfg.Proxies) > 0 || !s.canRegister() {
		return false
	}
	d.from = from
	if err := d.detach(); err != nil {
		s.log.Debug("acceptors accept, not the loops", "address", from.address, "error", err)
		return false
	}
	s.watchDoor(d)
	return true
}

// detach takes the socket out of Go's poller.
func (d *loopListener) detach() error {
	fd, err := descriptorOf(d.TCPListener)
	if err != nil {
		return err
	}
	// Accepted sockets inherit it.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("setsockopt", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return unix.Close(fd)
	}
	d.fd = fd
	return d.TCPListener.Close()
}

// Close stops listening. No connection is accepted afterwards.
func (d *loopListener) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	if d.fd < 0 {
		return d.TCPListener.Close()
	}
	if d.relayed != nil {
		d.relayed.Close()
	}
	err := unix.Close(d.fd)
	d.fd = -1
	return os.NewSyscallError("close", err)
}

// descriptor returns the descriptor that a loop watches; -1: none.
func (d *loopListener) descriptor() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.relayed != nil {
		return -1
	}
	return d.fd
}

// isWatched reports whether every loop could watch it so far.
func (d *loopListener) isWatched() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.unwatched
}

// accept accepts a connection.
func (d *loopListener) accept() (fd int, peer netip.AddrPort, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 || d.relayed != nil {
		return -1, peer, unix.EAGAIN
	}
	return acceptSocket(d.fd)
}

// watchDoor makes all loops accept from a listener.
func (s *Server) watchDoor(d *loopListener) {
	for _, l := range s.allLoops() {
		l.do(func() {
			l.doors = append(l.doors, d)
			if l.staying {
				l.openDoor(d)
			}
		})
	}
}

// openDoor watches a listener. If the loop cannot, acceptors accept from it from then on.
func (l *loop) openDoor(d *loopListener) {
	opened, err := l.watch(d)
	if opened {
		return
	}
	l.forgetDoor(d)
	if err != nil {
		l.server.log.Warn("an event loop cannot watch a listener: acceptors accept, not the loops",
			"address", d.from.address, "error", err)
		l.server.relay(d)
	}
}

// watch adds a listener to the loop's poller, unless it is closed or acceptors have it. Only one of the loops that
// sleep wakes for a connection.
func (l *loop) watch(d *loopListener) (opened bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 || d.relayed != nil {
		return false, nil
	}
	event := unix.EpollEvent{Fd: int32(d.fd), Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE}
	err = unix.EpollCtl(l.poller, unix.EPOLL_CTL_ADD, d.fd, &event)
	if opened = err == nil || err == unix.EEXIST; opened {
		return true, nil
	}
	d.unwatched = true
	return false, os.NewSyscallError("epoll_ctl", err)
}

// closeDoor leaves a listener unwatched.
func (l *loop) closeDoor(d *loopListener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd >= 0 { // otherwise it may be another socket's by now
		unix.EpollCtl(l.poller, unix.EPOLL_CTL_DEL, d.fd, nil)
	}
}

// openDoors and closeDoors watch all listeners while the loop waits by itself: gnet would not know what to do
// with them.
func (l *loop) openDoors() {
	l.staying = true
	for i := len(l.doors) - 1; i >= 0; i-- {
		l.openDoor(l.doors[i])
	}
}

func (l *loop) closeDoors() {
	l.staying = false
	for _, d := range l.doors {
		l.closeDoor(d)
	}
}

// forgetDoor no longer accepts from a listener.
func (l *loop) forgetDoor(d *loopListener) {
	for i := range l.doors {
		if l.doors[i] == d {
			l.doors = append(l.doors[:i:i], l.doors[i+1:]...)
			return
		}
	}
}

// answerDoor accepts connections from the listener with this descriptor. If there is none, the listener was closed,
// or acceptors accept from it and the loop is about to leave it unwatched. The descriptor must not be unwatched
// here: it may belong to a guest's connection by now.
func (l *loop) answerDoor(fd int) {
	for _, d := range l.doors {
		if d.descriptor() == fd {
			l.acceptFrom(d)
			return
		}
	}
}

// acceptFrom accepts up to l.burst connections, and doubles that as long as so many may wait: a single connection takes
// one system call, a crowd few turns. In a crowded turn it accepts few.
func (l *loop) acceptFrom(d *loopListener) {
	s := l.server
	l.begin()
	for n := 0; n < l.burst && (n < crowdedSockets/looks || !l.isLate()); n++ {
		if !s.slots.takeFree() {
			if n == 0 && l.leaving.empty() { // otherwise nobody may wait, or slots are on their way
				s.relay(d)
			}
			return
		}
		fd, peer, err := d.accept()
		if err != nil {
			s.slots.give(slot{})
			l.burst = 1
			switch err {
			case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
			default:
				s.relay(d)
			}
			return
		}
		d.from.accepted.Add(1)
		c := &conn{from: d.from}
		c.Addr = peer
		c.slot = s.slots.assign(sourceOf(peer.Addr()))
		s.grant(c, nil)
		s.emptiest(l).takeIn(c, fd, l)
	}
	l.burst = min(2*l.burst, acceptTurn)
}

// emptiest returns the loop with the fewest connections, l if several have as few.
func (s *Server) emptiest(l *loop) *loop {
	for _, other := range s.allLoops() {
		if other.population.Load() < l.population.Load() {
			l = other
		}
	}
	return l
}

// takeIn gives the loop an accepted connection. on is the calling loop.
func (l *loop) takeIn(c *conn, fd int, on *loop) {
	l.population.Add(1)
	take := func() {
		if err := l.register(c, fd); err != nil {
			l.server.notTaken(c, err)
		}
	}
	if l == on {
		take()
	} else {
		l.do(take)
	}
}

// relay has acceptors accept from a listener until there are slots and descriptors again.
func (s *Server) relay(d *loopListener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 || d.relayed != nil || !s.entering() {
		return
	}
	d.relayed = noListener{d.TCPListener}
	for _, l := range s.allLoops() {
		l.do(func() {
			l.closeDoor(d)
			l.forgetDoor(d)
		})
	}
	go func() {
		defer s.acceptors.Done()
		s.runRelay(d)
	}()
}

// noListener is the acceptors' listener before they have one.
type noListener struct{ net.Listener }

func (noListener) Close() error { return nil }

// runRelay accepts from a listener until the loops can do it again.
func (s *Server) runRelay(d *loopListener) {
	l, err := d.open()
	for ; err != nil; l, err = d.open() {
		if s.awaitDescriptor(err) != nil {
			return
		}
	}
	s.accept(l, d.from)
	for failed := int64(-1); ; {
		select {
		case <-s.ending: // d is closed, and so is l
			return
		case <-time.After(acceptPause):
		}
		before := failed
		if failed = s.counters.AcceptErrors.Load(); failed == before && s.slots.ample() && d.isWatched() {
			break
		}
	}
	l.Close() // acceptors whose connection waits go on with that one
	d.mu.Lock()
	d.relayed = nil
	d.mu.Unlock()
	s.watchDoor(d)
}

// open returns a listener for acceptors. It fails if there is no descriptor, or if d is closed.
func (d *loopListener) open() (net.Listener, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	l, err := net.FileListener(file)
	if err == nil {
		d.relayed = l
	}
	return l, err
}

package reactor

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// accept accepts connections from a listener in goroutines, Config.Accept of them, until it is closed. Those that
// must wait for a slot do so in the room while there is space; then acceptors wait with one each, and the
// rest wait in the kernel's queue.
func (s *Server) accept(l net.Listener, d *door) {
	for range s.cfg.Accept {
		s.acceptors.Go(func() {
			for s.acceptOne(l, d) {
			}
		})
	}
}

// acceptOne accepts one connection; false if the listener is closed.
func (s *Server) acceptOne(l net.Listener, d *door) bool {
	socket, err := l.Accept()
	if err != nil {
		if errors.Is(err, net.ErrClosed) {
			return false
		}
		s.acceptFailed(err)
		time.Sleep(acceptPause)
		return true
	}
	d.accepted.Add(1)
	c := &conn{from: d}
	if tcp, ok := socket.RemoteAddr().(*net.TCPAddr); ok {
		a := tcp.AddrPort()
		c.Addr = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	if s.cfg.Proxies.Has(c.Addr.Addr()) {
		if !s.proxied.begin(socket, s.ending) {
			socket.Close()
			return false
		}
		s.acceptors.Go(func() {
			if s.greet(c, socket) {
				s.enter(l, c, socket)
			}
		})
		return true
	}
	return s.enter(l, c, socket)
}

// enter takes a connection in whose peer's address is known; false when the server ends.
func (s *Server) enter(l net.Listener, c *conn, socket net.Conn) bool {
	w := &waiter{source: sourceOf(c.Addr.Addr()), socket: socket}
	if _, secure := l.(tlsListener); secure {
		if c.tls = s.handshakes.begin(socket, c); c.tls == nil {
			socket.Close()
			return false
		}
	}
	switch s.slots.enter(w) {
	case enters:
		if !s.admit(w, c) {
			time.Sleep(acceptPause)
		}
	case turnedAway:
		s.refuse(w, c)
	case waitsHere:
		s.enterLater(w, c)
	case waitsRoom:
		s.acceptors.Go(func() { s.enterLater(w, c) })
	}
	return true
}

// enterLater waits for a connection's slot, and then admits it.
func (s *Server) enterLater(w *waiter, c *conn) {
	if s.awaitSlot(w) {
		s.admit(w, c)
	} else {
		s.refuse(w, c)
	}
}

// admit gives a connection that has a slot to a loop, or to a goroutine for its TLS handshake.
func (s *Server) admit(w *waiter, c *conn) bool {
	c.slot = w.slot
	if c.tls != nil {
		s.acceptors.Go(func() { s.shake(c) })
		return true
	}
	s.grant(c, w.socket)
	return s.handOver(w.socket, c) == nil
}

// refuse closes a connection that gets no slot.
func (s *Server) refuse(w *waiter, c *conn) {
	if c.tls != nil {
		s.handshakes.end(c.tls.shaking)
	}
	w.socket.Close()
}

// acceptFailed counts a failure of accept, most likely because descriptors are short. Existing connections
// are not affected.
func (s *Server) acceptFailed(err error) {
	if n := s.counters.AcceptErrors.Add(1); n&(n-1) == 0 { // 1st, 2nd, 4th, 8th ...
		s.log.Warn("accepting failed, pausing", "error", err, "times", n, "pause", acceptPause)
	}
}

package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// tlsListener is a listener for TLS.
type tlsListener struct{ net.Listener }

// handshakes holds the connections in their TLS handshake, each with its own goroutine, and those that wait
// to begin it. A silent peer costs little, so there may be many; if there are too many, the longest silent
// one of the address with the most is closed. A peer that has begun to speak needs one of maxActive places,
// of which each address has a share.
type handshakes struct {
	most  int           // bound on all
	turns chan struct{} // an element for each that may compute at a time: the others wait, the loops do not
	// patience and hurried are handshakeTime and hurriedHandshakeTime, except in tests.
	patience, hurried time.Duration

	mu       sync.Mutex
	freed    sync.Cond
	all      map[*handshake]struct{}
	of       map[netip.Addr]int // counts all by source
	active   int                // number of active ones
	activeOf map[netip.Addr]int // counts active ones by source
	queue    []*handshake       // wait to become active
	ended    bool
}

// handshake is one connection in its handshake.
type handshake struct {
	of       *handshakes
	source   netip.Addr
	socket   net.Conn
	since    time.Time     // since when the server waits for the peer; zero before that
	patience time.Duration // how much longer the server waits for the peer in all

	spoken    bool          // its peer has sent something
	active    bool          // it has one of maxActive places
	activated chan struct{} // closed when it becomes active, or when the server ends
}

// newHandshakes returns handshakes limited to a quarter of a server's slots, so that silent peers of a TLS
// port leave room for all others.
func newHandshakes(slots int) *handshakes {
	h := &handshakes{
		most:  max(1, min(maxHandshakes, slots/4)),
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),

		patience: handshakeTime, hurried: hurriedHandshakeTime,
		all: map[*handshake]struct{}{}, of: map[netip.Addr]int{}, activeOf: map[netip.Addr]int{},
	}
	h.freed.L = &h.mu
	return h
}

// begin adds a connection, if there is room. It returns nil when the server ends.
func (h *handshakes) begin(socket net.Conn, c *conn) *tlsConn {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.all) >= h.most && !h.ended {
		victim, wait := h.longestSilent()
		if victim != nil && wait <= 0 {
			victim.socket.Close() // its goroutine does the rest
			h.remove(victim)
			continue
		}
		var timer *time.Timer
		if victim != nil {
			timer = time.AfterFunc(wait, h.freed.Broadcast)
		}
		h.freed.Wait()
		if timer != nil {
			timer.Stop()
		}
	}
	if h.ended {
		return nil
	}
	s := &handshake{of: h, source: siteOf(c.Addr.Addr()), socket: socket, patience: h.patience, activated: make(chan struct{})}
	if len(h.all) > h.most/2 {
		s.patience = h.hurried
	}
	h.all[s] = struct{}{}
	h.of[s.source]++
	return &tlsConn{socket: socket, conn: c, shaking: s}
}

// longestSilent returns the handshake to close next, and the time until then.
func (h *handshakes) longestSilent() (longest *handshake, wait time.Duration) {
	for s := range h.all {
		if s.spoken || s.since.IsZero() {
			continue
		}
		if longest == nil || h.of[s.source] > h.of[longest.source] ||
			h.of[s.source] == h.of[longest.source] && s.since.Before(longest.since) {
			longest = s
		}
	}
	if longest != nil {
		wait = silentTime - time.Since(longest.since)
	}
	return longest, wait
}

// remove removes a handshake.
func (h *handshakes) remove(s *handshake) {
	if _, ok := h.all[s]; !ok {
		return
	}
	delete(h.all, s)
	decrement(h.of, s.source)
	h.freed.Signal()
}

// decrement lowers a count and removes it at zero.
func decrement(counts map[netip.Addr]int, source netip.Addr) {
	if counts[source]--; counts[source] <= 0 {
		delete(counts, source)
	}
}

// spoke is called when the peer has sent something, and waits until the handshake may become active.
func (s *handshake) spoke() error {
	h := s.of
	h.mu.Lock()
	s.spoken = true
	h.queue = append(h.queue, s)
	h.givePlaces()
	h.mu.Unlock()
	<-s.activated
	h.mu.Lock()
	defer h.mu.Unlock()
	if !s.active {
		return net.ErrClosed
	}
	if 2*h.active > maxActive || 2*activeShare*h.activeOf[s.source] > maxActive {
		s.patience = min(s.patience, h.hurried)
	}
	return nil
}

// givePlaces activates waiting handshakes in order, within the shares of their addresses.
func (h *handshakes) givePlaces() {
	left := h.queue[:0]
	for _, s := range h.queue {
		if h.active < maxActive && h.activeOf[s.source] < maxActive/activeShare {
			h.active++
			h.activeOf[s.source]++
			s.active = true
			close(s.activated)
		} else {
			left = append(left, s)
		}
	}
	clear(h.queue[len(left):])
	h.queue = left
}

// end removes a handshake.
func (h *handshakes) end(s *handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(s)
	if s.active {
		h.active--
		decrement(h.activeOf, s.source)
		h.givePlaces()
	}
}

// stop ends all handshakes.
func (h *handshakes) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for s := range h.all {
		s.socket.Close()
	}
	for _, s := range h.queue {
		close(s.activated)
	}
	h.queue = nil
	h.freed.Broadcast()
}

// shake does the handshake of an accepted connection, which has a slot, and gives it to a loop.
func (s *Server) shake(c *conn) {
	t, socket := c.tls, c.tls.socket
	err := s.negotiate(t)
	if err != nil {
		ne := net.Error(nil)
		late := errors.As(err, &ne) && ne.Timeout()
		s.counters.Handshakes.Add(1) // before the part of it, see HandshakesBy
		if late {
			s.counters.HandshakesLate.Add(1)
		}
		s.log.Debug("TLS handshake failed", "peer", c.Addr, "error", err)
		if !late {
			sayNoMore(socket)
		}
	}
	if s.handshakes.end(t.shaking); err != nil {
		socket.Close()
		s.slots.give(c.slot)
		return
	}
	s.counters.HandshakesDone.Add(1)
	acknowledge(socket)
	t.socket, t.shaking = nil, nil
	s.grant(c, socket)
	s.handOver(socket, c)
}

// negotiate does the handshake.
func (s *Server) negotiate(t *tlsConn) (err error) {
	turns := s.handshakes.turns
	turns <- struct{}{}
	defer func() {
		<-turns
		if s.caught(recover()) {
			err = net.ErrClosed
		}
	}()
	t.session = tls.Server(t, s.cfg.TLS)
	t.socket.SetWriteDeadline(time.Now().Add(handshakeTime))
	return t.session.Handshake()
}

// awaitRead reads from the socket during the handshake. Only this time counts against the peer.
func (t *tlsConn) awaitRead(p []byte) (n int, err error) {
	s := t.shaking
	<-s.of.turns
	begun := time.Now()
	s.of.mu.Lock()
	s.since = begun
	s.of.mu.Unlock()
	t.socket.SetReadDeadline(begun.Add(s.patience))
	n, err = t.socket.Read(p)
	s.patience -= time.Since(begun)
	if n > 0 && !s.active {
		if failed := s.spoke(); failed != nil {
			n, err = 0, failed
		}
	}
	s.of.turns <- struct{}{}
	return n, err
}

// sayNoMore shuts down our side of a connection and waits briefly for the peer to do the same: closing a
// socket with unread input would discard the alert that explains the failure.
func sayNoMore(socket net.Conn) {
	if tcp, ok := socket.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		socket.SetReadDeadline(time.Now().Add(alertTime))
		io.CopyN(io.Discard, socket, readSize)
	}
}

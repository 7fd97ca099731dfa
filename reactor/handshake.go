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

// tlsListener is a listener whose connections speak TLS.
type tlsListener struct{ net.Listener }

// handshakes are the connections whose TLS handshake goes on, each with a goroutine of its own, or that wait for
// their slot to begin it. Peers that say nothing cost little: there may be many of them, and when there are too many, the
// one that has been silent for longest goes, of the address that has most. Peers that have begun to speak need a
// place, of which each address has a share.
type handshakes struct {
	most  int           // that may go on
	turns chan struct{} // one for each that may compute at a time: the others wait, the loops do not
	// patience is handshakeTime and hurriedHandshakeTime, but for tests.
	patience, hurried time.Duration

	mu       sync.Mutex
	freed    sync.Cond
	all      map[*handshake]struct{}
	of       map[netip.Addr]int // all, by source
	active   int                // that are taken
	activeOf map[netip.Addr]int // by source
	queue    []*handshake       // wait for a place
	ended    bool
}

// handshake is one of them.
type handshake struct {
	of       *handshakes
	source   netip.Addr
	socket   net.Conn
	since    time.Time     // its peer is waited for; zero before that
	patience time.Duration // for how long the peer may still be waited for

	spoken    bool          // its peer has said something
	active    bool          // it has a place
	activated chan struct{} // closed when it has one, or when the server ends
}

// newHandshakes returns handshakes that take no more than a quarter of a server's slots, so that peers
// which say nothing to a TLS port leave room for all others.
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

// count returns how many there are.
func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// begin adds a connection, when there are not too many. nil: it is too late.
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

// longestSilent returns the handshake that goes first, and in what time.
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

// remove takes a handshake out.
func (h *handshakes) remove(s *handshake) {
	if _, ok := h.all[s]; !ok {
		return
	}
	delete(h.all, s)
	decrement(h.of, s.source)
	h.freed.Signal()
}

// decrement counts one less.
func decrement(counts map[netip.Addr]int, source netip.Addr) {
	if counts[source]--; counts[source] <= 0 {
		delete(counts, source)
	}
}

// spoke waits for a place when the peer has said something, which it does not need to say again.
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

// givePlaces gives places to those who wait for one, in turn, as far as the shares of their addresses go.
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

// end takes a connection out.
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

// stop ends all of them.
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

// shake does the handshake of an accepted connection, which has its slot, and hands it over to a loop.
func (s *Server) shake(c *conn) {
	t, socket := c.tls, c.tls.socket
	err := s.negotiate(t)
	if err != nil {
		s.counters.Handshakes.Add(1)
		s.log.Debug("TLS handshake failed", "peer", c.Addr, "error", err)
		if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
			sayNoMore(socket)
		}
	}
	if s.handshakes.end(t.shaking); err != nil {
		socket.Close()
		s.slots.give(c.slot)
		return
	}
	acknowledge(socket)
	t.socket, t.shaking = nil, nil
	s.grant(c, socket)
	s.takeOver(socket, c)
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

// awaitRead reads from the socket during the handshake. The time that it takes is the peer's, all
// other time of a handshake is ours.
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

// sayNoMore ends our side of a connection and waits a little for the peer to do the same: closing it with
// unread input would take the alert away that says what was wrong.
func sayNoMore(socket net.Conn) {
	if tcp, ok := socket.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		socket.SetReadDeadline(time.Now().Add(alertTime))
		io.CopyN(io.Discard, socket, readSize)
	}
}

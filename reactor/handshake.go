package reactor

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"time"
)

// tlsListener is a listener whose connections speak TLS.
type tlsListener struct{ net.Listener }

// handshakes are the connections whose TLS handshake is going on, each with a goroutine of its own. A
// connection has its slot from the beginning of it.
type handshakes struct {
	places chan struct{} // one for each that may go on at a time
	turns  chan struct{} // one for each that may compute at a time: the others wait, the loops do not

	mu      sync.Mutex
	sockets map[net.Conn]struct{}
	ended   bool
}

// newHandshakes returns handshakes that take no more than a quarter of a server's slots, so that peers
// which say nothing to a TLS port leave room for all others.
func newHandshakes(slots int) *handshakes {
	return &handshakes{
		places:  make(chan struct{}, max(1, min(maxHandshakes, slots/4))),
		turns:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		sockets: map[net.Conn]struct{}{},
	}
}

// count returns how many there are.
func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sockets)
}

// begin adds a connection and returns how long its peer may be waited for: less when many are there already, so
// that silent ones do not keep out others for long. false: it is too late.
func (h *handshakes) begin(socket net.Conn) (patience time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return 0, false
	}
	h.sockets[socket] = struct{}{}
	if len(h.sockets) > (cap(h.places)+1)/2 {
		return hurriedHandshakeTime, true
	}
	return handshakeTime, true
}

// end takes a connection out.
func (h *handshakes) end(socket net.Conn) {
	h.mu.Lock()
	delete(h.sockets, socket)
	h.mu.Unlock()
	<-h.places
}

// stop ends all of them.
func (h *handshakes) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for socket := range h.sockets {
		socket.Close()
	}
}

// shake does the handshake of an accepted connection, which has a place and a slot, and hands it over to a loop.
func (s *Server) shake(socket net.Conn, c *conn) {
	h := s.handshakes
	t := &tlsConn{socket: socket, conn: c, turns: h.turns}
	err := net.ErrClosed
	patience, ok := h.begin(socket)
	if ok {
		t.patience = patience
		err = s.negotiate(t)
	}
	if err != nil {
		s.counters.Handshakes.Add(1)
		s.log.Debug("TLS handshake failed", "peer", c.Addr, "error", err)
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			sayNoMore(socket)
		}
	}
	if h.end(socket); err != nil {
		socket.Close()
		<-s.slots
		return
	}
	acknowledge(socket)
	t.socket, t.turns = nil, nil
	c.tls = t
	s.takeOver(socket, c)
}

// negotiate does the handshake.
func (s *Server) negotiate(t *tlsConn) (err error) {
	t.turns <- struct{}{}
	defer func() {
		<-t.turns
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
func (t *tlsConn) awaitRead(p []byte) (int, error) {
	<-t.turns
	begun := time.Now()
	t.socket.SetReadDeadline(begun.Add(t.patience))
	n, err := t.socket.Read(p)
	t.patience -= time.Since(begun)
	t.turns <- struct{}{}
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

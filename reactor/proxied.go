package reactor

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gearloop/internal/proxyproto"
)

// proxied holds the connections of proxies whose PROXY header has not arrived. Each has a goroutine of its
// own, and no slot yet: the header says whose share of the slots it takes.
type proxied struct {
	room chan struct{} // one for each

	mu    sync.Mutex
	all   map[net.Conn]struct{}
	ended bool
}

func newProxied() *proxied {
	return &proxied{room: make(chan struct{}, maxProxied), all: map[net.Conn]struct{}{}}
}

// begin adds a connection once there is room. It returns false when the server ends.
func (p *proxied) begin(socket net.Conn, ending <-chan struct{}) bool {
	select {
	case p.room <- struct{}{}:
	case <-ending:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		<-p.room
		return false
	}
	p.all[socket] = struct{}{}
	return true
}

// end removes a connection.
func (p *proxied) end(socket net.Conn) {
	p.mu.Lock()
	delete(p.all, socket)
	p.mu.Unlock()
	<-p.room
}

// stop makes all waits for headers end.
func (p *proxied) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for socket := range p.all {
		socket.SetReadDeadline(time.Unix(1, 0))
	}
}

// ReadsHeaders reports whether some connections begin with a PROXY header.
func (s *Server) ReadsHeaders() bool { return len(s.cfg.Proxies) > 0 }

// greet reads the PROXY header of a connection and reports whether the connection may go on.
func (s *Server) greet(c *conn, socket net.Conn) bool {
	source, err := s.readHeader(socket)
	if err != nil {
		if err != io.EOF { // a load balancer only looked whether somebody listens
			s.BadHeader(c.Addr, err)
		}
		socket.Close()
		return false
	}
	if source.IsValid() {
		c.Addr = source
	}
	return true
}

// readHeader reads the PROXY header of a connection, within the time allowed.
func (s *Server) readHeader(socket net.Conn) (source netip.AddrPort, err error) {
	defer s.proxied.end(socket)
	socket.SetReadDeadline(time.Now().Add(s.proxyPatience))
	if closed(s.ending) {
		return source, errEnding // stop may have been called before the deadline was set
	}
	if source, err = proxyproto.Read(socket); err != nil {
		return source, err
	}
	return source, socket.SetReadDeadline(time.Time{})
}

// BadHeader counts and logs a connection that ends because of a PROXY header, or for want of one. Any
// goroutine may call it.
func (s *Server) BadHeader(peer netip.AddrPort, reason error) {
	if s.ended.Load() || closed(s.ending) {
		return
	}
	s.counters.Headers.Add(1)
	if left, ok := s.headers.ask(s.clock.read()); ok {
		s.log.Warn("closing a connection because of its PROXY header (see --proxy-protocol)",
			"peer", peer, "reason", reason, "others", left)
	}
}

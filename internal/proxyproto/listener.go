package proxyproto

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Listener is a listener whose connections from the networks of proxies begin with a header: Accept returns
// them once it is read, with the address of the proxy's client as RemoteAddr. Others are returned as they
// come. It does not look into these: a header is no request of any protocol that stands behind such a
// listener.
type Listener struct {
	net.Listener
	cfg Config

	start sync.Once
	room  chan struct{}
	ready chan accepted
	done  chan struct{}
	ended sync.WaitGroup

	mu     sync.Mutex
	silent map[net.Conn]struct{} // their header has not come
	closed bool
}

// Config configures a Listener.
type Config struct {
	Networks Networks
	// Patience is how long a proxy may take for the header.
	Patience time.Duration
	// Waiting bounds the connections whose header has not come or that are not accepted yet. More of them wait
	// in the kernel.
	Waiting int
	// Bad is called for connections that end because of their header, or for want of one.
	Bad func(peer netip.AddrPort, reason error)
}

// accepted is a result of Accept.
type accepted struct {
	conn net.Conn
	err  error
}

// NewListener returns a Listener, which takes over l.
func NewListener(l net.Listener, cfg Config) *Listener {
	return &Listener{
		Listener: l, cfg: cfg, room: make(chan struct{}, cfg.Waiting), ready: make(chan accepted), done: make(chan struct{}),
		silent: map[net.Conn]struct{}{},
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			l.ended.Go(l.acceptAll)
		}
	})
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends connections that Accept has not returned, and returns when nothing
// of the listener is running.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
	for c := range l.silent {
		c.SetReadDeadline(time.Unix(1, 0))
	}
	l.mu.Unlock()
	l.ended.Wait()
	return err
}

// acceptAll accepts until the listener is closed. Whoever sends no header holds up nobody else.
func (l *Listener) acceptAll() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !l.pass(accepted{err: err}) {
				return
			}
			continue
		}
		if !l.cfg.Networks.Has(remote(c).Addr()) {
			if !l.pass(accepted{conn: c}) {
				return
			}
			continue
		}
		select {
		case l.room <- struct{}{}:
		case <-l.done:
			c.Close()
			return
		}
		l.ended.Go(func() {
			defer func() { <-l.room }()
			if c := l.greet(c); c != nil {
				l.pass(accepted{conn: c})
			}
		})
	}
}

// pass hands a result to Accept. It closes the connection and returns false when the listener is closed.
func (l *Listener) pass(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

// greet reads a connection's header; nil: the connection has ended.
func (l *Listener) greet(c net.Conn) net.Conn {
	l.mu.Lock()
	l.silent[c] = struct{}{}
	c.SetReadDeadline(time.Now().Add(l.cfg.Patience))
	if l.closed {
		c.SetReadDeadline(time.Unix(1, 0))
	}
	l.mu.Unlock()
	source, err := Read(c)
	l.mu.Lock()
	delete(l.silent, c)
	closed := l.closed
	l.mu.Unlock()
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err != nil || closed {
		if err != io.EOF && !closed && l.cfg.Bad != nil { // io.EOF: a load balancer only looked whether somebody listens
			l.cfg.Bad(remote(c), err)
		}
		c.Close()
		return nil
	}
	if !source.IsValid() {
		return c
	}
	return &relayed{c, net.TCPAddrFromAddrPort(source)}
}

// remote returns the address of a peer; it is invalid for a unix socket.
func remote(c net.Conn) netip.AddrPort {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := tcp.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// relayed is a proxy's connection for a client.
type relayed struct {
	net.Conn
	client net.Addr
}

// RemoteAddr returns the address of the proxy's client.
func (c *relayed) RemoteAddr() net.Addr { return c.client }

// SyscallConn implements syscall.Conn, for those who look at what the kernel holds of the connection.
func (c *relayed) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

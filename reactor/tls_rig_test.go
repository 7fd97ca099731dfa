package reactor

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"gearloop/internal/tlsfiles"
	"gearloop/test/certs"
	"gearloop/test/wire"
)

// tlsRig is a server with one listener for TLS and a second one without.
type tlsRig struct {
	*rig
	authority *certs.Authority
	client    *tls.Config // of peers that are let in
}

// newTLSRig starts a server. require makes it ask clients for certificates.
func newTLSRig(tb testing.TB, require bool, change ...func(*setup)) *tlsRig {
	tb.Helper()
	a := certs.New(tb)
	p := a.Sign("server")
	source, err := tlsfiles.Open(tlsfiles.Files{Certificate: p.Certificate, Key: p.Key, CA: a.File, RequireClient: require})
	if err != nil {
		tb.Fatal(err)
	}
	r := &tlsRig{authority: a, client: a.Client("client")}
	r.rig = newRig(tb, append([]func(*setup){func(s *setup) {
		s.TLS = source.Config()
		s.listen = []string{"tls://127.0.0.1:0", "127.0.0.1:0"}
	}}, change...)...)
	return r
}

// tcp opens a TCP connection to the listener for TLS.
func (r *tlsRig) tcp() *net.TCPConn {
	r.tb.Helper()
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(r.addrs[0], "tls://"), wire.Limit)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// secure connects and does the TLS handshake.
func (r *tlsRig) secure() *wire.Conn {
	r.tb.Helper()
	return r.secureOver(r.tcp(), r.client)
}

// secureOver starts TLS on an existing connection.
func (r *tlsRig) secureOver(socket net.Conn, config *tls.Config) *wire.Conn {
	r.tb.Helper()
	t := tls.Client(socket, config)
	socket.SetDeadline(time.Now().Add(wire.Limit))
	if err := t.Handshake(); err != nil {
		r.tb.Fatal(err)
	}
	socket.SetDeadline(time.Time{})
	return wire.New(r.tb, t)
}

// plain opens a connection without TLS.
func (r *tlsRig) plain() *wire.Conn {
	r.tb.Helper()
	return wire.Dial(r.tb, r.addrs[1])
}

// versions returns the client's configuration for each version of TLS.
func (r *tlsRig) versions() map[string]*tls.Config {
	v12, v13 := r.client.Clone(), r.client.Clone()
	v12.MaxVersion, v13.MinVersion = tls.VersionTLS12, tls.VersionTLS13
	return map[string]*tls.Config{"1.2": v12, "1.3": v13}
}

// none waits until no connection, no peer and no handshake is left.
func (r *tlsRig) none() {
	r.tb.Helper()
	wire.Await(r.tb, "no connection is left", func() bool {
		n := r.sched.Count()
		return n.Peers+n.Abilities == 0 && r.server.connections.Load() == 0 && r.server.handshakes.count() == 0 &&
			r.server.halfClosed.count() == 0 && r.slotsTaken() == 0 && r.server.handshakes.activeCount() == 0
	})
}

// cutter is a socket that sends in pieces of size bytes; 0: it does not cut.
type cutter struct {
	*net.TCPConn
	size int
}

func (c *cutter) Write(b []byte) (total int, err error) {
	for len(b) > 0 && err == nil {
		n := len(b)
		if c.size > 0 {
			n = min(n, c.size)
		}
		n, err = c.TCPConn.Write(b[:n])
		total += n
		b = b[n:]
	}
	return total, err
}

// setPatience sets how long the server waits for the peers of future handshakes.
func (h *handshakes) setPatience(patience, hurried time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.patience, h.hurried = patience, hurried
}

// count returns the number of handshakes.
func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

package reactor

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"gearloop/internal/acl"
	"gearloop/sched"
)

// The kinds of requests that are refused because of missing rights.
const (
	refusedConnection = iota
	refusedSubmit
	refusedWork
	refusedLook
	refusedAdmin
	refusedKinds = iota
)

var refusedNames = [refusedKinds]string{"connect", "submit", "work", "look", "admin"}

// RefusedRight counts requests that were refused because one right was missing.
type RefusedRight struct {
	Right string // connect, submit, work, look or admin
	Count int64
}

// RefusedRights returns the refusals since the start; none without Config.ACL.
func (s *Server) RefusedRights() (all []RefusedRight) {
	if s.cfg.ACL == nil {
		return nil
	}
	for i := range s.refusals {
		all = append(all, RefusedRight{refusedNames[i], s.refusals[i].Load()})
	}
	return all
}

// refusals counts refusals by kind.
type refusals [refusedKinds]atomic.Int64

// access implements sched.Rights for a connection, from the access list.
type access struct {
	*acl.Peer
	server *Server
	conn   *conn
	who    string // for the log
}

// grant gives a connection its rights. Its peer must be known by then.
func (s *Server) grant(c *conn, socket net.Conn) {
	if s.cfg.ACL == nil {
		return
	}
	w := acl.Who{Addr: c.Addr.Addr(), User: acl.NoUser}
	if local, ok := socket.(*net.UnixConn); ok {
		w.User = userOf(local)
	}
	if c.tls != nil {
		if chains := c.tls.session.ConnectionState().VerifiedChains; len(chains) > 0 {
			w.Names = namesOf(chains[0][0])
		}
	}
	s.grantTo(c, w)
}

func (s *Server) grantTo(c *conn, w acl.Who) {
	a := &access{server: s, conn: c, who: w.String()}
	a.Peer = s.cfg.ACL.Peer(w)
	c.Access = sched.NewAccess(a)
}

// namesOf returns the names of a certificate: its common name, and its alternative names for hosts, mail
// addresses and URIs.
func namesOf(cert *x509.Certificate) []string {
	names := append(append([]string{}, cert.DNSNames...), cert.EmailAddresses...)
	if cert.Subject.CommonName != "" {
		names = append(names, cert.Subject.CommonName)
	}
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	return names
}

// Refused counts a refusal, and logs some of them.
func (a *access) Refused(want sched.Right, function string) {
	kind := refusedAdmin
	switch want {
	case sched.MaySubmit:
		kind = refusedSubmit
	case sched.MayWork:
		kind = refusedWork
	case sched.MayLook:
		kind = refusedLook
	}
	a.refused(kind, function)
}

func (a *access) refused(kind int, function string) {
	s := a.server
	s.refusals[kind].Add(1)
	if left, ok := s.noRight.ask(s.clock.read()); ok {
		s.log.Warn("refused: the access list gives no right to it", "peer", a.who, "right", refusedNames[kind],
			"function", function, "sections", strings.Join(a.Sections(), ", "), "others", left)
	}
}

// turnOut answers a peer that has no rights at all, and closes its connection.
func (c *conn) turnOut() {
	l := c.loop
	l.begin()
	c.Access.Rights.(*access).refused(refusedConnection, "")
	c.reason = closedNoRight
	c.sendError(l.server.cfg.Dialect.Forbidden.With("You have no right to connect"))
	c.hangUp()
	l.end()
}

// DialFor is DialContext on behalf of a client at this address. The connection has that client's rights.
func (s *Server) DialFor(ctx context.Context, client netip.Addr) (net.Conn, error) {
	c := &conn{}
	if s.cfg.ACL != nil {
		s.grantTo(c, acl.Who{Addr: client.Unmap(), User: acl.NoUser})
	}
	return s.dial(ctx, c)
}

// ReviewRights unregisters workers from functions that they may no longer work for, after the access list has
// changed. It does not wait for that. While the server ends it does nothing: whatever peers ask for is
// checked anyway.
func (s *Server) ReviewRights() {
	if !s.entering() { // it is ending, and loops that have ended must not be woken
		return
	}
	defer s.acceptors.Done()
	for _, l := range s.allLoops() {
		l.do(func() {
			all := make([]*conn, 0, len(l.conns))
			for c := range l.conns {
				if c.Access != nil {
					all = append(all, c)
				}
			}
			l.review(all)
		})
	}
}

// review checks the rights of some connections, and leaves the others to later turns.
func (l *loop) review(all []*conn) {
	some := all[:min(len(all), reviewTurn)]
	for _, c := range some {
		if c.closed || c.departed {
			continue
		}
		if lost := l.server.cfg.Sched.Review(&c.Peer, l.now, &l.fx); lost > 0 {
			l.server.log.Info("a worker may not work at functions any more that it was registered for",
				"peer", c.Access.Rights.(*access).who, "functions", lost)
		}
		l.carry(nil)
	}
	if rest := all[len(some):]; len(rest) > 0 {
		l.do(func() { l.review(rest) })
	}
}

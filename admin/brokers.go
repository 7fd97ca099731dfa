package admin

import "net/netip"

// Brokers recognizes other brokers of the same store (internal/peerlink).
type Brokers interface {
	// Nonce returns what a connection from an address has to prove itself with.
	Nonce(from netip.AddrPort) string
	// Admits reports whether the proof is right.
	Admits(from netip.AddrPort, proof string) bool
}

// introduce has another broker prove that it is one: "peer", then "peer PROOF". It may ask about all jobs
// then, and cancel them.
func (c *call) introduce() {
	switch {
	case c.Brokers == nil || c.peer == nil || !c.peer.Addr.IsValid():
		c.err(c.Dialect.UnknownCommand, "peer")
	case c.args == "":
		c.out = append(append(append(c.out, "PEER "...), c.Brokers.Nonce(c.peer.Addr)...), '\n')
	case c.Brokers.Admits(c.peer.Addr, c.args):
		c.peer.Broker = true
		c.out = append(c.out, "PEER yes\n"...)
	default:
		c.out = append(c.out, "PEER no\n"...)
	}
}

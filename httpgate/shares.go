package httpgate

import "net/netip"

// sharePerFree is how many places one holder may have for each place that is free. One that is alone gets three
// quarters of all; each further one that asks for as much makes the shares smaller, and there is always room for
// those who ask for little.
const sharePerFree = 3

// share counts the places that each holder has.
type share[K comparable] map[K]int

// mayTake reports whether k may have one more, with so many free places.
func (s share[K]) mayTake(k K, free int) bool { return s[k] < sharePerFree*free }

func (s share[K]) give(k K) {
	if s[k]--; s[k] <= 0 {
		delete(s, k)
	}
}

// clientOf returns who holds the places of a remote address, host:port. One machine may have all addresses of an
// IPv6 network of 64 bits.
func clientOf(remote string) netip.Prefix {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // a listener of another kind: they are one client
	}
	ip := a.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// enter takes a place for a job, if there is room for its function and its client. Otherwise it returns why not.
func (g *Gate) enter(function string, client netip.Prefix) *failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch free := g.cfg.MaxRequests - g.active; {
	case g.closed || free <= 0:
		return &errFull
	case !g.functions.mayTake(function, free):
		return &errFunction
	case !g.clients.mayTake(client, free):
		return &errClient
	}
	g.active++
	g.functions[function]++
	g.clients[client]++
	return nil
}

func (g *Gate) leave(function string, client netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	g.functions.give(function)
	g.clients.give(client)
	if g.closed && g.active == 0 {
		close(g.idle)
	}
}

// admit counts a connection, if its client does not have too many. The place in g.places is taken already.
func (g *Gate) admit(client netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.connections.mayTake(client, cap(g.slots)-len(g.slots)+1) {
		return false
	}
	g.connections[client]++
	return true
}

// dismiss gives back what admit took, and the place.
func (g *Gate) dismiss(client netip.Prefix) {
	g.mu.Lock()
	g.connections.give(client)
	g.mu.Unlock()
	<-g.slots
}

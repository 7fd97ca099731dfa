package httpgate

import "net/netip"

// sharePerFree is how many slots one holder may have for each free slot. A holder that is alone gets three
// quarters of all; the shares shrink with each further holder, and a slot is always left for those that ask
// for little.
const sharePerFree = 3

// share counts the slots of each holder.
type share[K comparable] map[K]int

// mayTake reports whether k may have one more slot when free slots are left.
func (s share[K]) mayTake(k K, free int) bool { return s[k] < sharePerFree*free }

func (s share[K]) give(k K) {
	if s[k]--; s[k] <= 0 {
		delete(s, k)
	}
}

// clientOf returns the holder for a remote address (host:port). One machine may own all addresses of an IPv6
// /64, so the whole network is one client.
func clientOf(remote string) netip.Prefix {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // not a TCP listener: all its peers are one client
	}
	ip := a.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// enter takes a slot for a job. It returns a failure if there is no slot for its function or its client.
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

// admit counts a connection, unless its client has too many. The caller has already taken a slot in g.slots.
func (g *Gate) admit(client netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.connections.mayTake(client, cap(g.slots)-len(g.slots)+1) {
		return false
	}
	g.connections[client]++
	return true
}

// dismiss undoes admit and frees the slot.
func (g *Gate) dismiss(client netip.Prefix) {
	g.mu.Lock()
	g.connections.give(client)
	g.mu.Unlock()
	<-g.slots
}

package reactor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listen opens a listener and returns its addresses. address is host, host:port, [v6]:port, :port or *:port
// (all addresses of both families), unix:PATH, or fd:NAME for inherited sockets; port is used if address has
// none. Port 0 means any free port. For a host name it listens on all of the host's addresses. With the
// prefix tls:// connections speak TLS (see Config.TLS), and the returned addresses have that prefix as well.
func (s *Server) Listen(address string, port int) ([]string, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	inner, secure := strings.CutPrefix(address, tlsScheme)
	if !secure {
		return s.listenOn(address, port)
	}
	if s.cfg.TLS == nil {
		return nil, fmt.Errorf("listen %s: there is no certificate for TLS", address)
	}
	plain := len(s.listeners)
	names, err := s.listenOn(inner, port)
	for i := plain; i < len(s.listeners); i++ {
		if s.doors[i].kind == "unix" {
			return nil, badAddress("%q is a unix socket, which does not speak TLS: leave tls:// out", address)
		}
		s.listeners[i] = tlsListener{s.listeners[i]}
		s.doors[i].kind = "tls"
	}
	for i := range names {
		names[i] = tlsScheme + names[i]
	}
	return names, err
}

// tlsScheme begins addresses whose connections speak TLS.
const tlsScheme = "tls://"

// listenOn is Listen for an address without a scheme.
func (s *Server) listenOn(address string, port int) ([]string, error) {
	if name, ok := strings.CutPrefix(address, passedScheme); ok {
		return s.addPassed(name)
	}
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		path, err := socketPath(path)
		if err != nil {
			return nil, err
		}
		name, err := s.listen("unix", path)
		return []string{unixScheme + name}, err
	}
	host, service, err := splitAddress(address, port)
	if err != nil {
		return nil, err
	}
	if host == "" || host == "*" {
		name, err := s.listenEverywhere(service)
		return []string{name}, err
	}
	ips, err := resolve(host)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	var names []string
	for _, ip := range ips {
		network := "tcp6" // only this family: an address means just that address
		if ip.Is4() {
			network = "tcp4"
		}
		name, err := s.listen(network, net.JoinHostPort(ip.String(), service))
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// listenEverywhere listens on all addresses of both families with one IPv6 socket that also accepts IPv4.
// Package net does this only if 127.0.0.1 exists; otherwise it listens on IPv4 alone.
func (s *Server) listenEverywhere(service string) (string, error) {
	name, err := s.listen(bothFamilies, "[::]:"+service)
	for _, missing := range []error{unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EADDRNOTAVAIL} {
		if errors.Is(err, missing) { // no IPv6 on this machine
			return s.listen("tcp4", ":"+service)
		}
	}
	return name, err
}

// bothFamilies is the network name of listenEverywhere.
const bothFamilies = "tcp6 and tcp4"

// acceptIPv4 makes an unbound IPv6 socket accept IPv4 as well.
func acceptIPv4(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	})
	return errors.Join(failed, err)
}

// resolve returns the addresses of a host.
func resolve(host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil // LookupNetIP returns "::" twice
	}
	if ip, ok := classicAddress(host); ok {
		return []netip.Addr{ip}, nil
	}
	resolver := net.DefaultResolver
	if host == "localhost" {
		resolver = onlyHosts
	}
	ips, err := resolver.LookupNetIP(context.Background(), "ip", host)
	if err != nil && host == "localhost" { // for example in a container without a hosts file
		ips, err = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	for i, ip := range ips {
		ips[i] = ip.Unmap()
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips), err // a name may list an address twice
}

// onlyHosts resolves names from the hosts file without asking the network: name servers do not know
// localhost.
var onlyHosts = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not in the table of hosts")
}}

// splitAddress splits an address into host and port.
func splitAddress(address string, port int) (host, service string, err error) {
	service = strconv.Itoa(port)
	inner, bracketed := strings.CutPrefix(address, "[")
	switch colons := strings.Count(address, ":"); {
	case strings.HasPrefix(address, "[]"):
		return "", "", badAddress("%q has no address between its brackets: it must be [IPV6]:PORT", address)
	case bracketed && strings.HasSuffix(inner, "]"):
		return strings.TrimSuffix(inner, "]"), service, nil
	case !bracketed && colons != 1:
		return address, service, nil // a name, or an IPv6 address without a port
	}
	if host, service, err = net.SplitHostPort(address); err != nil {
		return "", "", badAddress("%q is not an address: it must be HOST, HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH", address)
	}
	if n, err := strconv.Atoi(service); err != nil || n < 0 || n > 65535 {
		return "", "", badAddress("the port of %q must be a number from 0 to 65535", address)
	}
	return host, service, nil
}

// listen opens one listener and returns its address.
func (s *Server) listen(network, address string) (string, error) {
	config := net.ListenConfig{KeepAlive: -1, KeepAliveConfig: s.keepAlive()}
	if network == bothFamilies {
		network, config.Control = "tcp6", acceptIPv4
	}
	config.SetMultipathTCP(false) // accepted sockets are passed to gnet, which knows TCP only
	var l net.Listener
	var err error
	if network == "unix" {
		l, err = ListenUnix(address, s.cfg.UnixMode, s.cfg.UnixOwner)
	} else {
		l, err = config.Listen(context.Background(), network, address)
	}
	if err != nil {
		return "", err
	}
	return l.Addr().String(), s.add(l)
}

// add makes the server accept connections from a listener.
func (s *Server) add(l net.Listener) error {
	if s.cfg.Backlog != 0 {
		if err := setBacklog(l, s.cfg.Backlog); err != nil {
			l.Close()
			return err
		}
	}
	kind := "tcp"
	if l.Addr().Network() == "unix" {
		kind = "unix"
	}
	s.listeners = append(s.listeners, l)
	s.doors = append(s.doors, &door{address: l.Addr().String(), kind: kind})
	return nil
}

// addPassed adds the inherited listeners of that name, and returns their addresses.
func (s *Server) addPassed(name string) (addresses []string, err error) {
	for _, l := range s.cfg.Passed[name] {
		address := l.Addr().String()
		tcp, ok := l.(*net.TCPListener)
		if ok {
			l = passedListener{tcp, s.keepAlive()}
		} else {
			address = unixScheme + address
		}
		if err := s.add(l); err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	if len(addresses) == 0 {
		return nil, badAddress("%q: no socket of that name was passed by the service manager", passedScheme+name)
	}
	return addresses, nil
}

// passedListener configures the connections of an inherited listener as those of our own listeners are.
type passedListener struct {
	*net.TCPListener
	keepAlive net.KeepAliveConfig
}

func (l passedListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c.SetKeepAliveConfig(l.keepAlive) // it fails if the peer has gone already
	return c, nil
}

// keepAlive returns the keepalive settings of TCP connections.
func (s *Server) keepAlive() net.KeepAliveConfig {
	if s.cfg.KeepAlive.Enable {
		return s.cfg.KeepAlive
	}
	if d := s.cfg.DeadPeerAfter; d > 0 {
		return keepAliveFor(d)
	}
	return net.KeepAliveConfig{}
}

// keepAliveFor returns settings that end a connection whose peer has been silent for d: probes start after
// two thirds of it, three of them if d is long enough. The system counts in seconds.
func keepAliveFor(d time.Duration) net.KeepAliveConfig {
	k := net.KeepAliveConfig{Enable: true, Idle: max(d-d/3, time.Second), Interval: max(d/9, time.Second)}
	k.Count = max(1, min(3, int((d-k.Idle)/k.Interval)))
	return k
}

// setBacklog changes how many connections may wait to be accepted. The system may have a lower limit.
func setBacklog(l net.Listener, n int) error {
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) { err = os.NewSyscallError("listen", unix.Listen(int(fd), n)) })
	return errors.Join(failed, err)
}

// abandoned reports whether nobody listens on a unix socket.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// fitDescriptors returns how many descriptors are reserved for other uses than connections. If the process
// may have few, it reserves fewer, and lowers the number of connections on their way to a loop.
func (s *Server) fitDescriptors() (reserved int, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	all, listeners := int(min(limit.Cur, 1<<24)), max(len(s.listeners), 1)
	const each = 3 // descriptors of a connection during its hand-over
	s.cfg.Accept = min(s.cfg.Accept, max(1, all/4/each/listeners))
	others := 2 * max(s.cfg.Loops, 1) // pacers
	if len(s.cfg.Proxies) > 0 {
		n := max(1, min(maxProxied, all/8))
		s.proxied.room = make(chan struct{}, n)
		others += n
	}
	return min(descriptorsKept, all/3) + s.cfg.Descriptors + each*s.cfg.Accept*len(s.listeners) + others, nil
}

// connectionLimit returns the limit of connections, and the additional ones for administrators and for
// waiting. asked = 0 means as many as the descriptors allow besides reserved.
func connectionLimit(asked, reserved int) (connections, admins, room int, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, 0, err
	}
	all := int(min(limit.Cur, 1<<24))
	most := max(all, asked)
	admins, room = max(1, min(adminSlots, most/64)), max(1, min(minRoom, most/64))
	reserved += admins
	possible := all - reserved - room
	switch {
	case possible < 1:
		return 0, 0, 0, fmt.Errorf("too few file descriptors: %d, of which %d are needed for other things (see ulimit -n)", limit.Cur, reserved+room)
	case asked == 0:
		room = max(room, min((all-reserved)/16, maxRoom))
		return all - reserved - room, admins, room, nil
	case asked > possible:
		return 0, 0, 0, fmt.Errorf("%d connections need %d file descriptors, but there are %d (see ulimit -n)", asked, asked+reserved+room, limit.Cur)
	}
	return asked, admins, min(all-reserved-asked, maxRoom), nil
}

// accept accepts connections from a listener until it is closed, Config.Accept at a time. Connections that
// must wait for a slot do so in the room while there is space; then acceptors wait with one each, and the
// rest wait in the kernel's queue.
func (s *Server) accept(l net.Listener, d *door) {
	for range s.cfg.Accept {
		s.acceptors.Go(func() {
			for s.acceptOne(l, d) {
			}
		})
	}
}

// acceptOne accepts one connection; false if the listener is closed.
func (s *Server) acceptOne(l net.Listener, d *door) bool {
	socket, err := l.Accept()
	if err != nil {
		if errors.Is(err, net.ErrClosed) {
			return false
		}
		s.acceptFailed(err)
		time.Sleep(acceptPause)
		return true
	}
	d.accepted.Add(1)
	c := &conn{from: d}
	if tcp, ok := socket.RemoteAddr().(*net.TCPAddr); ok {
		a := tcp.AddrPort()
		c.Addr = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	if s.cfg.Proxies.Has(c.Addr.Addr()) {
		if !s.proxied.begin(socket, s.ending) {
			socket.Close()
			return false
		}
		s.acceptors.Go(func() {
			if s.greet(c, socket) {
				s.enter(l, c, socket)
			}
		})
		return true
	}
	return s.enter(l, c, socket)
}

// enter takes a connection in whose peer's address is known; false when the server ends.
func (s *Server) enter(l net.Listener, c *conn, socket net.Conn) bool {
	w := &waiter{source: sourceOf(c.Addr.Addr()), socket: socket}
	if _, secure := l.(tlsListener); secure {
		if c.tls = s.handshakes.begin(socket, c); c.tls == nil {
			socket.Close()
			return false
		}
	}
	switch s.slots.enter(w) {
	case enters:
		if !s.admit(w, c) {
			time.Sleep(acceptPause)
		}
	case turnedAway:
		s.refuse(w, c)
	case waitsHere:
		s.enterLater(w, c)
	case waitsRoom:
		s.acceptors.Go(func() { s.enterLater(w, c) })
	}
	return true
}

// enterLater waits for a connection's slot, and then admits it.
func (s *Server) enterLater(w *waiter, c *conn) {
	if s.awaitSlot(w) {
		s.admit(w, c)
	} else {
		s.refuse(w, c)
	}
}

// admit gives a connection that has a slot to a loop, or to a goroutine for its TLS handshake.
func (s *Server) admit(w *waiter, c *conn) bool {
	c.slot = w.slot
	if c.tls != nil {
		s.acceptors.Go(func() { s.shake(c) })
		return true
	}
	s.grant(c, w.socket)
	return s.handOver(w.socket, c) == nil
}

// refuse closes a connection that gets no slot.
func (s *Server) refuse(w *waiter, c *conn) {
	if c.tls != nil {
		s.handshakes.end(c.tls.shaking)
	}
	w.socket.Close()
}

// acceptFailed counts a failure of accept, most likely for want of descriptors. Existing connections are not
// affected.
func (s *Server) acceptFailed(err error) {
	if n := s.counters.AcceptErrors.Add(1); n&(n-1) == 0 { // 1st, 2nd, 4th, 8th ...
		s.log.Warn("accepting failed, pausing", "error", err, "times", n, "pause", acceptPause)
	}
}

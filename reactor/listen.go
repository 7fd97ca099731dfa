package reactor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
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

// prepare sets up a socket that will listen: an IPv6 one may accept IPv4 as well.
func prepare(c syscall.RawConn, both bool, k net.KeepAliveConfig) (err error) {
	failed := c.Control(func(fd uintptr) {
		if both {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
		}
		err = errors.Join(err, setKeepAlive(int(fd), k))
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

// listen opens one listener and returns its address.
func (s *Server) listen(network, address string) (string, error) {
	config := net.ListenConfig{KeepAlive: -1}
	both := network == bothFamilies
	if both {
		network = "tcp6"
	}
	keepAlive := s.keepAlive()
	if !inheritsKeepAlive {
		config.KeepAliveConfig = keepAlive
	}
	config.Control = func(_, _ string, c syscall.RawConn) error { return prepare(c, both, keepAlive) }
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
	s.listeners = append(s.listeners, newListener(l))
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

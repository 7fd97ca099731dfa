package main

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"gearloop/internal/proxyproto"
	"gearloop/internal/sdnotify"
	"gearloop/reactor"
)

// passedScheme begins addresses that name sockets of the service manager. Each option that names something to
// listen on takes such an address.
const passedScheme = "fd:"

// passedName returns the name of a socket of the service manager in an address; ok is false if this process
// opens the socket of the address itself.
func passedName(address string) (name string, ok bool) {
	return strings.CutPrefix(strings.TrimPrefix(address, tlsScheme), passedScheme)
}

// isOwn reports whether this process opens the socket of an address itself.
func isOwn(address string) bool {
	_, passed := passedName(address)
	return !passed
}

// passedUsers returns which option uses the sockets of each name.
func (o *options) passedUsers() (users map[string]string, err error) {
	users = map[string]string{}
	for option, addresses := range map[string][]string{
		"--listen": o.listen, "--web": o.web.listen, "--admin-socket": {o.web.socket}, "--debug-listen": {o.debugListen},
		"--http-port": {o.httpPort},
	} {
		for _, address := range addresses {
			name, passed := passedName(address)
			if !passed {
				continue
			}
			if other := users[name]; other != "" {
				both := []string{option, other}
				slices.Sort(both)
				return nil, fmt.Errorf("%s%s is named by %s and %s: a socket serves one purpose", passedScheme, name, both[0], both[1])
			}
			users[name] = option
		}
	}
	return users, nil
}

// checkPassedName rejects an address of the service manager without a name.
func checkPassedName(address string) error {
	if name, _ := passedName(address); name == "" {
		return fmt.Errorf("%q has no name: it must be fd:NAME, the name of a socket that the service manager passes", address)
	}
	return nil
}

// inheritSockets takes over the sockets that the service manager has passed.
func (p *process) inheritSockets() error {
	sockets, err := sdnotify.Sockets()
	if err != nil || len(sockets) == 0 {
		return err
	}
	p.passed = map[string][]net.Listener{}
	for _, s := range sockets {
		for _, name := range []string{s.Name, fmt.Sprint(s.FD)} {
			p.passed[name] = append(p.passed[name], s.Listener)
		}
	}
	users, err := p.passedUsers()
	if err != nil {
		return usageError{err}
	}
	used := func(s sdnotify.Socket) bool { return users[s.Name] != "" || users[fmt.Sprint(s.FD)] != "" }
	if len(p.listen) == 0 { // all that nothing else is served on
		for _, s := range sockets {
			if name := passedScheme + s.Name; !used(s) && !slices.Contains(p.listen, name) {
				p.listen = append(p.listen, name)
			}
		}
		for _, address := range p.listen {
			users[strings.TrimPrefix(address, passedScheme)] = "--listen"
		}
	}
	for _, s := range sockets {
		if !used(s) {
			p.log.Warn("a socket that the service manager has passed is not used: whoever connects to it waits forever; "+
				"add --listen fd:NAME, or disable its socket unit", "name", s.Name, "address", s.Listener.Addr().String())
			s.Listener.Close()
		}
	}
	if port := p.parsed.Lookup("port"); port != nil && port.Changed && !slices.ContainsFunc(p.listenOn(), isOwn) {
		p.log.Warn("the port has no effect: the server listens on sockets that the service manager has opened; set the port in the "+
			"socket unit (ListenStream=)", "port", port.Value.String(), "set_by", sourceOf(port))
	}
	return nil
}

// takePassed returns the sockets of a name for an option. network is what they must be: tcp or unix.
func (p *process) takePassed(option, name, network string) ([]net.Listener, error) {
	all := p.passed[name]
	if len(all) == 0 {
		known := "it has passed none"
		if names := slices.Sorted(maps.Keys(p.passed)); len(names) > 0 {
			known = "it has passed " + strings.Join(names, ", ")
		}
		return nil, usageError{fmt.Errorf("%s %s%s: the service manager has passed no socket of that name; %s",
			option, passedScheme, name, known)}
	}
	for _, l := range all {
		if got := l.Addr().Network(); got != network {
			return nil, usageError{fmt.Errorf("%s %s%s: %s is %s, and must be %s",
				option, passedScheme, name, l.Addr(), socketKinds[got], socketKinds[network])}
		}
	}
	return all, nil
}

var socketKinds = map[string]string{"tcp": "a TCP socket", "unix": "a unix socket"}

// listenTCP listens on an address of an option, or takes the sockets of the service manager that it names.
func (p *process) listenTCP(option, address string) ([]net.Listener, error) {
	if name, passed := passedName(address); passed {
		return p.takePassed(option, name, "tcp")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError(address, err)
	}
	return []net.Listener{l}, nil
}

// maxProxied bounds the connections of proxies to one HTTP listener whose header has not come.
const maxProxied = 64

// behindProxies returns a TCP listener that reads the PROXY header of connections from --proxy-protocol.
func (p *process) behindProxies(l net.Listener) net.Listener {
	if len(p.access.proxies) == 0 || l.Addr().Network() != "tcp" {
		return l
	}
	return proxyproto.NewListener(l, proxyproto.Config{
		Networks: proxyproto.Networks(p.access.proxies), Patience: reactor.ProxyPatience, Waiting: maxProxied, Bad: p.server.BadHeader,
	})
}

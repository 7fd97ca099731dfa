package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/admin"
	"gearloop/httpgate"
)

// httpFlush is how long the ending server waits until HTTP clients have their answers.
const httpFlush = 5 * time.Second

// gateway is the HTTP gateway of a server.
type gateway struct {
	gate      *httpgate.Gate
	listeners []net.Listener
	log       *slog.Logger
}

// gatewayRequests returns how many requests may run at a time so that they use at most half of the process's
// descriptors, and how many descriptors that is.
func gatewayRequests() (requests, descriptors int, err error) {
	// A socket, the far end of one to the broker, and sockets of clients that have not asked yet.
	const most, each = 4096, 3
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, err
	}
	requests = int(min(limit.Cur/(2*each), most))
	return max(requests, 1), each * requests, nil
}

// newGateway opens the gateway's listeners: a port of each TCP address that the server listens on, or sockets
// of the service manager.
func (p *process) newGateway() (*gateway, error) {
	addresses, err := p.gatewayAddresses()
	if err != nil {
		return nil, err
	}
	config := p.gatewayConfig()
	config.Dial = func(ctx context.Context) (net.Conn, error) { return p.server.DialFor(ctx, httpgate.Client(ctx)) }
	g := &gateway{gate: httpgate.New(config), log: config.Log}
	for _, address := range addresses {
		opened, err := p.listenTCP("--http-port", address)
		if err != nil {
			g.end()
			return nil, err
		}
		for _, l := range opened {
			g.listeners = append(g.listeners, p.behindProxies(l))
		}
	}
	return g, nil
}

// gatewayAddresses returns where the gateway listens.
func (p *process) gatewayAddresses() (all []string, err error) {
	if !isOwn(p.httpPort) {
		return []string{p.httpPort}, nil
	}
	for _, a := range p.addresses {
		host, _, err := net.SplitHostPort(strings.TrimPrefix(a, tlsScheme))
		address := net.JoinHostPort(host, fmt.Sprint(p.httpPortNumber))
		if err == nil && !strings.HasPrefix(a, "unix:") && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("--protocol http: there is no address over TCP to listen on")
	}
	return all, nil
}

// hostNames is a flag with the accepted values of Host.
type hostNames struct{ at *[]string }

func (h *hostNames) String() string { return strings.Join(*h.at, ",") }

func (h *hostNames) Set(name string) error {
	if name == "" || strings.ContainsAny(name, ":/ ,") {
		return fmt.Errorf("%q is not a host name: it must have neither scheme nor port; * is any name", name)
	}
	*h.at = append(*h.at, name)
	return nil
}

func (h *hostNames) Type() string { return repeatable }

func (h *hostNames) values() []string { return *h.at }

// httpNames returns the accepted values of Host: those of --http-host, the machine's name, and the host names
// in --listen.
func (o *options) httpNames() []string {
	names := slices.Clone(o.httpHosts)
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	for _, address := range o.listen {
		address = strings.TrimPrefix(address, tlsScheme)
		if !isOwn(address) {
			continue
		}
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		if address != httpgate.AnyHost { // as an address * has another meaning
			names = append(names, address)
		}
	}
	return names
}

// objects returns the gateway's counters for the text command gladiator.
func (g *gateway) objects() (all []admin.Objects) {
	for _, c := range g.gate.Counts() {
		all = append(all, admin.Objects{Name: c.Name, Count: int(c.N)})
	}
	return all
}

// addresses returns the gateway's addresses.
func (g *gateway) addresses() (all []string) {
	for _, l := range g.listeners {
		all = append(all, "http://"+l.Addr().String())
	}
	return all
}

// start serves requests.
func (g *gateway) start() {
	for _, l := range g.listeners {
		go func() {
			if err := g.gate.Serve(l); err != nil {
				g.log.Error("HTTP: no more requests are taken", "error", err)
			}
		}()
	}
}

// end ends the gateway after the server, which may have left answers to be relayed.
func (g *gateway) end() {
	ctx, cancel := context.WithTimeout(context.Background(), httpFlush)
	defer cancel()
	g.gate.Shutdown(ctx)
	for _, l := range g.listeners {
		l.Close() // in case it was not started
	}
}

// gatewayConfig returns the gateway's configuration. It may buffer as much as the server may for packets in
// transit.
func (p *process) gatewayConfig() httpgate.Config {
	queueTimeout := time.Duration(p.httpQueueTimeout)
	if queueTimeout == 0 {
		queueTimeout = -1 // no limit, for the gateway
	}
	return httpgate.Config{
		QueueTimeout: queueTimeout,
		MaxPacket:    int64(p.maxPacket), MaxRequests: p.requests, MaxBuffered: p.memoryLimit / 4,
		Hosts: p.httpNames(), Server: "Gearman/" + p.clientVersion(), Log: p.log,
	}
}

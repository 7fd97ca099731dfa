package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/httpgate"
	"gearloop/reactor"
)

// httpFlush is how long the end of the server waits until clients over HTTP have their answers.
const httpFlush = 5 * time.Second

// gateway is the side of a server that speaks HTTP.
type gateway struct {
	gate      *httpgate.Gate
	listeners []net.Listener
	log       *slog.Logger
}

// gatewayRequests returns how many requests may be under way at a time, so that they take no more
// than half of the descriptors that this process may have, and how many descriptors that is.
func gatewayRequests() (requests, descriptors int, err error) {
	// A socket, the far end of one to the broker, and sockets of clients that have yet to ask.
	const most, each = 4096, 3
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, err
	}
	requests = int(min(limit.Cur/(2*each), most))
	return max(requests, 1), each * requests, nil
}

// newGateway opens listeners on a port of each of the addresses that the server listens on over TCP.
func newGateway(addresses []string, port uint16, log *slog.Logger) (*gateway, error) {
	g := &gateway{log: log}
	var hosts []string
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(strings.TrimPrefix(a, tlsScheme))
		if err == nil && !strings.HasPrefix(a, "unix:") && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("--protocol http: there is no address over TCP to listen on")
	}
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			g.stop()
			return nil, err
		}
		g.listeners = append(g.listeners, l)
	}
	return g, nil
}

// addresses returns what the gateway listens on.
func (g *gateway) addresses() (all []string) {
	for _, l := range g.listeners {
		all = append(all, "http://"+l.Addr().String())
	}
	return all
}

// start serves requests, each with a connection to the server.
func (g *gateway) start(server *reactor.Server, config httpgate.Config) {
	config.Dial = server.DialContext
	config.Log = g.log
	g.gate = httpgate.New(config)
	for _, l := range g.listeners {
		go func() {
			if err := g.gate.Serve(l); err != nil {
				g.log.Error("HTTP: no more requests are taken", "error", err)
			}
		}()
	}
}

// stop closes listeners that nobody serves.
func (g *gateway) stop() {
	for _, l := range g.listeners {
		l.Close()
	}
}

// end ends the gateway when the server has ended, which may have left answers to be passed on.
func (g *gateway) end() {
	if g.gate == nil {
		g.stop()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpFlush)
	defer cancel()
	g.gate.Shutdown(ctx)
}

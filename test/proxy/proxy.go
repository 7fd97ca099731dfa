// Package proxy is a TCP proxy for tests of what happens when a connection breaks or goes silent.
package proxy

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy passes bytes between those who connect to Addr and a target, until it is told otherwise.
type Proxy struct {
	Addr string

	target string
	l      net.Listener
	rooms  sync.WaitGroup

	mu     sync.Mutex
	thawed *sync.Cond
	silent bool
	closed bool
	limit  int64 // bytes that pass until the next cut; 0: none is planned
	way    Way
	conns  map[net.Conn]bool
	passed [2]int64
}

// Way is a direction.
type Way int

const (
	Forth Way = iota // to the target
	Back             // from the target
)

// Start starts a proxy that ends with the test.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, l: l, conns: map[net.Conn]bool{}}
	p.thawed = sync.NewCond(&p.mu)
	p.rooms.Go(p.accept)
	tb.Cleanup(p.end)
	return p
}

func (p *Proxy) end() {
	p.mu.Lock()
	p.closed, p.silent = true, false
	p.thawed.Broadcast()
	p.mu.Unlock()
	p.l.Close()
	p.Cut()
	p.rooms.Wait()
}

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

func (p *Proxy) cut() {
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// CutAfter breaks all connections, once, as soon as n bytes from now on have passed one way over any of them.
// The bytes behind the n-th do not pass. n is at least 1.
func (p *Proxy) CutAfter(way Way, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way, p.limit = way, n
}

// Planned reports whether a cut has not happened yet.
func (p *Proxy) Planned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit > 0
}

// Passed returns how many bytes have passed one way.
func (p *Proxy) Passed(way Way) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[way]
}

// Silence lets nothing pass any more, neither bytes nor the end of a connection, as a network that drops all
// packets. New connections are accepted and hear nothing. false: what was held up passes.
func (p *Proxy) Silence(silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = silent
	p.thawed.Broadcast()
}

// wait waits while nothing passes.
func (p *Proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.silent {
		p.thawed.Wait()
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.rooms.Go(func() { p.serve(c) })
	}
}

const dialLimit = 10 * time.Second

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.wait()
	server, err := net.DialTimeout("tcp", p.target, dialLimit)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.enter(client, server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(Forth, server, client) })
	both.Go(func() { p.pass(Back, client, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

func (p *Proxy) enter(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.closed
}

// pass copies one way, until either side has ended.
func (p *Proxy) pass(way Way, to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.wait()
		if n > 0 {
			n, last := p.count(way, n)
			if _, err := to.Write(b[:n]); err != nil || last {
				if last {
					p.Cut()
				}
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// count takes n bytes from what may pass, and returns how many do. last: then the connections are cut.
func (p *Proxy) count(way Way, n int) (pass int, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && way == p.way {
		if int64(n) >= p.limit {
			n, last = int(p.limit), true
			p.limit = 0
		} else {
			p.limit -= int64(n)
		}
	}
	p.passed[way] += int64(n)
	return n, last
}

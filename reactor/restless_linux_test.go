package reactor

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/httpgate"
	"gearloop/test/wire"
)

// ways returns the ways by which a connection reaches a server: over TLS and TCP, with a PROXY header or not, over a
// unix socket, and from inside the process, as the HTTP gateway's do. The functions may be called by other goroutines
// than the test's.
func (r *tlsRig) ways(proxied bool) map[string]func() *wire.Conn {
	tb := wire.Aside(r.tb)
	aside := &tlsRig{rig: &rig{tb: tb, server: r.server, sched: r.sched, addrs: r.addrs}, client: r.client}
	begin := func(socket net.Conn) {
		if !proxied {
			return
		}
		if _, err := io.WriteString(socket, header2("192.0.2.7:1234")); err != nil {
			tb.Fatal(err)
		}
	}
	return map[string]func() *wire.Conn{
		"TLS": func() *wire.Conn {
			socket := aside.tcp()
			begin(socket)
			return aside.secureOver(socket, aside.client)
		},
		"TCP": func() *wire.Conn {
			c := aside.plain()
			begin(c)
			return c
		},
		"unix": func() *wire.Conn { return wire.Dial(tb, r.addrs[2]) },
		"inside": func() *wire.Conn {
			c, err := r.server.DialContext(context.Background())
			if err != nil {
				tb.Fatal(err)
			}
			r.tb.Cleanup(func() { c.Close() })
			return wire.New(tb, c)
		},
	}
}

// newRestlessRig starts a server with four loops, which listens for all ways, and has little memory.
func newRestlessRig(t *testing.T, proxied bool, change ...func(*setup)) *tlsRig {
	path := filepath.Join(t.TempDir(), "socket")
	return newTLSRig(t, false, append([]func(*setup){lodgers(4), func(s *setup) {
		s.listen = append(s.listen, "unix:"+path)
		s.SocketBuffer = 64 << 10
		if proxied {
			behind("127.0.0.1/32")(s)
		}
	}}, change...)...)
}

// stubborn makes connections of all ways, each so many times, that have asked for bytes and do not read them.
func stubborn(ways map[string]func() *wire.Conn, each, bytes int) (all []*wire.Conn) {
	for _, connect := range ways {
		for range each {
			c := connect()
			c.Send(codec.EchoReq, strings.Repeat("d", bytes))
			all = append(all, c)
		}
	}
	return all
}

// A server ends while all the time other loops run and peers do not read. With Shutdown they get what they have asked
// for if they read it then; with Abort the server does not wait for them.
func TestEndWithStubbornPeersWhileLoopsComeAndGo(t *testing.T) {
	const bytes = 1 << 20
	for name, end := range map[string]func(*Server){"Shutdown": (*Server).Shutdown, "Abort": (*Server).Abort} {
		t.Run(name, func(t *testing.T) {
			r := newRestlessRig(t, false)
			stop := r.restless()
			defer stop()
			peers := stubborn(r.ways(false), 3, bytes)
			wire.Await(t, "their output waits", func() bool { return r.server.buffered() > int64(len(peers)*bytes/2) })
			for _, c := range peers {
				if _, err := c.Reader().Peek(1); err != nil { // until then its packet may be on its way, and be lost
					t.Fatal(err)
				}
			}
			end(r.server)
			if name == "Abort" {
				r.wantEnd()
				return
			}
			var reading sync.WaitGroup
			for _, c := range peers {
				reading.Go(func() {
					if got := len(c.ReadAll()); got != codec.HeaderSize+bytes {
						t.Errorf("a peer gets %d bytes of %d", got, bytes)
					}
				})
			}
			reading.Wait()
			r.wantEnd()
		})
	}
}

// While all the time other loops run, connections of all kinds come and go, some do not read, memory is nearly
// short, and HTTP requests come. Jobs keep their order, none is lost, and nothing is left.
func TestAllKindsWhileLoopsComeAndGo(t *testing.T) {
	// large is so small that what all peers have begun to send is never refused.
	const large = 256 << 10
	for _, proxied := range []bool{false, true} {
		t.Run(fmt.Sprint("proxied=", proxied), func(t *testing.T) {
			r := newRestlessRig(t, proxied, narrow)
			ways := r.ways(proxied)
			stop := r.restless()
			defer stop()
			deaf := stubborn(ways, 4, 1<<20)
			most := r.watchTransit(t)
			end := make(chan struct{})
			var others sync.WaitGroup
			for _, connect := range ways {
				others.Go(func() { visit(connect, end) })
			}
			others.Go(func() { request(t, r, ways["TLS"], end) })
			var all []func() *wire.Conn
			for _, connect := range ways {
				all = append(all, connect)
			}
			orderOf(t, func(i int) *wire.Conn { return all[i%len(all)]() }, 4, 64, large)
			close(end)
			others.Wait()
			for _, c := range deaf {
				c.Close()
			}
			r.none()
			noPayload(t)
			if n := most(); n < r.server.soft()/2 {
				t.Errorf("%d bytes in transit at most: there was room for much more", n)
			}
		})
	}
}

// visit connects, asks and leaves until the end.
func visit(connect func() *wire.Conn, end <-chan struct{}) {
	rng := rand.New(rand.NewPCG(1, 2))
	for {
		select {
		case <-end:
			return
		default:
		}
		c := connect()
		c.Send(codec.CanDo, "visited")
		c.Table("clients")
		c.Send(codec.EchoReq, strings.Repeat("v", rng.IntN(100<<10)))
		if rng.IntN(2) == 0 {
			c.WantType(codec.EchoRes)
		}
		c.Close()
	}
}

// request sends HTTP requests until the end, and does their jobs.
func request(t *testing.T, r *tlsRig, connect func() *wire.Conn, end <-chan struct{}) {
	g := httpgate.New(httpgate.Config{Dial: r.server.DialContext})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	var serving sync.WaitGroup
	serving.Go(func() { g.Serve(l) })
	worker := connect()
	worker.Send(codec.CanDo, "http")
	serving.Go(func() { work(t, worker, 0) })
	client := &http.Client{Transport: &http.Transport{}, Timeout: wire.Limit}
	for k := 0; ; k++ {
		select {
		case <-end:
			client.CloseIdleConnections()
			g.Shutdown(context.Background())
			worker.Close()
			serving.Wait()
			for range 2 {
				runtime.GC() // package net has kept pipes for splice
			}
			return
		default:
		}
		body := strings.Repeat("h", 1+k%3*(40<<10))
		response, err := client.Post("http://"+l.Addr().String()+"/http", "", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || string(got) != body {
			t.Errorf("status %d, %d bytes of %d, %v", response.StatusCode, len(got), len(body), err)
		}
	}
}

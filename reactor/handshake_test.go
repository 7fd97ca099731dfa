package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/certs"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// refused fails unless a client with this configuration is refused with an alert.
func (r *tlsRig) refused(config *tls.Config, alert string) {
	r.tb.Helper()
	c := tls.Client(r.tcp(), config)
	c.SetDeadline(time.Now().Add(wire.Limit))
	_, err := c.Write(codec.AppendRequest(nil, codec.EchoReq, "let in"))
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // with TLS 1.3 the server answers after the client has completed its handshake
	}
	if err == nil || !strings.Contains(err.Error(), alert) {
		r.tb.Errorf("%v, want %q", err, alert)
	}
	c.Close()
}

// If clients must show a certificate, only those of the right authority and with TLS 1.2 or 1.3 are accepted.
func TestTLSRefusals(t *testing.T) {
	r := newTLSRig(t, true)
	others := certs.New(t)
	for name, config := range r.versions() {
		none, wrong := config.Clone(), config.Clone()
		none.GetClientCertificate = nil
		wrong.GetClientCertificate = others.Client("stranger").GetClientCertificate
		alert := "handshake failure"
		if name == "1.3" {
			alert = "certificate required"
		}
		r.refused(none, alert)
		r.refused(wrong, "remote error: tls: ")
	}
	old := r.client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	r.refused(old, "protocol version")
	distrust := others.Client("")
	r.refused(distrust, "unknown authority")
	r.none()
	if n := r.server.Counters().Handshakes.Load(); n != 6 {
		t.Errorf("%d handshakes failed, want 6", n)
	}
	for _, config := range r.versions() {
		r.secureOver(r.tcp(), config).Sync()
	}
	if c := r.server.Counters(); c.HandshakesDone.Load() != int64(len(r.versions())) || c.HandshakesLate.Load() != 0 {
		t.Errorf("%d handshakes succeeded and %d took too long, want %d and none", c.HandshakesDone.Load(), c.HandshakesLate.Load(), len(r.versions()))
	}
}

// unfinished are beginnings of connections to a TLS port that never complete a handshake.
var unfinished = map[string][]byte{
	"nothing":        nil,
	"a byte":         {0x16},
	"a packet":       codec.AppendRequest(nil, codec.EchoReq, "hello"),
	"text":           []byte("status\n"),
	"HTTP":           []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	"half a hello":   []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	"no hello":       append([]byte("\x16\x03\x01\x02\x00"), make([]byte, 512)...),
	"an empty hello": []byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"),
	"an alert":       []byte("\x15\x03\x01\x00\x02\x02\x28"),
	"SSL 2":          []byte("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
}

// A connection to a TLS port that does not speak TLS, however it ends, is closed without a line in the log
// and leaves nothing behind.
func TestTLSHandshakesThatFail(t *testing.T) {
	r := newTLSRig(t, false, loops(1))
	r.secure().Sync()
	r.plain().Sync()
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	others := r.server.connections.Load()
	waits := map[string]bool{"nothing": true, "a byte": true, "half a hello": true}
	n := int64(0)
	for name, bytes := range unfinished {
		for ending, end := range endings {
			c := wire.New(t, r.tcp())
			c.Raw(bytes)
			if !waits[name] {
				// There is no answer except perhaps an alert.
				c.SetReadDeadline(time.Now().Add(wire.Limit))
				answer, err := io.ReadAll(c.Reader())
				if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() || len(answer) > 0 && answer[0] != 0x15 {
					t.Errorf("%s: answer %q, %v", name, answer, err)
				}
			}
			end(c)
			c.Close()
			n++
			wire.Await(t, name+" is over, by "+ending, func() bool {
				return r.server.Counters().Handshakes.Load() == n && r.server.handshakes.count() == 0
			})
		}
	}
	wire.Await(t, "nothing is left", func() bool {
		return r.server.connections.Load() == others && r.sched.Count().Peers == int(others) &&
			openDescriptors(t) <= descriptors && runtime.NumGoroutine() <= goroutines && r.slotsTaken() == int(others)
	})
	r.secure().Sync()
}

// Peers that send nothing to a TLS port take at most a quarter of the slots, and none from peers without TLS.
// Peers that speak TLS get their turn soon.
func TestTLSSilentPeers(t *testing.T) {
	const most = 16
	r := newTLSRig(t, false, func(s *setup) { s.MaxConnections, s.Accept = most, 2 })
	r.server.handshakes.setPatience(time.Hour, time.Hour) // none times out: it is closed when others need its place
	for range 2 * most {
		r.tcp()
	}
	wire.Await(t, "all places are taken", func() bool { return r.server.handshakes.count() == most/4 })
	for range 3 * most / 4 {
		r.plain().Sync()
	}
	wire.Await(t, "all slots are taken", func() bool { return r.slotsTaken() == most })
	wire.Await(t, "silent peers give up their places", func() bool { return r.server.Counters().Handshakes.Load() > 0 })
}

// A peer that speaks TLS is served while silent ones keep coming.
func TestTLSGetsInBesideSilentPeers(t *testing.T) {
	r := newTLSRig(t, false, func(s *setup) { s.MaxConnections = 16 })
	r.server.handshakes.setPatience(time.Hour, hurriedHandshakeTime) // one place of four is free again after that at the latest
	for range 5 {
		r.tcp()
	}
	r.secure().Sync()
}

// The time limit of a handshake applies to all its pieces together.
func TestTLSHandshakeTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	socket, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	patience := 300 * time.Millisecond
	h := newHandshakes(4)
	c := h.begin(socket, new(conn))
	c.shaking.patience = patience
	h.turns <- struct{}{}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				peer.Write([]byte{1})
			}
		}
	})
	begun := time.Now()
	for err == nil && time.Since(begun) < wire.Limit {
		_, err = c.Read(make([]byte, 1))
	}
	close(stop)
	sending.Wait()
	if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() || time.Since(begun) < patience {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

// A server that ends does not wait for handshakes.
func TestTLSEndDuringHandshakes(t *testing.T) {
	r := newTLSRig(t, false)
	r.server.handshakes.setPatience(time.Hour, time.Hour)
	for range 20 {
		r.tcp()
	}
	half := r.tcp()
	half.Write(unfinished["half a hello"])
	wire.Await(t, "all are in a handshake", func() bool { return r.server.handshakes.count() == 21 })
	r.server.Drain()
	r.wantEnd()
}

// Many simultaneous handshakes are all completed.
func TestTLSManyHandshakes(t *testing.T) {
	r := newTLSRig(t, true, loops(2))
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range sample.Of(40, 15) {
				c := r.secure()
				c.Sync()
				c.Close()
			}
		})
	}
	clients.Wait()
	r.none()
	if n := r.server.Counters().Handshakes.Load(); n != 0 {
		t.Errorf("%d failed", n)
	}
}

// A TLS client at a port without TLS is answered at once.
func TestTLSOnPlainPort(t *testing.T) {
	r := newTLSRig(t, false)
	for range 100 { // each hello has other random bytes, with and without line feeds
		socket, err := net.Dial("tcp", r.addrs[1])
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(socket, r.client)
		c.SetDeadline(time.Now().Add(wire.Limit))
		err = c.Handshake()
		if ne := net.Error(nil); err == nil || errors.As(err, &ne) && ne.Timeout() {
			t.Fatalf("%v", err)
		}
		socket.Close()
	}
	r.none()
	if n := r.server.Counters().BadMagic.Load(); n != 100 {
		t.Errorf("%d of 100 seen", n)
	}
}

// Without a certificate the server does not listen for TLS. It never does on a unix socket.
func TestTLSListen(t *testing.T) {
	if names, err := idle(t).Listen("tls://127.0.0.1:0", 0); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("%v, %v", names, err)
	}
	r := newTLSRig(t, false)
	if !strings.HasPrefix(r.addrs[0], "tls://127.0.0.1:") {
		t.Errorf("listens on %s", r.addrs[0])
	}
	s := idle(t)
	s.cfg.TLS = r.server.cfg.TLS
	for _, address := range []string{"tls://unix:" + t.TempDir() + "/s", "tls://127.0.0.1:x", "tls://[::1", "tls://tls://:0"} {
		if names, err := s.Listen(address, 0); err == nil {
			t.Errorf("%s: listens on %v", address, names)
		}
	}
	for address, want := range map[string]string{"tls://": "tls://[::]:", "tls://127.0.0.1": "tls://127.0.0.1:", "tls://[::1]:0": "tls://[::1]:"} {
		if names, err := s.Listen(address, 0); err != nil || !strings.HasPrefix(names[0], want) {
			t.Errorf("%s: %v, %v", address, names, err)
		}
	}
}

// from connects to the listener for TLS from another loopback address.
func (r *tlsRig) from(address string) *net.TCPConn {
	r.tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: wire.Limit}
	c, err := d.Dial("tcp", strings.TrimPrefix(r.addrs[0], tlsScheme))
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// An address opens more connections than there may be handshakes, and sends nothing or little. It excludes
// nobody: another address is served while all these connections exist. So is one more of the same address
// that speaks while the others are silent.
func TestTLSOneAddressStarvesNobody(t *testing.T) {
	const most = maxActive + 64
	for what, c := range map[string]struct {
		bytes string
		many  int
	}{
		"nothing": {"", most + 20},
		"a part":  {string(unfinished["half a hello"]), most - 4},
	} {
		t.Run(what, func(t *testing.T) {
			r := newTLSRig(t, false, func(s *setup) { s.MaxConnections = 4 * most })
			h := r.server.handshakes
			h.setPatience(time.Hour, time.Hour) // none goes by itself
			for range c.many {
				io.WriteString(r.from("127.0.0.2"), c.bytes)
			}
			wire.Await(t, "the culprits are there", func() bool {
				return c.bytes == "" && h.count() >= most || h.activeCount() == maxActive/activeShare
			})
			for range 3 {
				r.secureOver(r.from("127.0.0.1"), r.client).Sync()
			}
			if c.bytes == "" {
				r.secureOver(r.from("127.0.0.2"), r.client).Sync()
			}
		})
	}
}

// Handshakes come and go. Places are given as long as there are some, and to no address more than its share.
func TestTLSPlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	h := newHandshakes(4 * maxHandshakes)
	var all []*handshake
	for range 5000 {
		if len(all) < maxHandshakes && rng.IntN(5) > 1 {
			s := &handshake{of: h, source: address(rng.IntN(rng.IntN(8) + 1)), socket: nil, activated: make(chan struct{})}
			h.all[s] = struct{}{}
			h.of[s.source]++
			h.queue = append(h.queue, s)
			h.givePlaces()
			all = append(all, s)
		} else if len(all) > 0 {
			i := rng.IntN(len(all))
			if all[i].active {
				h.end(all[i])
				all = slices.Delete(all, i, i+1)
			}
		}
		of := map[netip.Addr]int{}
		active, waiting := 0, 0
		for _, s := range all {
			if s.active {
				active++
				of[s.source]++
			}
		}
		for _, s := range all {
			if !s.active {
				waiting++
				if active < maxActive && of[s.source] < maxActive/activeShare {
					t.Fatalf("%v waits with %d of %d places taken, %d by itself", s.source, active, maxActive, of[s.source])
				}
			}
		}
		if active != h.active || active > maxActive || waiting != len(h.queue) || !maps.Equal(of, h.activeOf) || len(h.all) != len(all) {
			t.Fatalf("%d places, %v, %d wait, %d in all; want %d, %v, %d, %d", h.active, h.activeOf, len(h.queue), len(h.all), active, of, waiting, len(all))
		}
		for source, n := range of {
			if n > maxActive/activeShare {
				t.Fatalf("%v has %d places", source, n)
			}
		}
	}
}

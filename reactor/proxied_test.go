package reactor

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/proxyproto"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// behind makes a server read headers from a network.
func behind(network string) func(*setup) {
	return func(s *setup) { s.Proxies = proxyproto.Networks{netip.MustParsePrefix(network)} }
}

// header1 and header2 are the headers of both versions for a client. local is the header of a proxy's own
// connection.
func header1(client string) string {
	a := netip.MustParseAddrPort(client)
	if a.Addr().Is4() {
		return "PROXY TCP4 " + a.Addr().String() + " 127.0.0.1 " + client[strings.LastIndex(client, ":")+1:] + " 4730\r\n"
	}
	return "PROXY TCP6 " + a.Addr().String() + " ::1 " + client[strings.LastIndex(client, ":")+1:] + " 4730\r\n"
}

func header2(client string) string {
	a := netip.MustParseAddrPort(client)
	family, ip := byte(0x11), a.Addr().AsSlice()
	if a.Addr().Is6() {
		family = 0x21
	}
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21"), family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(ip)+4))
	b = append(append(b, ip...), ip...)
	return string(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, a.Port()), 4730))
}

const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// The address in the header is the peer's address: for rights, in tables, and for its share of the slots.
func TestProxied(t *testing.T) {
	list := newAccessList(t, `
[clients]
network = 192.0.2.0/24 2001:db8::/32
submit  = f
[proxy]
network = 127.0.0.1
submit  = own
look    = *
work    = f
`)
	r := newRig(t, list.in, behind("127.0.0.1/32"))
	for client, header := range map[string]func(string) string{
		"192.0.2.7:1234": header1, "[2001:db8::7]:1234": header1, "192.0.2.8:1235": header2, "[2001:db8::8]:1235": header2,
	} {
		c := r.dial()
		c.Raw([]byte(header(client)))
		c.Submit(codec.SubmitJob, "f", client, "x")
		c.Send(codec.SubmitJob, "own", "", "x")
		c.WantError("not_allowed")
		proxy := r.dial()
		proxy.Raw([]byte(local))
		proxy.Submit(codec.SubmitJobBg, "own", client, "x")
		if rows := proxy.Table("clients"); !slices.Contains(rows, client) {
			t.Errorf("%s is not in %q", client, rows)
		}
		a := netip.MustParseAddrPort(client).Addr()
		r.server.slots.mu.Lock()
		held := r.server.slots.held[sourceOf(a)]
		r.server.slots.mu.Unlock()
		if held != 1 && a.Is4() || held == 0 {
			t.Errorf("%s holds %d slots", client, held)
		}
	}
	stranger := r.dial()
	stranger.Raw([]byte(header1("198.51.100.1:1") + "status\n"))
	stranger.WantError("not_allowed")
	stranger.WantEnd()
	if n := r.server.counters.Headers.Load(); n != 0 {
		t.Errorf("%d bad headers", n)
	}
}

// TLS begins after the header.
func TestProxiedTLS(t *testing.T) {
	r := newTLSRig(t, true, behind("127.0.0.1/32"))
	socket := r.tcp()
	io.WriteString(socket, header2("192.0.2.7:1234"))
	c := r.secureOver(socket, r.client)
	if rows := c.Table("clients"); !slices.Contains(rows, "192.0.2.7:1234") {
		t.Errorf("clients: %q", rows)
	}
	other := r.tcp()
	other.SetDeadline(time.Now().Add(wire.Limit))
	if tls.Client(other, r.client).Handshake() == nil {
		t.Error("a handshake without a header")
	}
	wire.Await(t, "it is counted", func() bool { return r.server.counters.Headers.Load() == 1 })
	c.Close()
	r.none()
}

// A proxy's connection without a header or with a bad one is closed: at once if it begins otherwise, or after
// a limit if nothing arrives.
func TestProxiedWithoutHeader(t *testing.T) {
	r := newRig(t, behind("127.0.0.0/8"))
	for i, begin := range []string{"status\n", string(codec.AppendRequest(nil, codec.EchoReq, "x")), "PROXY nonsense\r\n", "\r\n\r\n\x00\r\nQUIT\n\xff\xff\x00\x00"} {
		c := r.dial()
		c.Raw([]byte(begin))
		c.SetReadDeadline(time.Now().Add(wire.Limit))
		if n, _ := c.Read(make([]byte, 1)); n != 0 {
			t.Errorf("%q is answered", begin)
		}
		wire.Await(t, "it is counted", func() bool { return r.server.counters.Headers.Load() == int64(i+1) })
	}
	if n := r.server.connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}

	// A load balancer that only checks whether the port is open causes no fault.
	r.dial().Close()
	c := r.dial()
	c.Raw([]byte("PROXY TCP4"))
	c.CloseWrite()
	c.WantEnd()
	wire.Await(t, "it is counted", func() bool { return len(r.server.proxied.room) == 0 && r.server.counters.Headers.Load() >= 5 })
	if n := r.server.counters.Headers.Load(); n != 5 {
		t.Errorf("%d bad headers, want 5", n)
	}

	hasty := newRig(t, behind("127.0.0.0/8"), func(s *setup) { s.proxyPatience = await.Scaled(20 * time.Millisecond) })
	c = hasty.dial()
	c.Raw([]byte("PROXY TCP4 192."))
	c.WantEnd()
	wire.Await(t, "it is counted", func() bool { return hasty.server.counters.Headers.Load() == 1 })
}

// Connections that do not come from a proxy must have no header. A header anywhere in them ends the
// connection, and is not believed.
func TestHeaderOfOthers(t *testing.T) {
	r := newRig(t, behind("127.0.0.2/32"))
	for i, header := range []string{header1("192.0.2.1:1"), header2("192.0.2.1:1"), local} {
		c := r.dial()
		c.Raw([]byte(header + "version\n"))
		c.WantEnd()
		wire.Await(t, "it is counted", func() bool { return r.server.counters.Headers.Load() == int64(i+1) })
	}
	plain := r.dial()
	plain.Line("version")
	plain.ReadLine()
	// A proxy does not pass on a second header.
	twice := dialFrom(t, "127.0.0.2", r.addrs[0])
	twice.Raw([]byte(header1("192.0.2.1:1") + header1("127.0.0.1:1")))
	twice.WantEnd()
}

// Without networks of proxies PROXY is an unknown text command like any other.
func TestNoProxies(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.Line(strings.TrimSuffix(header1("192.0.2.1:1"), "\r\n"))
	if got := c.ReadLine(); !strings.HasPrefix(got, "ERR unknown_command") {
		t.Errorf("answered with %q", got)
	}
	c.Sync()
}

// Connections that wait for their header keep neither other connections out nor the server from ending.
func TestSilentProxies(t *testing.T) {
	r := newRig(t, behind("127.0.0.2/32"), func(s *setup) { s.proxyPatience = time.Hour })
	for range 20 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		c, err := d.Dial("tcp", r.addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	wire.Await(t, "all are waited for", func() bool { return len(r.server.proxied.room) == 20 })
	r.dial().Sync()
	if n := r.slotsTaken(); n != 1 {
		t.Errorf("%d slots are taken", n)
	}
	r.server.Drain()
	r.wantEnd()
}

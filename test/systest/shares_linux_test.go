package systest

import (
	"net"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// A machine that makes as many connections as it can excludes neither another machine nor a local
// administrator, over TCP or a unix socket. The log says once that connections wait, and once that they no
// longer do.
func TestOneMachineTakesAllConnections(t *testing.T) {
	t.Parallel()
	const most = 64
	here, there := newMachine(t), newMachine(t)
	connect(here, there)
	there.ip("addr add 198.18.0.3/24 dev cable")
	socket := "unix:" + t.TempDir() + "/s"
	p, addrs := here.serve(2, "--max-connections", "64", "--listen", ":0", "--listen", socket)
	_, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("198.18.0.1", port)
	var culprits []net.Conn
	for range 2 * most {
		c, err := there.tryDial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		culprits = append(culprits, c)
	}

	admin := here.dial(net.JoinHostPort("127.0.0.1", port))
	wire.Await(t, "they have their share, and wait for more", func() bool {
		return count(admin, "connection") == "57" && count(admin, "connection waiting") == "72"
	})
	const waits = `msg="few connections are left, and an address has its share: its new ones wait (see --max-connections, and ulimit -n)" address=198.18.0.2`
	wire.Await(t, "it is logged that they wait", func() bool { return strings.Contains(p.stderr.String(), waits) })
	// Another machine gets what is left, and so does the local one; beyond that only administrators get in.
	var others []*wire.Conn
	for i := range 7 {
		var c *wire.Conn
		if i%2 == 0 {
			there.do(func() {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(198, 18, 0, 3)}, Timeout: wire.Limit}
				socket, err := d.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { socket.Close() })
				c = wire.New(t, socket)
			})
		} else {
			c = here.dial(net.JoinHostPort("127.0.0.1", port))
		}
		c.Sync()
		others = append(others, c)
	}
	late := here.dial(net.JoinHostPort("127.0.0.1", port))
	late.Send(codec.EchoReq, "late")
	second := wire.Dial(t, addrs[1])
	if got := second.Table("status"); len(got) != 0 {
		t.Errorf("status is %q", got)
	}
	if n := count(second, "connection"); n != "65" {
		t.Errorf("%s connections", n)
	}
	for _, c := range others {
		c.Sync()
	}
	for _, c := range culprits {
		c.Close()
	}
	late.Want(codec.EchoRes, "late")
	wire.Await(t, "it is logged that none waits any more", func() bool {
		return strings.Contains(p.stderr.String(), `msg="new connections don't wait any more"`)
	})
	if n := count(second, "connection waiting"); n != "0" {
		t.Errorf("%s connections wait", n)
	}
	if log := p.stderr.String(); strings.Count(log, "level=WARN") != 1 {
		t.Errorf("logs %s", log)
	}
}

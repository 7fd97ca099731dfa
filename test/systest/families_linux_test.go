package systest

import (
	"net"
	"testing"

	"gearloop/test/peers"
)

// "All addresses" are those of both families, whichever the machine and its loopback interface have.
func TestAllAddresses(t *testing.T) {
	t.Parallel()
	const v4, v6, far4, far6 = "127.0.0.1", "::1", "198.18.0.1", "2001:db8::1"
	for name, c := range map[string]struct {
		without []string
		reached []string
	}{
		"both":                 {nil, []string{v4, v6, far4, far6}},
		"loopback of IPv6":     {[]string{"addr del 127.0.0.1/8 dev lo"}, []string{v6, far4, far6}},
		"loopback of IPv4":     {[]string{"addr del ::1/128 dev lo"}, []string{v4, far4, far6}},
		"no loopback":          {[]string{"link set lo down"}, []string{far4, far6}},
		"no IPv4 but loopback": {[]string{"addr del 198.18.0.1/24 dev cable"}, []string{v4, v6, far6}},
		"no IPv4":              {[]string{"addr del 198.18.0.1/24 dev cable", "addr del 127.0.0.1/8 dev lo"}, []string{v6, far6}},
		"no IPv6":              {[]string{"-6 addr flush dev cable", "-6 addr flush dev lo"}, []string{v4, far4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := newMachine(t), newMachine(t)
			connect(here, there)
			for _, args := range c.without {
				here.ip(args)
			}
			for _, listen := range [][]string{nil, {"--listen", ":0"}} {
				_, addrs := here.serve(1, append(listen, "--port", "0")...)
				_, port, err := net.SplitHostPort(addrs[0])
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range c.reached {
					from := here
					if a == far4 || a == far6 {
						from = there
					}
					conn := from.dial(net.JoinHostPort(a, port))
					conn.Sync()
					conn.Close()
				}
			}
		})
	}
	// A listener for all addresses beside one for the same port of one family is an error, as before.
	m := newMachine(t)
	_, addrs := m.serve(1, "--listen", "127.0.0.1:0")
	_, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	var p *program
	cmd := command(peers.Binary(t), nil, "serve", "--port", port)
	m.do(func() { p = launch(t, cmd) })
	if r := p.wait(); r.code != 1 {
		t.Errorf("a second server on port %s ends with %d, %s", port, r.code, r.stderr)
	}

}

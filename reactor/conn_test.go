package reactor

import (
	"net/netip"
	"testing"

	"gearloop/admin"
)

// TestOrigin: rights follow from where a connection comes from.
func TestOrigin(t *testing.T) {
	for address, want := range map[string]admin.Origin{
		"": admin.UnixSocket, "127.0.0.1:5": admin.Loopback, "127.1.2.3:5": admin.Loopback, "[::1]:5": admin.Loopback,
		"192.0.2.1:5": admin.Network, "0.0.0.0:5": admin.Network, "[::]:5": admin.Network, "[fe80::1%eth0]:5": admin.Network,
		"128.0.0.1:5": admin.Network, "[::2]:5": admin.Network,
	} {
		c := new(conn)
		if address != "" {
			c.Addr = netip.MustParseAddrPort(address)
		}
		if got := c.origin(); got != want {
			t.Errorf("%q: %d, want %d", address, got, want)
		}
	}
}

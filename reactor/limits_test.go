package reactor

import (
	"path/filepath"
	"testing"

	"gearloop/systest/wire"
)

// Connections wait at one listener although slots are free: acceptors of the other must not hoard them.
func TestSlotsAreSharedByListeners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := newRig(t, func(s *setup) {
		s.MaxConnections = 4
		s.listen = []string{"127.0.0.1:0", "unix:" + path, "127.0.0.1:0"}
	})
	for _, a := range r.addrs {
		c := wire.Dial(t, a)
		c.Sync()
		c.Close()
		r.quiet()
	}
	for range 2 {
		for _, a := range r.addrs[1:] {
			wire.Dial(t, a).Sync()
		}
	}
}

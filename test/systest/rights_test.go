package systest

import (
	"path/filepath"
	"strings"
	"testing"

	"gearloop/test/peers"
	"gearloop/test/wire"
)

// --allow-admin applies to each way to connect, in both dialects.
func TestAllowAdmin(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"perl", "c"} {
		for _, test := range []struct {
			allow          string
			loopback, unix bool
		}{
			{"local", true, true}, {"any", true, true}, {"unix", false, true}, {"none", false, false},
		} {
			t.Run(dialect+" "+test.allow, func(t *testing.T) {
				t.Parallel()
				s := peers.Start(t, peers.Gearloop, "--dialect", dialect, "--allow-admin", test.allow,
					"--listen", "127.0.0.1:0", "--listen", "unix:"+filepath.Join(t.TempDir(), "socket"))
				for i, may := range []bool{test.loopback, test.unix} {
					c := wire.Dial(t, s.Addrs[i])
					for _, line := range []string{"create function f", "maxqueue f 3", "drop function f"} {
						c.Line(line)
						got := c.ReadLine()
						refused := strings.HasPrefix(strings.ToLower(got), "err not_allowed ")
						if refused == may || may && got != "OK" {
							t.Errorf("%s: %q is answered with %q", s.Addrs[i], line, got)
						}
					}
				}
			})
		}
	}
}

package bench

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"gearloop/internal/acl"
	"gearloop/sched"
)

// rightsOf is the rights of a peer that is refused nothing.
type rightsOf struct{ *acl.Peer }

func (rightsOf) Refused(sched.Right, string) {}

// BenchmarkSchedRights is what an access list adds to a job, submitted, grabbed and completed by one
// goroutine: nothing without one, with one for a client that always submits to the same function and for one
// that goes through many.
func BenchmarkSchedRights(b *testing.B) {
	file := filepath.Join(b.TempDir(), "acl")
	const text = `
[clients]
network = 192.0.2.0/24
submit  = mail report_* function_*
[workers]
network = 192.0.2.1
work    = mail function_*
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	list, err := acl.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		functions int
	}{{"same", 1}, {"many", 16}} {
		for _, limited := range []bool{false, true} {
			name := c.name + "/without"
			if limited {
				name = c.name + "/with"
			}
			b.Run(name, func(b *testing.B) {
				s := newSched()
				stations := newStations(s, functionNames(c.functions), 1)
				if limited {
					for _, p := range []*sched.Peer{&stations[0].client, &stations[0].worker} {
						p.Access = sched.NewAccess(rightsOf{list.Peer(acl.Who{Addr: netip.MustParseAddr("192.0.2.1"), User: acl.NoUser})})
					}
				}
				benchmarkJobs(b, stations)
			})
		}
	}
}

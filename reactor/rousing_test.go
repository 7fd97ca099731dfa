package reactor

import (
	"testing"
	"time"

	"gearloop/sched"
	"gearloop/test/await"
	"gearloop/test/collect"
)

// TestRousing: no loop ends while somebody rouses it, because gnet would write to a descriptor that may be
// another file's by then; afterwards operators' calls do nothing.
func TestRousing(t *testing.T) {
	r := newRig(t, watched, loops(2))
	c := r.dial()
	c.Sync()
	peers := []*sched.Peer{collect.Rows(r.sched.WalkPeers())[0].Peer}
	r.server.rousing.RLock()
	r.server.Shutdown()
	await.Until(t, "the server is about to end its loops", func() bool {
		if r.server.ended.Load() {
			t.Fatal("loops end while one is roused")
		}
		if !r.server.rousing.TryRLock() {
			return true
		}
		r.server.rousing.RUnlock()
		return false
	})
	r.server.rousing.RUnlock()
	await.Until(t, "the server has ended", r.server.ended.Load)
	r.server.Disconnect(peers[0])
	r.server.Act(func(_ time.Time, fx *sched.Effects) {})
	if st := r.server.Inspect(peers, time.Hour); st[0] != (ConnStats{}) {
		t.Errorf("after the end: %+v", st[0])
	}
}

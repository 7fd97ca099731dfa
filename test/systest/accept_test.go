package systest

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// A loop that is always busy does not delay new connections. When Go had only as many processors as loops,
// each connection waited for 10 ms, until the scheduler preempted a loop. Other work on the machine may make
// connections slow, but not in each of several attempts.
func TestNewConnectionsBesideBusyLoops(t *testing.T) {
	for _, loops := range []string{"1", "2"} {
		t.Run(loops, func(t *testing.T) {
			s := peers.Start(t, peers.Gearloop, "--loops", loops)
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				for c := wire.Dial(wire.Aside(t), s.Addr); !stop.Load(); {
					c.Send(codec.EchoReq, "busy")
					if _, err := c.Receive(); err != nil {
						t.Error(err)
						return
					}
				}
			}()
			allowed := await.Scaled(7 * time.Millisecond)
			var seen []time.Duration
			for len(seen) < 8 && (len(seen) == 0 || seen[len(seen)-1] > allowed) {
				var took []time.Duration
				for range 200 {
					begun := time.Now()
					c := wire.Dial(t, s.Addr)
					c.Sync()
					took = append(took, time.Since(begun))
					c.Close()
				}
				slices.Sort(took)
				seen = append(seen, took[len(took)/10])
			}
			stop.Store(true)
			<-done
			if seen[len(seen)-1] > allowed {
				t.Errorf("in each attempt nine of ten connections took more than %v: %v", allowed, seen)
			}
		})
	}
}

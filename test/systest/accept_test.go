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
// each connection waited for 10 ms, until the scheduler preempted a loop.
func TestNewConnectionsBesideBusyLoops(t *testing.T) {
	t.Parallel()
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
			var took []time.Duration
			for range 200 {
				begun := time.Now()
				c := wire.Dial(t, s.Addr)
				c.Sync()
				took = append(took, time.Since(begun))
				c.Close()
			}
			stop.Store(true)
			<-done
			// Some may be slow on a machine with other work, but not nine out of ten.
			slices.Sort(took)
			if tenth := took[len(took)/10]; tenth > await.Scaled(7*time.Millisecond) {
				t.Errorf("one of ten took less than %v, half of them %v", tenth, took[len(took)/2])
			}
		})
	}
}

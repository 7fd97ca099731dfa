package reactor

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// Whatever is posted to a loop is found, whether it sleeps, is awake, or is with gnet, which takes in
// connections and closes them meanwhile.
func TestNoWakeUpIsLost(t *testing.T) {
	r := newRig(t, loops(2))
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := wire.Dial(wire.Aside(t), r.addrs[0])
				c.Send(codec.EchoReq, "x")
				if _, err := c.Receive(); err != nil {
					t.Error(err)
					return
				}
				c.Close()
			}
		})
	}
	var posting sync.WaitGroup
	for i := range 4 {
		posting.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for range 2000 {
				for _, l := range r.server.allLoops() {
					done := make(chan struct{})
					l.do(func() { close(done) })
					select {
					case <-done:
					case <-time.After(wire.Limit):
						t.Errorf("a loop does not look at its mail; its state is %d", l.state.Load())
						return
					}
				}
				if rng.IntN(4) == 0 {
					time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
				}
			}
		})
	}
	posting.Wait()
	close(stop)
	others.Wait()
}

// A loop waits by itself: gnet calls it only when it has taken in a connection.
func TestLoopsStay(t *testing.T) {
	r := newRig(t, loops(1))
	l := r.server.allLoops()[0]
	client, worker := r.dial(), r.worker("f")
	client.Sync()
	for range 100 {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		worker.Send(codec.WorkComplete, h, "y")
		client.Want(codec.WorkComplete, h, "y")
	}
	wire.Await(t, "it sleeps", func() bool { return l.state.Load() == asleep })
	for range 100 {
		client.Sync()
		if l.state.Load() == inGnet {
			t.Fatal("it has gone back to gnet")
		}
	}
	// It comes back after each connection, and after one has ended in either way.
	for i := range 20 {
		c := r.dial()
		c.Sync()
		if i%2 == 0 {
			c.Close()
		} else {
			c.Reset()
		}
		// The first packet may still find it with gnet.
		wire.Await(t, "it sleeps again", func() bool { client.Sync(); return l.state.Load() == asleep })
	}
}

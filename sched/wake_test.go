package sched

import (
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/payload"
)

// TestSleepBesideJoin has a worker wake up and go to sleep over and over while submissions join a
// job that runs: each wakes, though nothing is queued. Whatever the moment, a worker that sleeps must
// stand among the sleepers.
func TestSleepBesideJoin(t *testing.T) {
	r := newRig(t, perl())
	client, busy := r.connect(), r.worker("f")
	r.do(client, codec.SubmitJob, "f", "u", "x")
	r.do(busy, codec.GrabJob)
	sleeper := r.worker("f")

	var wg sync.WaitGroup
	wg.Go(func() {
		var fx Effects
		for range 200_000 {
			r.s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte("f\x00u\x00x")), r.now, &fx)
			fx.Reset()
		}
	})
	wg.Go(func() {
		var fx Effects
		for range 200_000 {
			r.s.Handle(sleeper, codec.PreSleep, payload.View{}, r.now, &fx)
			a := sleeper.abilities[0]
			a.fn.shard.mu.Lock()
			lost := sleeper.state.Load() == sleeping && !a.listed.Load()
			a.fn.shard.mu.Unlock()
			if lost {
				t.Error("a worker sleeps and is not among the sleepers")
				return
			}
			fx.Reset()
		}
	})
	wg.Wait()
	r.check()
}

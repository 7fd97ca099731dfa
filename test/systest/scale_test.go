package systest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// TestManySleepers connects 15,000 sleeping workers of 1,000 functions and submits a job for each: every
// worker gets exactly one, and is woken exactly once.
func TestManySleepers(t *testing.T) {
	const workers, functions, hands = 15000, 1000, 8
	s := peers.Start(t, peers.Gearloop)
	empty := memory(t, s.PID, "VmRSS")
	began := time.Now()
	all := make([]*wire.Conn, workers)
	name := func(i int) string { return fmt.Sprintf("f%d", i%functions) }
	each(t, hands, workers, func(i int) {
		w := wire.Dial(wire.Aside(t), s.Addr)
		w.Send(codec.CanDo, name(i))
		w.Send(codec.PreSleep)
		all[i] = w
	})
	each(t, hands, workers, func(i int) { all[i].Sync() })
	t.Logf("connected and asleep after %v, %.2f KiB of server memory each", time.Since(began),
		float64(memory(t, s.PID, "VmRSS")-empty)/workers/1024)

	client := wire.Dial(t, s.Addr)
	began = time.Now()
	handles := map[string]bool{}
	for i := range workers {
		handles[client.Submit(codec.SubmitJob, name(i), "", "argument")] = true
	}
	var mu sync.Mutex
	done := map[string]bool{}
	each(t, hands, workers, func(i int) {
		all[i].Want(codec.Noop)
		handle, _ := all[i].Grab()
		all[i].Send(codec.WorkComplete, handle, "result")
		mu.Lock()
		defer mu.Unlock()
		if done[handle] {
			t.Errorf("%s was handed out twice", handle)
		}
		done[handle] = true
	})
	for range workers {
		p := client.WantType(codec.WorkComplete)
		delete(handles, p.Args(2)[0])
	}
	each(t, hands, workers, func(i int) { all[i].Sync() })
	t.Logf("every worker got its job and did it in %v", time.Since(began))
	if len(handles) > 0 || len(done) != workers {
		t.Errorf("%d jobs were not done, %d were handed out", len(handles), len(done))
	}
}

package systest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// TestStorm has workers connect at once, leave at once and connect again, and others declare thousands of
// functions, while a client and a worker go on with their jobs: each job is done once, nobody is refused, and
// afterwards nobody and nothing is left of them in the tables.
func TestStorm(t *testing.T) {
	const workers, declarers, functions, hands = 300, 10, 200, 8
	eachDialect(t, func(t *testing.T, s *peers.Server, dialect string) {
		t.Parallel()
		var flow sync.WaitGroup
		stop := make(chan struct{})
		defer func() { close(stop); flow.Wait() }()
		client, worker, looker := wire.Dial(wire.Aside(t), s.Addr), wire.Dial(wire.Aside(t), s.Addr), wire.Dial(t, s.Addr)
		worker.Send(codec.CanDo, "flow")
		worker.Sync()
		flow.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				argument := fmt.Sprint(i)
				handle := client.Submit(codec.SubmitJob, "flow", "", argument)
				if h, a := worker.Grab(); h != handle || a != argument {
					t.Errorf("job %d: got %s with %q, want %s", i, h, a, handle)
					return
				}
				worker.Send(codec.WorkComplete, handle, argument)
				client.Want(codec.WorkComplete, handle, argument)
			}
		})
		// What one sees of others than the three above.
		others := func() (connections, abilities int) {
			connections = len(looker.Table("workers")) - 3
			for _, row := range looker.Table("status") {
				columns := strings.Split(row, "\t")
				if columns[0] != "flow" && columns[len(columns)-1] != "0" {
					abilities++
				}
			}
			return connections, abilities
		}
		storm := func(n int, hello func(w *wire.Conn, i int)) {
			all := make([]*wire.Conn, n)
			each(t, hands, n, func(i int) {
				all[i] = wire.Dial(wire.Aside(t), s.Addr)
				hello(all[i], i)
			})
			each(t, hands, n, func(i int) { all[i].Sync() })
			if connections, _ := others(); connections != n {
				t.Errorf("%d of %d are connected", connections, n)
			}
			each(t, hands, n, func(i int) { all[i].Close() })
		}
		for range 2 {
			storm(workers, func(w *wire.Conn, _ int) {
				w.Send(codec.CanDo, "storm")
				w.Send(codec.PreSleep)
			})
			wire.Await(t, "the crowd is gone", func() bool {
				connections, abilities := others()
				return connections == 0 && abilities == 0
			})
		}
		storm(declarers, func(w *wire.Conn, i int) {
			for k := range functions {
				w.Send(codec.CanDo, fmt.Sprintf("f%d_%d", i, k))
			}
			w.Sync()
			if i == 0 {
				w.Send(codec.CanDo, "f0_0") // once more changes nothing
			}
		})
		wire.Await(t, "the functions have no workers", func() bool {
			connections, abilities := others()
			return connections == 0 && abilities == 0
		})
		// The dialect c keeps the names of functions, as gearmand does.
		if rows := len(looker.Table("status")); dialect == "perl" && rows != 1 {
			t.Errorf("%d functions are left", rows)
		}
	})
}

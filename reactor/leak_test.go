package reactor

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"gearloop/sched"
	"gearloop/test/wire"
)

// A thousand connections come, get into every possible state, and end in every way; nothing of them is left.
// This happens twice, to tell what is kept for reuse from what leaks.
func TestNothingLeaks(t *testing.T) {
	const most = 1000
	r := newRig(t, loops(2), func(s *setup) { s.MaxConnections = most })
	names := slices.Sorted(maps.Keys(states))
	ways := slices.Sorted(maps.Keys(endings))
	descriptors := openDescriptors(t)
	goroutines := 0
	for round := range 2 {
		all := make([]*wire.Conn, most)
		enter := func(last bool) {
			var entering sync.WaitGroup
			for k := range 8 {
				entering.Go(func() {
					for i := k; i < most; i += 8 {
						name := names[i%len(names)]
						if name == "blocked output" && i > most/8 {
							name = "sleeping worker" // each takes megabytes with its socket
						}
						if (name == "told of its fault") == last {
							all[i] = states[name](r, i)
						}
					}
				})
			}
			entering.Wait()
		}
		enter(false)
		enter(true) // the server does not wait long for them to disconnect
		if t.Failed() {
			return
		}
		wire.Await(t, "all are there", func() bool {
			return r.server.connections.Load() == most && r.sched.Count().Peers == most
		})
		n := r.sched.Count()
		if n.Sleepers < most/10 || n.Running < most/10 || n.Queued < most/20 || r.server.clock.count() == 0 {
			t.Errorf("states are missing: %+v", n)
		}
		var leaving sync.WaitGroup
		for k := range 8 {
			leaving.Go(func() {
				for i := k; i < most; i += 8 {
					endings[ways[(i/len(names)+i)%len(ways)]](all[i])
				}
			})
		}
		leaving.Wait()
		// The jobs of clients that did not wait for them still exist. A connection counts as closed before the
		// scheduler has forgotten all of its peer.
		wire.Await(t, "all are gone", func() bool {
			n := r.sched.Count()
			return n.Peers+n.Sleepers+n.Running+n.Abilities == 0 &&
				r.server.connections.Load() == 0 && r.server.halfClosed.count() == 0
		})
		r.endQueued("queued")
		r.quiet()
		if n := r.sched.Count(); n != (sched.Counts{}) {
			t.Errorf("round %d: left: %+v", round, n)
		}
		noPayload(t)
		wire.Await(t, "all descriptors are closed", func() bool { return openDescriptors(t) <= descriptors })
		wire.Await(t, "no slot is taken", func() bool { return r.slotsTaken() == 0 })
		if n := r.blocked(); n != 0 {
			t.Errorf("round %d: %d connections are waited for", round, n)
		}
		if round == 0 {
			goroutines = runtime.NumGoroutine()
		}
		wire.Await(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	}
	// As many connections as allowed are served again.
	for range most {
		r.dial().Sync()
	}
}

// The command "gladiator all" shows every kind of object, and none that is left.
func TestGladiatorShowsNoLeak(t *testing.T) {
	r := newRig(t)
	for n, enter := range slices.Collect(maps.Values(states)) {
		enter(r, n).Close()
	}
	r.endQueued("queued")
	r.quiet()
	c := r.dial()
	for _, line := range c.Table("gladiator all") {
		count, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "fault: bad magic") {
			continue // one of the states is that of a faulty peer
		}
		want := "0"
		if name == "connection" || name == "peer" {
			want = "1" // who asks
		}
		if count != want {
			t.Errorf("%q, want %s", line, want)
		}
	}
	if lines := c.Table("gladiator"); len(lines) != 0 {
		t.Errorf("without \"all\" it tells of single objects: %q", lines)
	}
}

package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// sleeper is a worker that sleeps until somebody's submission wakes it. Whoever woke it does its
// work; the lock keeps the next one off until it sleeps again.
type sleeper struct {
	mu   sync.Mutex
	peer sched.Peer
}

// BenchmarkSchedSleepers is one background job with all that it stirs up: it is submitted, wakes
// three of the workers that sleep, one of them does it, and all of them go back to sleep. Each worker
// can do one function. With no sleepers a worker that is awake does the job. noops/job tells how
// many were woken.
func BenchmarkSchedSleepers(b *testing.B) {
	for _, functions := range []int{1, 64} {
		for _, sleepers := range []int{0, 256, 100_000} {
			b.Run(fmt.Sprintf("functions=%d/sleepers=%d", functions, sleepers), func(b *testing.B) {
				s := newSched()
				names := functionNames(functions)
				bed := newStation(s, nil)
				for i := range sleepers {
					w := &sleeper{}
					w.peer.User = w
					s.Connect(&w.peer)
					bed.handle(&w.peer, codec.CanDo, []byte(names[i%functions]))
					bed.handle(&w.peer, codec.PreSleep, nil)
				}
				for _, goroutines := range []int{1, 16} {
					b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
						if sleepers == 0 {
							benchmarkJobs(b, newStations(s, names, goroutines))
						} else {
							benchmarkWaking(b, s, names, goroutines)
						}
					})
				}
				if queued, running := s.Outstanding(); queued != 0 || running != 0 {
					b.Errorf("%d jobs queued and %d running at the end", queued, running)
				}
				if c := s.Count(); c.Sleepers != sleepers {
					b.Errorf("%d workers asleep at the end", c.Sleepers)
				}
			})
		}
	}
}

func benchmarkWaking(b *testing.B, s *sched.Sched, functions []string, goroutines int) {
	stations := make([]*station, goroutines)
	for i := range stations {
		stations[i] = newStation(s, nil)
		for _, name := range functions {
			stations[i].submit = append(stations[i].submit, submission(name, ""))
		}
	}
	var noops atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	end := cpuPerOp(b)
	share(b.N, goroutines, func(g, jobs int) {
		st, woken := stations[g], []*sleeper(nil)
		total := 0
		for i := range jobs {
			st.handleAndWake(&st.client, codec.SubmitJobBg, st.submit[(g+i)%len(st.submit)], &woken)
			for len(woken) > 0 {
				w := woken[len(woken)-1]
				woken = woken[:len(woken)-1]
				total++
				w.mu.Lock()
				for st.work(&w.peer) {
				}
				st.handleAndWake(&w.peer, codec.PreSleep, nil, &woken)
				w.mu.Unlock()
			}
		}
		noops.Add(int64(total))
	})
	b.StopTimer()
	end()
	b.ReportMetric(float64(noops.Load())/float64(b.N), "noops/job")
	for _, st := range stations {
		st.leave()
	}
}

// handleAndWake is handle for calls that wake workers, which it adds to woken.
func (st *station) handleAndWake(p *sched.Peer, t codec.Type, data []byte, woken *[]*sleeper) {
	st.sched.Handle(p, t, payload.Borrow(data), st.now, &st.fx)
	for i := range st.fx.Packets {
		if to := &st.fx.Packets[i]; to.Type == codec.Noop {
			*woken = append(*woken, to.To.User.(*sleeper))
		}
	}
	st.carry()
}

package reactor

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
)

// crowd is many workers that sleep, spread over functions and loops in turn.
type crowd struct {
	sim       *simulation
	workers   []simConn
	functions int
	names     [][]byte // CAN_DO and PRE_SLEEP for each function
	submit    [][]byte // SUBMIT_JOB_BG for each
	sinks     []sink   // what is written to workers, by function
}

// maxSinks bounds the descriptors that a crowd uses.
const maxSinks = 1000

func newCrowd(sim *simulation, workers, functions int) *crowd {
	c := &crowd{sim: sim, workers: make([]simConn, workers), functions: functions}
	for i := range functions {
		name := fmt.Sprintf("function_%d", i)
		enter := codec.AppendRequest(nil, codec.CanDo, name)
		c.names = append(c.names, codec.AppendRequest(enter, codec.PreSleep))
		c.submit = append(c.submit, codec.AppendRequest(nil, codec.SubmitJobBg, name, "", strings.Repeat("x", 64)))
	}
	c.sinks = newSinks(sim.tb, min(functions, maxSinks))
	return c
}

// sink returns the descriptor that gets the output for the workers of a function.
func (c *crowd) sink(function int) *sink { return &c.sinks[function%len(c.sinks)] }

// each calls f for every worker, on its loop, all loops at once.
func (c *crowd) each(f func(i int, w *simConn)) time.Duration {
	began := time.Now()
	for n, l := range c.sim.loops {
		l.do(func() {
			for i := n; i < len(c.workers); i += len(c.sim.loops) {
				f(i, &c.workers[i])
			}
		})
	}
	c.sim.quiesce()
	return time.Since(began)
}

// connect connects all workers. Their descriptors are invented and distinct.
func (c *crowd) connect() time.Duration {
	return c.each(func(i int, w *simConn) {
		w.loop, w.fd = c.sim.loops[i%len(c.sim.loops)], 100_000+i
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		w.open(c.sim, netip.AddrPortFrom(ip, 40_000))
	})
}

// enter makes all workers register their functions and go to sleep.
func (c *crowd) enter() time.Duration {
	return c.each(func(i int, w *simConn) { w.receive(c.names[i%c.functions]) })
}

// hear directs the output for workers to the sinks.
func (c *crowd) hear() {
	c.sim.quiesce() // a loop that has sent the NOOPs has done so
	c.each(func(i int, w *simConn) { w.own.FD = c.sink(i % c.functions).write })
}

// wake submits jobs, for the functions in turn, and returns the time until all NOOPs were written. Only
// workers of these functions may get one, and for each job as many as must be woken.
func (c *crowd) wake(client *simConn, jobs, wakeup int) time.Duration {
	c.sim.tb.Helper()
	want := map[*sink]int{}
	began := time.Now()
	for i := range jobs {
		client.loop.do(func() { client.receive(c.submit[i%c.functions]) })
	}
	c.sim.quiesce()
	took := time.Since(began)
	for i := range jobs {
		want[c.sink(i%c.functions)] += wakeup
	}
	for i := range c.sinks {
		if got := c.sinks[i].noops(c.sim.tb); got != want[&c.sinks[i]] {
			c.sim.tb.Errorf("workers of function %d got %d NOOPs, want %d", i, got, want[&c.sinks[i]])
		}
	}
	return took
}

// disturbed calls f. It returns the longest time that a job on another loop took meanwhile, from its
// submission until it was handed out. The functions cover all shards, in turn.
func (sim *simulation) disturbed(loop int, f func()) time.Duration {
	client, worker := sim.connect(loop, sim.null), sim.connect(loop, sim.null)
	var submit [][]byte
	for i := range 200 {
		name := fmt.Sprintf("other_%d", i)
		submit = append(submit, codec.AppendRequest(nil, codec.SubmitJobBg, name, "", "x"))
		sim.loops[loop].do(func() { worker.receive(codec.AppendRequest(nil, codec.CanDo, name)) })
	}
	sim.loops[loop].wait()
	grab := codec.AppendRequest(nil, codec.GrabJob)
	var over atomic.Bool
	longest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for i := 0; !over.Load(); i++ {
			began := time.Now()
			sim.loops[loop].do(func() {
				client.receive(submit[i%len(submit)])
				worker.receive(grab)
			})
			sim.loops[loop].wait()
			most = max(most, time.Since(began))
			time.Sleep(200 * time.Microsecond)
		}
		longest <- most
	}()
	f()
	over.Store(true)
	most := <-longest
	for _, c := range []*simConn{worker, client} {
		sim.loops[loop].do(func() { sim.server.closed(c, nil) })
	}
	sim.quiesce()
	return most
}

// A thousand workers sleep. The right ones are woken, and text commands show all of them.
func TestSimulatedCrowd(t *testing.T) {
	for _, functions := range []int{1, 20, 500} {
		t.Run(fmt.Sprintf("functions=%d", functions), func(t *testing.T) {
			const workers, jobs = 1000, 40
			sim := newSimulation(t, 2, sched.Config{Wakeup: 2, WakeupDelay: -1})
			c := newCrowd(sim, workers, functions)
			c.connect()
			c.enter()
			if n := sim.sched.Count(); n.Peers != workers || n.Sleepers != workers || n.Functions != functions {
				t.Fatalf("%+v", n)
			}
			admin := sim.console(0)
			for command, want := range map[string]int{"workers": workers + 1, "status": functions, "prioritystatus": functions, "jobs": 0} {
				if lines, _ := admin.ask(t, command); lines != want {
					t.Errorf("%s has %d lines, want %d", command, lines, want)
				}
			}
			c.hear()
			c.wake(sim.connect(1, sim.null), jobs, 2)
			sim.disturbed(1, func() {
				if lines, _ := admin.ask(t, "status"); lines < functions {
					t.Errorf("status has %d lines", lines)
				}
			})
			if n := sim.sched.Count(); n.Sleepers != workers-2*jobs || n.Queued != jobs {
				t.Errorf("%+v", n)
			}
		})
	}
}

// BenchmarkMillion has a million connections of workers that sleep, without sockets. Per connection: ns to
// connect, ns to declare a function and go to sleep, bytes of the heap (gnet's share is not in it, see
// bench/scale). µs of a job's submission, until three workers are woken. For text commands: how long each
// takes, how long it keeps its loop from everything else at a time (stall), and the longest that a job on the
// other loop took meanwhile (job). Run it once:
//
//	go test ./reactor -run '^$' -bench Million -benchtime 1x -timeout 10m
func BenchmarkMillion(b *testing.B) {
	const workers = 1_000_000
	for _, functions := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("functions=%d", functions), func(b *testing.B) {
			for range b.N {
				sim := newSimulation(b, 2, sched.Config{Wakeup: 3, WakeupDelay: -1})
				c := newCrowd(sim, workers, functions)
				before := liveHeap()
				b.ReportMetric(float64(c.connect().Nanoseconds())/workers, "connect-ns")
				connected := liveHeap()
				b.ReportMetric(float64(c.enter().Nanoseconds())/workers, "sleep-ns")
				asleep := liveHeap()
				b.ReportMetric((connected-before)/workers, "B/conn")
				b.ReportMetric((asleep-before)/workers, "B/worker")
				began := time.Now()
				runtime.GC()
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "gc-ms")
				admin := sim.console(0)
				for _, command := range []struct {
					text  string
					lines int
				}{{"status", functions}, {"prioritystatus", functions}, {"workers", workers + 1}} {
					sim.measure(b, admin, command.text, command.lines)
				}
				c.hear()
				client := sim.connect(1, sim.null)
				const jobs = 1000
				b.ReportMetric(float64(c.wake(client, jobs, 3).Microseconds())/jobs, "wake-µs/job")
				runtime.KeepAlive(c)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("woken=all", func(b *testing.B) {
		for range b.N {
			sim := newSimulation(b, 2, sched.Config{Wakeup: -1, WakeupDelay: -1})
			c := newCrowd(sim, workers, 1)
			c.connect()
			c.enter()
			c.each(func(_ int, w *simConn) { w.own.FD = sim.null })
			client := sim.connect(1, sim.null)
			for _, l := range sim.loops {
				l.resetLongest()
			}
			began := time.Now()
			client.loop.do(func() { client.receive(c.submit[0]) })
			sim.quiesce()
			b.ReportMetric(float64(time.Since(began).Milliseconds()), "wake-ms/job")
			b.ReportMetric(float64(max(sim.loops[0].resetLongest(), sim.loops[1].resetLongest()).Milliseconds()), "stall-ms")
			if n := sim.sched.Count(); n.Sleepers != 0 {
				b.Errorf("%d still sleep", n.Sleepers)
			}
		}
		b.ReportMetric(0, "ns/op")
	})
	b.Run("jobs", func(b *testing.B) {
		for range b.N {
			const functions = 1000
			sim := newSimulation(b, 2, sched.Config{Wakeup: 3, WakeupDelay: -1})
			c := newCrowd(sim, 0, functions)
			client := sim.connect(1, sim.null)
			client.loop.do(func() {
				for i := range workers {
					client.receive(c.submit[i%functions])
				}
			})
			sim.quiesce()
			admin := sim.console(0)
			sim.measure(b, admin, "status", functions)
			sim.measure(b, admin, "prioritystatus", functions)
			sim.measure(b, admin, "jobs", workers)
		}
		b.ReportMetric(0, "ns/op")
	})
}

// measure sends a text command while jobs are done on the other loop.
func (sim *simulation) measure(b *testing.B, admin *console, command string, lines int) {
	b.Helper()
	runtime.GC()
	var took time.Duration
	sim.loops[0].resetLongest()
	waited := sim.disturbed(1, func() {
		var n int
		if n, took = admin.ask(b, command); n < lines {
			b.Errorf("%s has %d lines, want %d", command, n, lines)
		}
	})
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	b.ReportMetric(ms(took), command+"-ms")
	b.ReportMetric(ms(sim.loops[0].resetLongest()), command+"-stall-ms")
	b.ReportMetric(ms(waited), command+"-job-ms")
}

// liveHeap returns the bytes of all live objects.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

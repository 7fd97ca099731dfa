package reactor

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// lodgers makes a server with loops of which one runs by itself.
func lodgers(n int) func(*setup) { return func(s *setup) { s.Loops, s.MinLoops = n, 1 } }

// eachWay calls a test with guests that bring their sockets along, that bring some, or none.
func eachWay(t *testing.T, f func(t *testing.T, way func(*setup))) {
	for name, n := range map[string]int{"all sockets": broughtConns, "some sockets": 2, "no sockets": 0} {
		t.Run(name, func(t *testing.T) { f(t, func(s *setup) { s.guestsBring = n }) })
	}
}

// The store is told about jobs that came to a guest, too.
func TestHurryOfGuests(t *testing.T) {
	eachWay(t, func(t *testing.T, way func(*setup)) {
		d := &slowDisk{}
		r := newRig(t, lodgers(4), way, withDisk(d))
		peers := []*wire.Conn{r.dial(), r.dial(), r.dial(), r.dial()}
		r.calm(peers...)
		r.hurriesOnce(d, peers...)
	})
}

// calm waits until all loops but one lodge. Their connections must be used: a loop lodges between two turns.
func (r *rig) calm(peers ...*wire.Conn) {
	r.tb.Helper()
	r.server.layout.judged.Store(math.MaxInt64 / 2) // however busy they are
	r.server.layout.set(1)
	wire.Await(r.tb, "all loops but one lodge", func() bool {
		for _, c := range peers {
			c.Sync()
		}
		all := r.server.allLoops()
		return len(all[0].lodgers()) == len(all)-1 // layout.lodgers also counts those that wait for their host's welcome
	})
}

// restless changes all the time how many loops run, until the returned function is called or the server ends.
func (r *rig) restless() (stop func()) {
	end := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Duration(rng.IntN(500)) * time.Microsecond):
				y := &r.server.layout
				if n := y.running.Load(); n != 0 && y.running.CompareAndSwap(n, 1+rng.Int32N(int32(len(y.worked)))) {
					y.tell()
				}
			}
		}
	})
	return func() { close(end); ended.Wait() }
}

// Loops that need not run lodge with the one that does. Jobs, connections that come and go, large packets and
// text commands take their way as if they ran.
func TestLodging(t *testing.T) { eachWay(t, testLodging) }

func testLodging(t *testing.T, way func(*setup)) {
	r := newRig(t, lodgers(3), way)
	var peers []*wire.Conn
	for range 9 {
		peers = append(peers, r.dial())
	}
	r.calm(peers...)
	for i, l := range r.server.allLoops() {
		if runs := l.state.Load() != lodged; runs != (i == 0) {
			t.Errorf("loop %d runs: %v", i, runs)
		}
	}
	for i, w := range peers {
		client := peers[(i+4)%len(peers)]
		f := fmt.Sprint("f", i)
		w.Send(codec.CanDo, f)
		w.Send(codec.PreSleep)
		w.Sync()
		h := client.Submit(codec.SubmitJob, f, "", string(make([]byte, i<<17)))
		w.Want(codec.Noop)
		w.Grab()
		w.Send(codec.WorkComplete, h, "y")
		client.Want(codec.WorkComplete, h, "y")
		client.Line("version")
		if got := client.ReadLine(); got != "v1.2.3" && got != "OK v1.2.3" {
			t.Errorf("version: %q", got)
		}
	}
	for range 12 {
		c := r.dial()
		c.Sync()
		c.Close()
	}
	r.calm(peers...)
	for _, c := range peers {
		c.Close()
	}
	r.quiet()
}

// What fails in a guest's turn does not end its host's, and the rest is done.
func TestGuestFails(t *testing.T) {
	r := newRig(t, lodgers(2), func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
	peers, all := r.apart()
	r.calm(peers[:]...)
	guest, done := all[1], make(chan struct{})
	on(all[0], func() {
		guest.do(func() { panic("a fault") })
		guest.do(func() { close(done) })
	})
	select {
	case <-done:
	case <-time.After(wire.Limit):
		t.Error("the rest of the mail is not handled")
	}
	for _, c := range peers {
		c.Sync()
	}
	if n := r.server.counters.Panics.Swap(0); n != 1 {
		t.Errorf("%d internal faults", n)
	}
}

// thirdLodges makes the third of three loops lodge with the first, and returns it.
func (r *rig) thirdLodges() *loop {
	for range 3 {
		r.dial().Sync()
	}
	r.server.layout.judged.Store(math.MaxInt64 / 2)
	r.server.layout.set(2)
	third := r.server.allLoops()[2]
	wire.Await(r.tb, "it lodges", func() bool { on(third, func() {}); return third.state.Load() == lodged })
	return third
}

// A loop handles the mail of another one's guest while both sleep.
func TestStandInForGuest(t *testing.T) {
	r := newRig(t, loops(3))
	all := r.server.allLoops()
	third := r.thirdLodges()
	if third.host.Load() != all[0] {
		t.Fatal("it lodges elsewhere")
	}
	stoodIn := func() (n uint64) { on(third, func() { n = third.stats.StoodIn }); return n }
	before := stoodIn()
	wire.Await(t, "somebody stands in", func() bool {
		done := make(chan struct{})
		on(all[1], func() {
			all[1].postTo(third, func() { close(done) })
		})
		<-done
		return stoodIn() > before
	})
}

// A host that falls asleep while the layout changes is not called: it sees the change itself, after it has said that
// it sleeps.
func TestLayoutChangesWhileHostFallsAsleep(t *testing.T) {
	r := newRig(t, lodgers(2))
	peers, all := r.apart()
	r.calm(peers[:]...)
	y := &r.server.layout
	on(all[0], func() {
		if all[0].isWanted() {
			t.Error("it is wanted for nothing")
		}
		y.running.Store(2) // nobody is told
		if !all[0].isWanted() {
			t.Error("it does not see that its guest must go home")
		}
	})
	wire.Await(t, "the guest is at home", func() bool { return y.lodgers.Load() == 0 })
}

// Jobs keep their order, and none is lost, while loops come and go.
func TestOrderWhileLoopsComeAndGo(t *testing.T) {
	eachWay(t, func(t *testing.T, way func(*setup)) {
		r := newRig(t, lodgers(4), way)
		stop := r.restless()
		orderAcrossLoops(t, r)
		stop()
	})
}

// A server ends while loops lodge, and while they move.
func TestEndWhileLodging(t *testing.T) { eachWay(t, testEndWhileLodging) }

func testEndWhileLodging(t *testing.T, way func(*setup)) {
	for _, moves := range []bool{false, true} {
		r := newRig(t, lodgers(4), way)
		stop := func() {}
		if moves {
			stop = r.restless()
		}
		var peers []*wire.Conn
		for range 8 {
			peers = append(peers, r.dial())
			peers[len(peers)-1].Sync()
		}
		if !moves {
			r.calm(peers...)
		}
		stop()
		r.server.Shutdown()
		r.wantEnd()
		for _, c := range peers {
			c.WantEnd()
		}
	}
}

func TestLayoutDecides(t *testing.T) {
	many, none := 8.0, 0.1
	for _, c := range []struct {
		name    string
		running int
		usage
		least, want int
	}{
		{"nothing to do", 4, usage{0, 0, many}, 1, 1},
		{"nothing to do, two are to run", 4, usage{0, 0, many}, 2, 2},
		{"half of a loop", 1, usage{0.5, 0.5, many}, 1, 1},
		{"a full loop", 1, usage{0.9, 0.9, many}, 1, 2},
		{"a full loop, no processor is left", 1, usage{0.9, 0.9, none}, 1, 1},
		{"a full loop, the machine is not known yet", 1, usage{0.9, 0.9, math.NaN()}, 1, 1},
		{"a full loop, the machine is not known at all", 1, usage{0.9, 0.9, math.Inf(1)}, 1, 2},
		{"a long turn was timed by chance", 1, usage{1, 0.1, many}, 1, 1},
		{"three full loops", 3, usage{1, 3, many}, 1, 5},
		{"all loops are full", 8, usage{1, 8, many}, 1, 8},
		{"one of two is full", 2, usage{0.9, 1, many}, 1, 3},
		{"one of many is full, the others do nothing", 8, usage{0.95, 1, many}, 1, 8},
		{"many with a little", 8, usage{0.3, 1.6, many}, 1, 4},
		{"two as they should be", 2, usage{0.6, 1.1, many}, 1, 2},
		{"two that wait for a processor", 2, usage{0.95, 0.9, none}, 1, 1},
		{"two that need two", 2, usage{0.95, 1.5, none}, 1, 2},
	} {
		if got := c.usage.loops(c.running, c.least, 8); got != c.want {
			t.Errorf("%s: %d loops run, want %d", c.name, got, c.want)
		}
	}
	// What it decides for a load, it does not take back when loops take a third more for it, or less.
	for running := 1; running < 32; running++ {
		for _, load := range []float64{0.71, 0.8, 0.9, 0.99} {
			u := usage{load, load * float64(running), 64}
			n := u.loops(running, 1, 32)
			for _, dearer := range []float64{1, 1.33} {
				after := usage{dearer * u.load / float64(n), dearer * u.load, 64}
				if m := after.loops(n, 1, 32); m < n {
					t.Errorf("%d loops with a load of %.2f: %d, and then %d", running, u.load, n, m)
				}
			}
		}
	}
}

func TestIdleTicks(t *testing.T) {
	for _, c := range []struct {
		stat string
		want uint64
		ok   bool
	}{
		{"cpu  10 2 30 400 50 0 7 0 0 0\ncpu0 1 2", 450, true},
		{"cpu  10 2 30 400 50\n", 450, true},
		{"cpu  10 2 30 400\n", 0, false},
		{"cpu  10 2 30 x 50\n", 0, false},
		{"cpu  10 2 30 400 50", 0, false},
		{"intr 10 2 30 400 50\n", 0, false},
		{"", 0, false},
	} {
		if got, ok := idleTicks([]byte(c.stat)); got != c.want || ok != c.ok {
			t.Errorf("%q: %d, %v", c.stat, got, ok)
		}
	}
	var w idleTime
	now := time.Now()
	if got := w.since(now, time.Second); !math.IsNaN(got) {
		t.Errorf("at first: %v", got)
	}
	w.ticks += 1 << 40
	if now = now.Add(time.Second); w.since(now, time.Second) != 0 {
		t.Error("processors were idle by less than nothing")
	}
	if got := w.since(now.Add(time.Second), time.Second); !(got >= 0) || slices.Contains([]float64{math.Inf(1)}, got) {
		t.Errorf("later: %v", got)
	}
}

// The least quota of the groups above a process counts, of either version of control groups.
func TestQuota(t *testing.T) {
	for _, c := range []struct {
		groups string
		files  map[string]string
		want   float64
	}{
		{"0::/\n", nil, math.Inf(1)},
		{"0::/\n", map[string]string{"cpu.max": "max 100000\n"}, math.Inf(1)},
		{"0::/\n", map[string]string{"cpu.max": "150000 100000\n"}, 1.5},
		{"0::/a/b\n", map[string]string{"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n",
			"cpu.max": "nonsense"}, 0.5},
		{"0::/../x\n", map[string]string{"cpu.max": "200000 100000\n"}, 2},
		{"9:name=systemd:/\n2:cpu,cpuacct:/d/e\n0::/\n", map[string]string{"cpu/cpu.cfs_quota_us": "300000\n",
			"cpu/cpu.cfs_period_us": "100000\n"}, 3},
		{"1:cpu:/\n", map[string]string{"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.Inf(1)},
		{"3:cpuset:/\n", map[string]string{"cpu/cpu.cfs_quota_us": "1\n",
			"cpu/cpu.cfs_period_us": "100000\n"}, math.Inf(1)},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		q := quota{sought: true, files: quotaFiles(c.groups, root)}
		if got := q.processors(); got != c.want {
			t.Errorf("%q with %q: %v processors, want %v", c.groups, c.files, got, c.want)
		}
	}
}

package sched

import (
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/test/sample"
)

var (
	simRuns = flag.Int("sim.runs", 0, "how many interleavings TestSimulation goes through; 0: as many as are quick")
	simSeed = flag.Uint64("sim.seed", 0, "the one interleaving that TestSimulation goes through, with all its calls on stderr")
)

// TestSimulation runs clients and workers on a scheduler, stops each of them between any two steps of its
// calls to run others, and compares everything with the model. A seed determines an interleaving; replay it
// with
//
//	go test ./sched -run TestSimulation -sim.seed=N
func TestSimulation(t *testing.T) {
	before, _ := payload.InUse()
	if *simSeed > 0 {
		if err := simulate(*simSeed, true); err != nil {
			t.Fatal(err)
		}
		return
	}
	runs := *simRuns
	if runs == 0 {
		runs = sample.Of(800, 100)
	}
	for seed := uint64(1); seed <= uint64(runs); seed++ {
		if err := simulate(seed, false); err != nil {
			t.Fatalf("seed %d: %v\nreplay: go test ./sched -run TestSimulation -sim.seed=%d", seed, err, seed)
		}
	}
	if after, _ := payload.InUse(); after != before {
		t.Errorf("%d payloads were not released", after-before)
	}
}

// sim is one run: actors, of which one runs at a time, and a clock.
type sim struct {
	rng      *rand.Rand
	s        *Sched
	m        *model
	actors   []*actor
	current  *actor
	now      time.Time
	timers   []Arm    // that are set
	setup    []string // what this run is like
	finish   bool     // everybody leaves
	round    int      // clients begin anew with each
	trace    bool
	fds      int
	segments int
}

// actor is a caller of the scheduler: a client, a worker, the timekeeper. It runs in a coroutine of its own
// and passes the baton at each step.
type actor struct {
	*sim
	name    string
	run     func()
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	ready   func() bool // whether resuming it makes sense; nil: always
	over    bool
	peer    *Peer
	model   *modelPeer
	call    *call
	mailbox []mail

	// What the peer knows.
	open  map[string]int // submissions of a job whose end is still to come, by handle
	known []string       // handles it has heard of
	noop  bool           // came, and was not answered yet
	jobs  []string       // it has, by handle
	owes  []string       // that timed out, by handle
}

// mail is what comes to an actor from elsewhere.
type mail struct {
	packet packet
	timer  *Timer
}

// stopped unwinds an actor that is no longer needed.
type stopped struct{}

// simulate runs one interleaving.
func simulate(seed uint64, trace bool) (err error) {
	m := &sim{rng: rand.New(rand.NewPCG(seed, 42)), now: start, trace: trace}
	defer func() {
		for _, a := range m.actors {
			a.stop()
		}
		if w := recover(); w != nil {
			w, ok := w.(wrong)
			if !ok {
				panic(w)
			}
			err = fmt.Errorf("%s\nsetup: %s", w.text, strings.Join(m.setup, ", "))
		}
	}()
	m.prepare()
	for m.round = 1; ; m.round++ {
		m.play()
		m.atRest()
		if m.finish {
			break
		}
		m.finish = m.round >= 1+m.rng.IntN(3)
	}
	m.drain()
	return nil
}

// prepare makes a scheduler of random settings and those who use it.
func (m *sim) prepare() {
	d := *dialect.Perl
	d.AbilityHears = m.rng.IntN(2) == 0
	if m.rng.IntN(3) == 0 {
		requeue(&d)
	}
	cfg := Config{
		Dialect: &d, HandlePrefix: "H:s", Step: m.step,
		Wakeup:      pick(m.rng, 3, 3, 1, 1, 2, 0, -1),
		WakeupDelay: pick(m.rng, 100*time.Millisecond, 100*time.Millisecond, 0, -1),
		MaxMemory:   pick[int64](m.rng, 0, 0, 0, 0, 16<<10, 64<<10),
		Exceptions:  m.rng.IntN(8) == 0,
		JobRetries:  pick(m.rng, -1, 0, 2, 3),

		KeepArguments: m.rng.IntN(4) > 0,
	}
	if cfg.WakeupDelay == 0 {
		cfg.WakeupDelay = time.Millisecond // as fast as the clock goes
	}
	if cfg.Wakeup != 0 {
		cfg.Herd = pick(m.rng, 0, 0, 1, 2)
	}
	m.s = New(cfg)
	m.m = newModel(m.s)
	m.setup = append(m.setup, fmt.Sprintf("wakeup %d every %v, of more than %d by need, memory %d, requeues: %v, %d retries", cfg.Wakeup,
		cfg.WakeupDelay, cfg.Herd, cfg.MaxMemory, d.DropRequeues, cfg.JobRetries))

	functions := []string{"a", "b", "c", "d", "e", "a2", "x1", "x2"}
	m.rng.Shuffle(len(functions), func(i, k int) { functions[i], functions[k] = functions[k], functions[i] })
	functions = functions[:1+m.rng.IntN(5)]
	if d.DropRequeues && m.rng.IntN(2) == 0 {
		functions = functions[:1] // so that a job meets more of those who have to do with it
	}
	if m.rng.IntN(10) == 0 { // more than a worker looks through one by one
		for i := range manyAbilities {
			functions = append(functions, fmt.Sprintf("more%d", i))
		}
	}
	workers, clients, both := 1+m.rng.IntN(4), 1+m.rng.IntN(3), m.rng.IntN(2)
	for i := range workers + clients + both {
		a := &actor{sim: m}
		p := &part{actor: a, functions: functions}
		switch {
		case i < workers:
			a.name, a.run = fmt.Sprintf("worker%d", i+1), p.work
		case i < workers+clients:
			a.name, a.run = fmt.Sprintf("client%d", i-workers+1), p.ask
		default:
			a.name, a.run, p.both = fmt.Sprintf("both%d", i+1), p.work, true
		}
		m.start(a)
	}
	if m.rng.IntN(2) == 0 {
		a := &actor{sim: m, name: "admin"}
		a.run = (&part{actor: a, functions: functions}).administrate
		m.start(a)
	}
	for i := range 1 + m.rng.IntN(2) {
		a := &actor{sim: m, name: fmt.Sprintf("clock%d", i+1)}
		a.run = a.keepTime
		m.start(a)
	}
	m.setup = append(m.setup, fmt.Sprintf("%d workers, %d clients, %d both, functions %v", workers, clients, both, functions))
}

// requeue changes a dialect into one in which another worker gets a lost job.
func requeue(d *dialect.Dialect) {
	d.LostJob, d.TimedOut, d.DropRequeues = dialect.LostRequeues, dialect.LostRequeues, true
	d.LateResult, d.HighNewestFirst = false, false
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func (m *sim) start(a *actor) {
	a.next, a.stop = iter.Pull(func(yield func(struct{}) bool) {
		a.yield = yield
		defer func() {
			a.over = true
			if r := recover(); r != nil {
				if _, ok := r.(stopped); !ok {
					panic(r)
				}
			}
		}()
		a.run()
	})
	m.actors = append(m.actors, a)
}

// play runs actors one at a time, until none has anything to do and no timer is set.
func (m *sim) play() {
	for range 200_000 {
		var ready []*actor
		for _, a := range m.actors {
			if !a.over && (a.ready == nil || a.ready()) {
				ready = append(ready, a)
			}
		}
		switch next := m.nextTimer(); {
		case len(ready) == 0 && next < 0:
			return
		case len(ready) == 0:
			// Whatever has to happen before then must have happened.
			m.now = m.timers[next].At
			m.noneLate()
			continue
		case m.rng.IntN(40) == 0:
			m.now = m.now.Add(time.Duration(m.rng.IntN(200)) * time.Millisecond)
		}
		m.current = ready[m.rng.IntN(len(ready))]
		m.current.next()
		m.current = nil
	}
	failf("this does not come to an end")
}

// step is where the scheduler allows interleaving.
func (m *sim) step() {
	a := m.current
	if a == nil {
		return
	}
	if a.call != nil {
		m.m.segment(a.call, false)
	}
	a.rest(nil)
}

// rest passes the baton, until resuming makes sense.
func (a *actor) rest(ready func() bool) {
	a.ready = ready
	if a.sim.trace && a.call != nil {
		a.logf("  … %s rests within its call", a.name)
	}
	if !a.yield(struct{}{}) {
		panic(stopped{})
	}
	a.ready = nil
}

func (m *sim) logf(format string, a ...any) {
	if m.trace {
		fmt.Fprintf(os.Stderr, "%8.3f "+format+"\n", append([]any{m.now.Sub(start).Seconds()}, a...)...)
	}
}

// calls makes a call of the scheduler, compares it with the model and carries out its effects.
func (a *actor) calls(c *call, f func(fx *Effects)) *call {
	if a.trace {
		a.logf("%s %s", a.name, c)
	}
	var fx Effects
	c.by, c.now, c.fx = a.model, a.now, &fx
	a.m.begin(c)
	a.call = c
	f(&fx)
	a.m.segment(c, true)
	a.call = nil
	a.checkNow(4)
	a.rest(nil) // what is due to others goes out only after the locks are free again
	a.carry(c)
	return c
}

// checkNow checks the invariants now and then. It cannot while an actor rests with a lock.
func (m *sim) checkNow(odds int) {
	if m.segments++; m.rng.IntN(odds) > 0 {
		return
	}
	for i := range m.s.shards {
		if !m.s.shards[i].mu.TryLock() {
			return
		}
		m.s.shards[i].mu.Unlock()
	}
	v := view{busy: map[*Peer]bool{}, deaf: func(p *Peer, f string) bool {
		a := m.m.byPeer[p].ability(f)
		return a == nil || !a.hears
	}}
	for _, a := range m.actors {
		if a.call != nil && a.peer != nil {
			v.busy[a.peer] = true
		}
	}
	if err := m.s.checkInvariants(v); err != nil {
		failf("invariants: %v", err)
	}
	m.explain(v)
}

// carry does what effects ask for: timers are set, packets are posted to those they are for.
func (a *actor) carry(c *call) {
	fx := c.fx
	for _, arm := range fx.Timers {
		a.set(arm)
	}
	var own []packet
	for i := range fx.Packets {
		pk := readPacket(fx, i)
		fx.Packets[i].Body.Release()
		if pk.to == a.peer && !fx.Packets[i].Behind {
			own = append(own, pk)
			continue
		}
		for _, other := range a.actors {
			if other.peer == pk.to {
				other.mailbox = append(other.mailbox, mail{packet: pk})
			}
		}
	}
	for _, pk := range own {
		if h, ok := strings.CutPrefix(pk.text, "JOB_CREATED "); ok && !c.job.background {
			a.open[h]++
		}
		a.receive(pk)
	}
}

func (m *sim) set(arm Arm) { m.timers = armed(m.timers, arm) }

// armed does to timers what an Arm asks for.
func armed(timers []Arm, arm Arm) []Arm {
	i := slices.IndexFunc(timers, func(o Arm) bool { return o.Timer == arm.Timer })
	switch {
	case arm.At.IsZero() && i >= 0:
		return slices.Delete(timers, i, i+1)
	case arm.At.IsZero():
	case i < 0:
		return append(timers, arm)
	case arm.At.Before(timers[i].At):
		timers[i].At = arm.At
	}
	return timers
}

// nextTimer returns which timer is the next, -1 if none is set.
func (m *sim) nextTimer() int {
	next := -1
	for i, t := range m.timers {
		if next < 0 || t.At.Before(m.timers[next].At) {
			next = i
		}
	}
	return next
}

// keepTime fires the timers that are due: those of a worker where the worker is served.
func (a *actor) keepTime() {
	due := func() bool {
		i := a.nextTimer()
		return i >= 0 && !a.timers[i].At.After(a.now)
	}
	for {
		a.rest(due)
		if !due() {
			continue
		}
		i := a.nextTimer()
		t := a.timers[i].Timer
		a.timers = slices.Delete(a.timers, i, i+1)
		c := &call{}
		switch {
		case t.peer != nil:
			for _, other := range a.actors {
				if other.peer == t.peer {
					other.mailbox = append(other.mailbox, mail{timer: t})
				}
			}
			continue
		case t.steers:
			a.endSettings(t)
			continue
		case t.fn != nil:
			c.kind, c.args, c.fn = callWake, []string{t.fn.name}, t.fn
		default:
			c.kind, c.shard = callRelease, t.shard
		}
		a.calls(c, func(fx *Effects) { a.s.Fire(t, c.now, fx) })
	}
}

// String shows a call in a trace.
func (c *call) String() string {
	text := [...]string{"", "push", "disconnect", "limit", "wake", "release", "maxqueue", "drop", "cancel", "tell", "forget", "set", "resume", "end", "look", "act", "bulk"}[c.kind]
	if c.kind == callPacket {
		text = c.typ.String()
	}
	return text + " " + strings.Join(c.args, "|")
}

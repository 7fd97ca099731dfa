package sched

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/store"
	"gearloop/test/sample"
)

// TestClusterSimulation runs two or three schedulers on engines that share a fake database, as those of package
// store/postgres do. Chance decides on everything that may happen between any two steps: commits whose reply is lost,
// failovers, brokers that die, freeze or end, late beats, take-overs. After each step the promises are checked (see
// clusterSim.check). A seed determines a run; replay it with
//
//	go test ./sched -run TestClusterSimulation -sim.seed=N
//
// GEARLOOP_CLUSTER_SEEDS sets how many seeds there are.
func TestClusterSimulation(t *testing.T) {
	seeds := seedsWanted(uint64(sample.Of(24, 6)))
	if *simSeed > 0 {
		if wrong, _ := simulateCluster(t, *simSeed, allRules, true); wrong != "" {
			t.Fatal(wrong)
		}
		return
	}
	var sum clusterCounts
	for seed := uint64(1); seed <= seeds; seed++ {
		wrong, counts := simulateCluster(t, seed, allRules, false)
		if wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		sum.add(counts)
	}
	t.Logf("%d seeds: %+v", seeds, sum)
	for i, n := range sum.all() {
		if uint64(*n) < seeds/20 {
			t.Errorf("what is counted as %d happened only %d times: %+v", i, *n, sum)
		}
	}
}

// Each rule of the protocol is needed: without it a promise is broken within some seeds. Those that need many are tried
// with GEARLOOP_CLUSTER_SEEDS only, from 5,000 on.
func TestClusterRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		broke func(*rules)
		rare  bool
		first uint64 // the seed that noticed when this was written, tried before all others
	}{
		{"the fence is not locked", func(r *rules) { r.lockFence = false }, false, 10},
		{"a batch is sent again without the fence", func(r *rules) { r.fenceResends = false }, false, 1},
		{"beats are judged by the adopter's clock", func(r *rules) { r.ownClock = false }, false, 18},
		{"ends come behind inserts", func(r *rules) { r.endsFirst = false }, false, 1},
		{"a join is not confirmed", func(r *rules) { r.confirmJoins = false }, false, 10},
		{"a join is confirmed before the job is stored", func(r *rules) { r.confirmStored = false }, false, 24},
		{"a number of a lost run is taken", func(r *rules) { r.knownRuns = false }, false, 1},
		{"who takes over may be taken over meanwhile", func(r *rules) { r.lockTaker = false }, true, 1},
		{"who is taken over may beat meanwhile", func(r *rules) { r.lockBeat = false }, true, 1},
		{"a lost connection's batch may be done late", func(r *rules) { r.endLost = false }, true, 1},
	} {
		seeds := max(600, seedsWanted(0))
		if c.rare && seeds < 5_000 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			broken := allRules
			c.broke(&broken)
			for n := range seeds + 1 {
				seed := n
				if n == 0 {
					seed = c.first
				}
				if wrong, _ := simulateCluster(t, seed, broken, false); wrong != "" {
					t.Logf("seed %d: %s", seed, wrong)
					return
				}
			}
			t.Errorf("%d seeds notice nothing", seeds)
		})
	}
}

// seedsWanted is what GEARLOOP_CLUSTER_SEEDS says, or else.
func seedsWanted(otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("GEARLOOP_CLUSTER_SEEDS"), 10, 32); err == nil {
		return n
	}
	return otherwise
}

// clusterCounts are what happened in a run, so that a test sees that it can happen.
type clusterCounts struct {
	Acknowledged, Done, Adopted, Joined, Disowned, Failovers, Crashes, Lost, Shelved int
}

func (c *clusterCounts) all() []*int {
	return []*int{&c.Acknowledged, &c.Done, &c.Adopted, &c.Joined, &c.Disowned, &c.Failovers, &c.Crashes, &c.Lost, &c.Shelved}
}

func (c *clusterCounts) add(o clusterCounts) {
	for i, n := range o.all() {
		*c.all()[i] += *n
	}
}

type clusterSim struct {
	tb      testing.TB
	rng     *rand.Rand
	db      *simDatabase
	brokers []*simBroker
	now     time.Time
	step    int
	jobs    map[uint64]*simJob
	wrong   string
	trouble trouble
	trace   bool
	counts  clusterCounts
}

// simJob is what was promised of a job.
type simJob struct {
	acked bool
	done  int  // step in which its owner's worker ended it; 0: it lives
	safe  bool // that end is stored
}

// simBroker is one start of a broker.
type simBroker struct {
	sim           *clusterSim
	name          int
	s             *Sched
	engine        *simEngine
	alive, frozen bool
	skew          time.Duration
	peers         map[*Peer]*simPeer
	order         []*simPeer
}

type simKind int

const (
	simBackground simKind = iota
	simForeground
	simWorker
)

// simPeer is a connection.
type simPeer struct {
	kind    simKind
	peer    *Peer
	asked   int            // step of its submission
	tickets map[uint32]int // steps of those that wait
	has     []uint64
}

func simulateCluster(tb testing.TB, seed uint64, r rules, trace bool) (wrong string, counts clusterCounts) {
	sim := &clusterSim{tb: tb, rng: rand.New(rand.NewPCG(seed, 14)), now: start, jobs: map[uint64]*simJob{}, trace: trace}
	sim.db = &simDatabase{rules: &r, now: newTables(), standby: newTables()}
	sim.trouble = trouble{pick(sim.rng, 0, 3, 12), pick(sim.rng, 0, 0, 2), pick(sim.rng, 5, 10, 25), pick(sim.rng, 0, 2, 20)}
	for i := range 2 + sim.rng.IntN(2) {
		b := &simBroker{sim: sim, name: i, skew: time.Duration(sim.rng.IntN(60)-30) * time.Second}
		b.start()
		sim.brokers = append(sim.brokers, b)
	}
	for sim.step = 1; sim.step <= 2400 && sim.wrong == ""; sim.step++ {
		sim.act()
		sim.check()
	}
	return sim.wrong, sim.counts
}

func (c *clusterSim) say(format string, args ...any) {
	if c.trace {
		fmt.Fprintf(os.Stderr, "%4d %v "+format+"\n", append([]any{c.step, c.now.Sub(start)}, args...)...)
	}
}

func (c *clusterSim) fail(format string, args ...any) {
	if c.wrong == "" {
		c.wrong = fmt.Sprintf("step %d: ", c.step) + fmt.Sprintf(format, args...)
	}
}

func (c *clusterSim) job(number uint64) *simJob {
	j := c.jobs[number]
	if j == nil {
		j = &simJob{}
		c.jobs[number] = j
	}
	return j
}

// done: a job has ended at a broker. That counts unless another broker has it.
func (c *clusterSim) done(e *simEngine, number uint64) {
	run := store.RunOf(number)
	_, there := c.db.now.jobs[number]
	_, safe := c.db.standby.jobs[number]
	if !there && !safe || e.me != 0 && (c.db.now.runs[run] == e.me || c.db.standby.runs[run] == e.me) {
		if j := c.job(number); j.done == 0 {
			j.done = c.step
			c.counts.Done++
		}
	}
}

// safe: the end of a job is stored for good.
func (c *clusterSim) safe(number uint64) { c.job(number).safe = true }

// adopted: a broker hears of a job that it has read. One that was frozen in between may not have it any more.
func (c *clusterSim) adopted(e *simEngine, number uint64) {
	if c.db.now.runs[store.RunOf(number)] != e.me {
		return
	}
	c.counts.Adopted++
	j := c.job(number)
	if j.safe {
		c.fail("job %d is adopted, though its end was stored", number)
	}
	j.done = 0 // its broker had died before the end was written
}

func (b *simBroker) wall() time.Time { return b.sim.now.Add(b.skew) }

// start begins a broker anew.
func (b *simBroker) start() {
	b.s = New(Config{Dialect: dialect.Perl, HandlePrefix: "H:c", Wakeup: 3, WakeupDelay: time.Second, Start: start})
	b.engine = newSimEngine(b)
	b.s.Keep(b.engine)
	_ = b.engine.Start(b)
	b.alive, b.frozen = true, false
	b.peers, b.order = map[*Peer]*simPeer{}, nil
	for _, kind := range []simKind{simBackground, simBackground, simForeground, simWorker, simWorker} {
		b.connect(kind)
	}
}

func (b *simBroker) connect(kind simKind) {
	p := &simPeer{kind: kind, peer: &Peer{FD: len(b.peers) + 3}, tickets: map[uint32]int{}}
	b.s.Connect(p.peer)
	b.peers[p.peer] = p
	b.order = append(b.order, p)
	if kind == simWorker {
		b.send(p, codec.CanDo, "f")
	}
}

// crash ends a broker at once: its memory is gone.
func (b *simBroker) crash() {
	b.alive = false
	for _, tx := range slices.Clone(b.sim.db.open) {
		if tx.by == b.engine {
			tx.lost = nil
			b.sim.db.cut(tx, b.sim.rng.IntN(2) == 0)
		}
	}
	for i := range b.s.shards {
		for j := range b.s.shards[i].jobs.all() {
			j.argument().Release()
		}
	}
}

func (b *simBroker) Opened(run uint64) { b.s.Opened(run) }

func (b *simBroker) Lease(until time.Time) {
	b.carry(func(fx *Effects) { b.s.Lease(until, b.sim.now, fx) })
}

func (b *simBroker) Adopt(jobs []store.Job) (room bool) {
	b.carry(func(fx *Effects) { room = b.s.Adopt(jobs, b.sim.now, fx) })
	return room
}

func (b *simBroker) Disowned() {
	b.sim.counts.Disowned++
	b.carry(func(fx *Effects) { b.s.Disowned(b.sim.now, fx) })
}

func (b *simBroker) Flushed() { b.carry(func(fx *Effects) { b.s.Settle(b.sim.now, fx) }) }

func (b *simBroker) send(p *simPeer, t codec.Type, args ...string) {
	b.sim.say("broker %d: fd %d sends %v %q", b.name, p.peer.FD, t, args)
	p.asked = b.sim.step
	b.carry(func(fx *Effects) {
		b.s.Handle(p.peer, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), b.sim.now, fx)
	})
}

// carry carries out the effects of a call.
func (b *simBroker) carry(call func(*Effects)) {
	var fx Effects
	call(&fx)
	for i := range fx.Packets {
		pk := &fx.Packets[i]
		if p := b.peers[pk.To]; p != nil {
			b.arrive(p, pk, string(fx.Args(pk)))
		}
		pk.Body.Release()
	}
	fans := fx.Fans
	for len(fans) > 0 {
		fan := fans[0]
		fans = fans[1:]
		b.carry(func(fx *Effects) {
			if b.s.FanOut(fan, 20, fx) {
				fans = append(fans, fan)
			}
		})
	}
}

// knows answers another broker that asks for a job.
func (b *simBroker) knows(number uint64) (known bool) {
	asker := &Peer{FD: 2, Broker: b.sim.db.rules.confirmStored}
	b.s.Connect(asker)
	b.carry(func(fx *Effects) {
		b.s.Handle(asker, codec.GetStatus, payload.Borrow(b.s.AppendHandle(nil, number)), b.sim.now, fx)
		known = strings.Split(string(fx.Args(&fx.Packets[0])), "\x00")[1] == "1"
	})
	b.carry(func(fx *Effects) { b.s.Disconnect(asker, b.sim.now, fx) })
	return known
}

// arrive: a peer gets a packet.
func (b *simBroker) arrive(p *simPeer, pk *Packet, args string) {
	handle, _, _ := strings.Cut(args, "\x00")
	number := b.s.parseHandle([]byte(handle))
	asked := p.asked
	if pk.Ticket != 0 && pk.Type != Reserve {
		asked = p.tickets[pk.Ticket]
		delete(p.tickets, pk.Ticket)
	}
	switch {
	case pk.Type == Reserve:
		p.tickets[pk.Ticket] = p.asked
	case pk.Type == codec.JobCreated && p.kind == simBackground:
		b.created(number, asked)
	case pk.Type == codec.JobAssign:
		b.assigned(number)
		p.has = append(p.has, number)
	}
}

// created: a background submission is acknowledged.
func (b *simBroker) created(number uint64, asked int) {
	c := b.sim
	c.say("broker %d: JOB_CREATED %d", b.name, number)
	j := c.job(number)
	if j.done > 0 && j.done < asked {
		c.fail("broker %d: a submission of step %d is told of job %d, which had ended in step %d", b.name, asked, number, j.done)
	}
	if !b.engine.runs[store.RunOf(number)] {
		c.counts.Joined++
	}
	c.counts.Acknowledged++
	j.acked = true
}

// assigned: a worker gets a job.
func (b *simBroker) assigned(number uint64) {
	c := b.sim
	c.say("broker %d: JOB_ASSIGN %d", b.name, number)
	if j := b.s.shardOfJob(number).jobs.get(number); j == nil || j.keeping != kept {
		return
	}
	if !c.now.Before(b.engine.lease) {
		c.fail("broker %d: job %d is handed out %v after the lease", b.name, number, c.now.Sub(b.engine.lease))
	}
	if c.job(number).safe {
		c.fail("broker %d: job %d is handed out, though its end was stored", b.name, number)
	}
}

// check finds out whether a promise is broken:
//   - A job that was acknowledged and has not ended is stored, also where a failover would lead to.
//   - Its run belongs to a broker that has it in memory or is about to read it, or to one that will be taken over.
//   - At most one broker may hand it out.
//   - No two of them have the same unique id.
//
// The rest is checked where it happens: created, assigned, adopted.
func (c *clusterSim) check() {
	uniques := map[string]uint64{}
	for number, j := range c.jobs {
		if !j.acked || j.done > 0 {
			continue
		}
		job, there := c.db.now.jobs[number]
		if _, safe := c.db.standby.jobs[number]; !there || !safe {
			c.fail("job %d was acknowledged, and is not stored (visible: %v, at the standby: %v)", number, there, safe)
			return
		}
		if key := simKey(&job); key != "" {
			if other, twice := uniques[key]; twice {
				c.fail("jobs %d and %d have the same unique id", number, other)
			}
			uniques[key] = number
		}
		c.checkOwner(number)
		may := 0
		for _, b := range c.brokers {
			if b.alive && b.mayHandOut(number) {
				may++
			}
		}
		if may > 1 {
			c.fail("job %d may be handed out by %d brokers", number, may)
		}
	}
	if c.step%16 == 0 {
		for _, b := range c.brokers {
			if b.alive {
				if err := b.s.checkInvariants(view{}); err != nil {
					c.fail("broker %d: %v", b.name, err)
				}
			}
		}
	}
}

func (b *simBroker) mayHandOut(number uint64) bool {
	sh := b.s.shardOfJob(number)
	j := sh.jobs.get(number)
	// One that ends in order has ended its loops before it lets go of its jobs.
	return !b.engine.leave && j != nil && j.keeping == kept && !j.onWorker() && b.sim.now.Before(sh.lease)
}

// checkOwner: somebody has the job, or will.
func (c *clusterSim) checkOwner(number uint64) {
	run := store.RunOf(number)
	owner, there := c.db.now.runs[run]
	if !there {
		c.fail("job %d: nobody has its run", number)
		return
	}
	for _, b := range c.brokers {
		e := b.engine
		if !b.alive || e.me != owner {
			continue
		}
		if _, has := e.jobs[number]; has {
			j := b.s.shardOfJob(number).jobs.get(number)
			if len(e.calls) == 0 && (j == nil || j.keeping != kept) {
				c.fail("job %d: the engine of broker %d has it, its scheduler does not", number, b.name)
			}
		} else if e.read[run] || e.cursor[run] >= number {
			c.fail("job %d: broker %d owns its run, and does not know it", number, b.name)
		}
		return // otherwise it is read later
	}
	if _, beats := c.db.now.beats[owner]; !beats {
		c.fail("job %d: its owner has died, and nobody can see that", number)
	}
}

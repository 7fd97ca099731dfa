package sched

import (
	"io"
	"slices"
	"strings"
	"time"

	"gearloop/store"
)

// Times of the protocol.
const (
	simLease    = 8 * time.Second
	simTakeover = 10 * time.Second
)

// States of a job in a simEngine.
const (
	simGathered = iota
	simSent
	simSafe
)

// simEngine is a broker's engine on a simDatabase. It does nothing by itself: each step is the simulation's.
type simEngine struct {
	broker *simBroker
	db     *simDatabase
	events store.Events
	calls  []func() // to its user, in order: the user hears of everything later

	me      uint64          // run that stands for the broker in the fence; 0: none
	runs    map[uint64]bool // that were opened and not disowned since
	next    *simBatch
	doubt   *simBatch // was sent; nobody knows what became of it
	jobs    map[uint64]int
	failed  bool
	suspect bool
	leave   bool // it ends in order

	session, heart, taking *simTx

	lease time.Time // end of the lease that the beats of this broker give it
	seen  map[uint64]simSight

	epoch  int
	queue  []uint64
	cursor map[uint64]uint64 // of runs that were taken over
	read   map[uint64]bool   // that are this broker's, to the end

	contested []*simPending
}

// simSight is a beat of another broker as it was seen last.
type simSight struct {
	n     int
	since time.Time
}

func newSimEngine(b *simBroker) *simEngine {
	return &simEngine{
		broker: b, db: b.sim.db, runs: map[uint64]bool{}, next: &simBatch{}, jobs: map[uint64]int{}, failed: true, suspect: true,
		seen: map[uint64]simSight{}, cursor: map[uint64]uint64{}, read: map[uint64]bool{},
	}
}

func (e *simEngine) Start(events store.Events) error {
	e.events = events
	return nil
}

func (e *simEngine) Append(job *store.Job, receipt store.Receipt) (store.Ref, error) {
	if e.failed || e.db.rules.knownRuns && !e.runs[store.RunOf(job.Number)] {
		return 0, store.ErrFailed
	}
	p := &simPending{job: *job, receipt: receipt}
	p.job.Argument = nil
	p.job.Function, p.job.Unique = strings.Clone(job.Function), strings.Clone(job.Unique)
	e.next.jobs = append(e.next.jobs, p)
	e.jobs[job.Number] = simGathered
	return store.Ref(job.Number), nil
}

func (e *simEngine) Done(ref store.Ref) {
	number := uint64(ref)
	e.broker.sim.done(e, number)
	state, there := e.jobs[number]
	if !there {
		return
	}
	delete(e.jobs, number)
	if state == simGathered {
		for _, p := range e.next.jobs {
			p.over = p.over || p.job.Number == number
		}
		return
	}
	e.next.ends = append(e.next.ends, number)
}

func (e *simEngine) Update(store.Ref, uint16, store.Priority)            {}
func (e *simEngine) Argument(_ store.Ref, _ io.Writer, done func(error)) { done(store.ErrGone) }
func (e *simEngine) Lookup(uint64, func(store.Status)) bool              { return false }
func (e *simEngine) NewRun()                                             {}
func (e *simEngine) Hurry()                                              {}
func (e *simEngine) Stats() store.Stats                                  { return store.Stats{} }
func (e *simEngine) Close() error                                        { return nil }

func (e *simEngine) tell(call func()) { e.calls = append(e.calls, call) }

// step of the teller: one call, and Flushed behind it.
func (e *simEngine) hear() {
	call := e.calls[0]
	e.calls = e.calls[1:]
	call()
	e.events.Flushed()
}

// enrolled: the broker has a run of its own.
func (e *simEngine) enrolled(run uint64) {
	e.me, e.suspect = run, true
	e.runs[run], e.read[run] = true, true
	e.tell(func() { e.events.Opened(run) })
}

// commit sends what has gathered, or again what is in doubt.
func (e *simEngine) commit(most int) {
	b := e.doubt
	if b != nil {
		b.again = true
	} else {
		b, e.next = e.next, &simBatch{}
		if most < len(b.jobs) {
			e.next.jobs = b.jobs[most:]
			b.jobs = b.jobs[:most:most]
		}
		for _, p := range b.jobs {
			if _, there := e.jobs[p.job.Number]; there && !p.over {
				e.jobs[p.job.Number] = simSent
			}
		}
		e.doubt = b
	}
	e.db.batch(e, b)
}

// hasRead reports whether all jobs of a run are in this broker's memory, if they live.
func (e *simEngine) hasRead(run uint64) bool { return e.read[run] }

// stored is the reply to a batch.
func (e *simEngine) stored(b *simBatch, missing []*simPending, found bool) {
	if !found {
		e.disowned()
		return
	}
	e.doubt, e.failed, e.suspect = nil, false, false
	for _, number := range b.ends {
		e.broker.sim.safe(number)
	}
	again := &simBatch{}
	for _, p := range b.jobs {
		number := p.job.Number
		if p.waits {
			continue
		}
		if slices.Contains(missing, p) && !e.resolve(p, again) {
			continue
		}
		e.settle(p, number)
	}
	if len(again.jobs) > 0 { // at once, as a transaction of its own
		e.doubt = again
		e.db.batch(e, again)
	}
}

func (e *simEngine) settle(p *simPending, number uint64) {
	if _, there := e.jobs[number]; there && !p.over {
		if e.jobs[number] = simSafe; p.outcome != nil {
			delete(e.jobs, number)
		}
	}
	e.tell(func() { p.receipt.Stored(store.Ref(number), p.outcome) })
}

// resolve finds out why a job was not inserted. It reports whether its outcome is known.
func (e *simEngine) resolve(p *simPending, again *simBatch) bool {
	if _, there := e.db.now.jobs[p.job.Number]; there {
		return true
	}
	holder, held := e.db.now.keys[simKey(&p.job)]
	_, has := e.jobs[holder]
	switch {
	case held && has:
		p.outcome = &store.UniqueTaken{Number: holder}
		return true
	case held && !e.hasRead(store.RunOf(holder)):
		p.holder, p.waits = holder, true
		e.contested = append(e.contested, p)
		return false
	case held: // it has ended here, or was refused when nobody knew whether it was stored
		again.ends = append(again.ends, holder)
	}
	again.jobs = append(again.jobs, p)
	return false
}

// ask finds out whether the holder of a unique id lives.
func (e *simEngine) ask(p *simPending) {
	run := store.RunOf(p.holder)
	owner, there := e.db.now.runs[run]
	_, has := e.jobs[p.holder]
	switch {
	case !e.db.rules.confirmJoins:
		e.conclude(p, &store.UniqueTaken{Number: p.holder})
	case !there:
		e.requeue(p)
	case owner == e.me && has:
		e.conclude(p, &store.UniqueTaken{Number: p.holder})
	case owner == e.me && e.hasRead(run):
		e.requeue(p)
	case owner == e.me: // it is being read
	default:
		for _, b := range e.broker.sim.brokers {
			if b.alive && !b.frozen && b.engine.me == owner {
				if b.knows(p.holder) {
					e.conclude(p, &store.UniqueTaken{Number: p.holder})
				} else {
					e.requeue(p)
				}
				return
			}
		}
		if e.broker.sim.rng.IntN(4) == 0 { // it was silent for too long
			e.conclude(p, store.ErrFailed)
		}
	}
}

func (e *simEngine) uncontest(p *simPending) {
	p.waits = false
	e.contested = slices.DeleteFunc(e.contested, func(o *simPending) bool { return o == p })
}

func (e *simEngine) conclude(p *simPending, outcome error) {
	e.uncontest(p)
	delete(e.jobs, p.job.Number)
	e.tell(func() { p.receipt.Stored(store.Ref(p.job.Number), outcome) })
}

func (e *simEngine) requeue(p *simPending) {
	if _, living := e.jobs[p.job.Number]; !living || e.failed {
		e.conclude(p, store.ErrFailed)
		return
	}
	e.uncontest(p)
	e.jobs[p.job.Number] = simGathered
	e.next.jobs = append(e.next.jobs, p)
}

// refuse: the user has waited for too long. What may be stored of it is deleted as soon as that is possible.
func (e *simEngine) refuse() {
	e.failed = true
	next, doubt := e.next, e.doubt
	e.next, e.doubt = &simBatch{}, nil
	if doubt == nil {
		doubt = &simBatch{}
	}
	e.next.ends = append(slices.Clone(doubt.ends), next.ends...)
	e.next.refused = append(slices.Clone(doubt.refused), next.refused...)
	for i, p := range slices.Concat(doubt.jobs, next.jobs) {
		number, outcome := p.job.Number, store.ErrFailed
		if p.waits {
			continue
		}
		if p.over {
			outcome = nil
		} else {
			delete(e.jobs, number)
			if i < len(doubt.jobs) {
				e.next.refused = append(e.next.refused, number)
			}
		}
		e.tell(func() { p.receipt.Stored(store.Ref(number), outcome) })
	}
}

// disowned: another broker has taken the runs over.
func (e *simEngine) disowned() {
	e.refuse()
	for _, p := range slices.Clone(e.contested) {
		e.conclude(p, store.ErrFailed)
	}
	e.next = &simBatch{}
	e.me = 0
	e.epoch++
	e.queue = nil
	clear(e.jobs)
	clear(e.runs)
	clear(e.cursor)
	clear(e.read)
	clear(e.seen)
	e.tell(func() { e.events.Disowned() })
}

// beaten is the reply to a beat.
func (e *simEngine) beaten(me uint64, begin time.Time, alive bool, others map[uint64]simBeat, owned []uint64) {
	now := e.broker.sim.now
	switch {
	case me != e.me:
		return
	case now.Sub(begin) > simLease: // its time is over
		clear(e.seen)
		return
	case !alive:
		e.suspect = true
		return
	}
	until := begin.Add(simLease)
	e.lease = until
	e.tell(func() { e.events.Lease(until) })
	for _, run := range owned {
		if _, known := e.cursor[run]; !known && !e.read[run] {
			e.cursor[run] = 0
			e.queue = append(e.queue, run)
		}
	}
	var runs []uint64
	for run := range others {
		runs = append(runs, run)
	}
	slices.Sort(runs)
	for _, run := range runs {
		b := others[run]
		s, known := e.seen[run]
		if !known || s.n != b.n {
			s = simSight{b.n, now}
			e.seen[run] = s
		}
		stale := now.Sub(s.since) >= simTakeover
		if !e.db.rules.ownClock {
			stale = e.broker.wall().Sub(b.at) >= simTakeover
		}
		if (b.released || stale) && e.taking == nil && !e.leave {
			e.db.takeOver(e, run, b)
		}
	}
	for run := range e.seen {
		if _, there := others[run]; !there {
			delete(e.seen, run)
		}
	}
}

// adopt reads the next jobs of what was taken over; its user hears of them later.
func (e *simEngine) adopt() {
	run, epoch := e.queue[0], e.epoch
	var numbers []uint64
	for number := range e.db.now.jobs {
		if store.RunOf(number) == run && number > e.cursor[run] {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	numbers = numbers[:min(len(numbers), 2)]
	if len(numbers) == 0 {
		e.read[run] = true
		e.queue = e.queue[1:]
		return
	}
	var jobs []store.Job
	for _, number := range numbers {
		job := e.db.now.jobs[number]
		job.Ref = store.Ref(number)
		jobs = append(jobs, job)
	}
	e.tell(func() {
		if e.epoch != epoch {
			return
		}
		for i := range jobs {
			e.jobs[jobs[i].Number] = simSafe
			e.broker.sim.adopted(e, jobs[i].Number)
		}
		e.cursor[run] = max(e.cursor[run], numbers[len(numbers)-1])
		e.events.Adopt(jobs)
	})
}

package sched

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"gearloop/store"
)

// rules are what the protocol of a store that several brokers share demands (package store/postgres follows them). A test
// breaks one at a time, and the simulation must notice.
type rules struct {
	lockFence     bool // a batch locks its broker's own row of run until its commit, so taking over waits
	fenceResends  bool // a batch that is sent again is fenced, too
	ownClock      bool // an adopter counts by its own clock since it saw a beat change, and compares no clocks of two machines
	endsFirst     bool // the ends of a batch are deleted before its jobs are inserted
	confirmJoins  bool // the owner is asked whether the job lives that has a unique id
	confirmStored bool // the owner says that a job lives only when it is stored
	knownRuns     bool // Append takes numbers only of runs that the engine has, whatever its user has heard so far
	lockTaker     bool // whoever takes over locks its own fence, too
	lockBeat      bool // whoever takes over locks the beat, so that the other can't beat meanwhile
	endLost       bool // before it sends anything again, a broker ends what the server does for a connection that was lost
}

var allRules = rules{true, true, true, true, true, true, true, true, true, true}

// simTables are the tables of the fake database.
type simTables struct {
	jobs  map[uint64]store.Job
	keys  map[string]uint64 // unique index
	runs  map[uint64]uint64 // owner by run
	beats map[uint64]simBeat
	last  uint64
}

type simBeat struct {
	n        int
	at       time.Time // by the wall clock of the broker; only who breaks the rules looks at it
	released bool
}

func newTables() *simTables {
	return &simTables{map[uint64]store.Job{}, map[string]uint64{}, map[uint64]uint64{}, map[uint64]simBeat{}, 0}
}

func (t *simTables) clone() *simTables {
	return &simTables{maps.Clone(t.jobs), maps.Clone(t.keys), maps.Clone(t.runs), maps.Clone(t.beats), t.last}
}

// owns reports whether a run stands for a broker that has not been taken over.
func (t *simTables) owns(me uint64) bool { return me != 0 && t.runs[me] == me }

func (t *simTables) hasRuns(owner uint64) bool {
	for _, o := range t.runs {
		if o == owner {
			return true
		}
	}
	return false
}

// simKey is the key of a job in the unique index, "" if it has none.
func simKey(job *store.Job) string {
	if job.Unique == "" {
		return ""
	}
	return job.Function + " " + job.Unique
}

// simDatabase is a fake database with a synchronous standby. What a transaction changes is visible at its commit; its
// client is answered when the standby has it. After a failover the standby's state is all there is.
type simDatabase struct {
	rules   *rules
	now     *simTables
	standby *simTables
	log     []func(*simTables) // that the standby has not got yet
	synced  int                // commits that it has
	open    []*simTx
}

// simTx is a transaction that is under way. Its stages are done one by one, with anything in between.
type simTx struct {
	by     *simEngine // nil: its connection is lost, and nobody hears of it
	from   *simEngine // whose batch it is
	stages []func() bool
	reply  func()         // on the client's side; nil: it is lost
	lost   func()         // called instead of reply
	lsn    int            // commits that the standby must have before the reply; 0: none
	share  uint64         // run whose row is locked against changes
	change map[uint64]any // runs whose rows are being changed
	beat   uint64         // run whose line in beat is locked
	names  []string       // numbers and keys that are being inserted or deleted
	since  time.Time

	stalled int // step before which nothing is done for it
}

// commit makes changes visible.
func (db *simDatabase) commit(change func(*simTables)) (lsn int) {
	change(db.now)
	db.log = append(db.log, change)
	return db.synced + len(db.log)
}

// sync has the standby follow by some commits.
func (db *simDatabase) sync(n int) {
	for _, change := range db.log[:n] {
		change(db.standby)
	}
	db.log = db.log[n:]
	db.synced += n
}

// failover has the standby take the place of the database.
func (db *simDatabase) failover() {
	db.now = db.standby.clone()
	db.log = nil
	for _, tx := range slices.Clone(db.open) {
		db.cut(tx, true)
	}
}

// cut has a client lose its connection. The server may go on with what it has got already, or not.
func (db *simDatabase) cut(tx *simTx, abort bool) {
	by, lost := tx.by, tx.lost
	tx.by, tx.reply, tx.lost = nil, nil, nil
	if abort || len(tx.stages) == 0 {
		db.end(tx)
	}
	if by != nil && lost != nil {
		lost()
	}
}

func (db *simDatabase) end(tx *simTx) {
	db.open = slices.DeleteFunc(db.open, func(o *simTx) bool { return o == tx })
}

// advance does the next stage of a transaction if no lock is in its way, or answers its client. It reports whether
// anything was done.
func (db *simDatabase) advance(tx *simTx) bool {
	if len(tx.stages) > 0 {
		if !tx.stages[0]() {
			return false
		}
		if len(tx.stages) > 0 { // unless the stage has ended it
			tx.stages = tx.stages[1:]
		}
		if len(tx.stages) == 0 { // its locks go with the commit
			tx.share, tx.change, tx.beat, tx.names = 0, nil, 0, nil
			if tx.by == nil {
				db.end(tx)
			}
		}
		return true
	}
	if tx.by == nil || tx.by.broker.frozen || tx.lsn > db.synced {
		return false
	}
	db.end(tx)
	tx.reply()
	return true
}

// isShared reports whether another transaction has locked a run's row.
func (db *simDatabase) isShared(run uint64, but *simTx) bool {
	return slices.ContainsFunc(db.open, func(o *simTx) bool { return o != but && o.share == run })
}

func (db *simDatabase) isChanging(run uint64, but *simTx) bool {
	return slices.ContainsFunc(db.open, func(o *simTx) bool { _, is := o.change[run]; return o != but && is })
}

func (db *simDatabase) isNamed(names []string, but *simTx) bool {
	return slices.ContainsFunc(db.open, func(o *simTx) bool {
		return o != but && slices.ContainsFunc(o.names, func(n string) bool { return slices.Contains(names, n) })
	})
}

// simBatch is a batch on its way. refused are ends of jobs that were refused when nobody knew whether they are stored.
type simBatch struct {
	sim           *clusterSim
	jobs          []*simPending
	ends, refused []uint64
	again         bool
}

// simPending is a job that waits to be stored.
type simPending struct {
	job     store.Job
	receipt store.Receipt
	over    bool // it ended before it was sent
	outcome error
	holder  uint64 // who has its unique id
	waits   bool   // until it is known what the holder is doing
}

// batch sends a batch.
func (db *simDatabase) batch(e *simEngine, b *simBatch) {
	b.sim = e.broker.sim
	me := e.me
	fenced := !b.again || db.rules.fenceResends
	for _, o := range slices.Clone(db.open) {
		if db.rules.endLost && o.from == e && o.by == nil {
			db.end(o)
		}
	}
	tx := &simTx{by: e, from: e, lost: func() { e.session = nil }}
	missing := []*simPending{}
	found := true
	var change func(*simTables)
	tx.stages = []func() bool{
		func() bool { // the fence
			switch {
			case !fenced:
			case db.rules.lockFence && db.isChanging(me, tx):
				return false
			case !db.now.owns(me):
				found, tx.stages = false, nil
			case db.rules.lockFence:
				tx.share = me
			}
			return true
		},
		func() bool { // ends and inserts
			for _, p := range b.jobs {
				if !p.over && !p.waits {
					tx.names = append(tx.names, strconv.FormatUint(p.job.Number, 10))
					if key := simKey(&p.job); key != "" {
						tx.names = append(tx.names, key)
					}
				}
			}
			for _, number := range slices.Concat(b.ends, b.refused) {
				tx.names = append(tx.names, strconv.FormatUint(number, 10))
				if job, there := db.now.jobs[number]; there && simKey(&job) != "" {
					tx.names = append(tx.names, simKey(&job))
				}
			}
			if db.isNamed(tx.names, tx) {
				tx.names = nil
				return false
			}
			if fenced && !db.now.owns(me) { // each statement looks for itself
				found, tx.stages = false, nil
				return true
			}
			change, missing = db.execute(b)
			return true
		},
		func() bool {
			if change != nil {
				tx.lsn = db.commit(change)
			} else if fenced && db.rules.lockFence { // a lock on a row is written as well
				tx.lsn = db.commit(func(*simTables) {})
			}
			return true
		},
	}
	tx.reply = func() {
		e.session = nil
		e.stored(b, missing, found)
	}
	e.session = tx
	db.open = append(db.open, tx)
}

// execute does the statements of a batch. missing are jobs that were not inserted because something is there.
func (db *simDatabase) execute(b *simBatch) (change func(*simTables), missing []*simPending) {
	t := db.now
	ends := map[uint64]bool{}
	for _, number := range slices.Concat(b.ends, b.refused) {
		ends[number] = true
	}
	taken := map[string]bool{}
	var jobs []store.Job
	for _, p := range b.jobs {
		if p.over || p.waits {
			continue
		}
		_, there := t.jobs[p.job.Number]
		there = there && !(db.rules.endsFirst && ends[p.job.Number])
		key := simKey(&p.job)
		holder, held := t.keys[key]
		held = held && key != "" && !(db.rules.endsFirst && ends[holder])
		if held && ends[holder] {
			b.sim.fail("job %d finds its unique id taken by job %d, which the same batch ends", p.job.Number, holder)
		}
		if there || held || key != "" && taken[key] {
			missing = append(missing, p)
			continue
		}
		taken[key] = true
		jobs = append(jobs, p.job)
	}
	remove := func(t *simTables) {
		for number := range ends {
			if job, there := t.jobs[number]; there {
				delete(t.jobs, number)
				if key := simKey(&job); t.keys[key] == number {
					delete(t.keys, key)
				}
			}
		}
	}
	if len(jobs)+len(ends) == 0 {
		return nil, missing
	}
	return func(t *simTables) {
		if db.rules.endsFirst {
			remove(t)
		}
		for _, job := range jobs {
			t.jobs[job.Number] = job
			if key := simKey(&job); key != "" {
				t.keys[key] = job.Number
			}
		}
		if !db.rules.endsFirst {
			remove(t)
		}
	}, missing
}

// enroll gives a broker a run of its own.
func (db *simDatabase) enroll(e *simEngine) {
	tx := &simTx{by: e, lost: func() { e.session = nil }}
	run := uint64(0)
	tx.stages = []func() bool{func() bool {
		run = db.now.last + 1
		tx.lsn = db.commit(func(t *simTables) {
			t.last, t.runs[run], t.beats[run] = run, run, simBeat{}
		})
		return true
	}}
	tx.reply = func() {
		e.session = nil
		e.enrolled(run)
	}
	e.session = tx
	db.open = append(db.open, tx)
}

// beat shows that a broker lives, and what others do.
func (db *simDatabase) beat(e *simEngine) {
	me, begin, wall := e.me, e.broker.sim.now, e.broker.wall()
	alive, others, owned := false, map[uint64]simBeat{}, []uint64(nil)
	tx := &simTx{by: e, since: begin, lost: func() { e.heart = nil; clear(e.seen) }}
	tx.stages = []func() bool{func() bool {
		if db.rules.lockBeat && slices.ContainsFunc(db.open, func(o *simTx) bool { return o.beat == me }) {
			return false
		}
		b, there := db.now.beats[me]
		if alive = there && !b.released; alive {
			b.n++
			b.at = wall
			tx.lsn = db.commit(func(t *simTables) { t.beats[me] = b })
		}
		for run, b := range db.now.beats {
			if run != me {
				others[run] = b
			}
		}
		for run, owner := range db.now.runs {
			if owner == me {
				owned = append(owned, run)
			}
		}
		slices.Sort(owned)
		return true
	}}
	tx.reply = func() {
		e.heart = nil
		e.beaten(me, begin, alive, others, owned)
	}
	e.heart = tx
	db.open = append(db.open, tx)
}

// takeOver gives all runs of a broker that is dead or has ended to another.
func (db *simDatabase) takeOver(e *simEngine, dead uint64, seen simBeat) {
	me := e.me
	tx := &simTx{by: e, lost: func() { e.taking = nil }, reply: func() { e.taking = nil }}
	tx.stages = []func() bool{
		func() bool {
			switch {
			case db.rules.lockTaker && db.isChanging(me, tx):
				return false
			case !db.now.owns(me):
				tx.stages = nil
			case db.rules.lockTaker:
				tx.share = me
			}
			return true
		},
		func() bool {
			b, there := db.now.beats[dead]
			if !db.now.owns(me) || !there || !b.released && b.n != seen.n {
				tx.stages = nil
				return true
			}
			tx.change = map[uint64]any{}
			for run, owner := range db.now.runs {
				if owner != dead {
					continue
				}
				if db.isShared(run, tx) || db.isChanging(run, tx) {
					tx.change = nil
					return false
				}
				tx.change[run] = nil
			}
			tx.beat = dead
			return true
		},
		func() bool {
			runs := tx.change
			tx.lsn = db.commit(func(t *simTables) {
				for run := range runs {
					t.runs[run] = me
				}
				if !t.hasRuns(dead) {
					delete(t.beats, dead)
				}
			})
			return true
		},
	}
	e.taking = tx
	db.open = append(db.open, tx)
}

// release says that a broker has ended in order.
func (db *simDatabase) release(e *simEngine) {
	me := e.me
	tx := &simTx{by: e, lost: func() { e.session = nil }, reply: func() { e.session = nil; e.broker.crash() }}
	tx.stages = []func() bool{func() bool {
		if b, there := db.now.beats[me]; there {
			b.released = true
			tx.lsn = db.commit(func(t *simTables) { t.beats[me] = b })
		}
		return true
	}}
	e.session = tx
	db.open = append(db.open, tx)
}

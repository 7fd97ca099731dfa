package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"gearloop/store"
)

// Engine is a broker's part of the jobs in a database. Open makes one.
//
// Its goroutines: the committer writes batches, one at a time (commit.go); the heart beats and takes runs over
// (lease.go); a reader reads the jobs of those (adopt.go); another carries out the next steps of contested jobs
// (contest.go); a dispatcher and one asker for each other broker ask about jobs (inquiry.go). The engine's goroutine
// (callAll) alone calls the user, for all of them.
type Engine struct {
	opts   Options
	config *pgx.ConnConfig
	pool   *pgxpool.Pool // for everything but batches and beats
	events store.Events
	calls  chan func() // for callAll

	ctx     context.Context // ends when the engine does
	cancel  context.CancelFunc
	closing context.Context // ends when the engine does, or when Close has waited for the database for closeLimit
	hurry   context.CancelFunc
	rooms   sync.WaitGroup // goroutines that call the user through callAll
	called  chan struct{}  // closed when callAll has ended

	wake  chan struct{} // of the committer
	timer *time.Timer   // calls hurryLate
	timed bool          // timer is running; guarded by mu

	mu         sync.Mutex
	next       *batch
	writing    int64 // bytes of the batch that is under way
	jobs       map[uint64]entry
	live       int64 // bytes of jobs
	run        uint64
	runs       map[uint64]bool // whose numbers Append takes: those that were opened and not disowned since
	wantsRun   bool
	suspicious bool // a beat found no row: the next batch finds out whether the runs were taken over
	failed     error
	closed     bool
	finished   bool // closed, and the last batch is written
	ended      error
	activity   Activity
	secret     string // of all brokers of the database

	disk      atomic.Int64 // bytes that the tables take
	connected atomic.Bool  // the committer's connection is open
	looks     looks

	// The committer's own.
	session  *pgx.Conn
	me       uint64    // the run that stands for this broker in the fence; 0: none
	since    time.Time // of the first failure that no success has followed
	doubt    *batch    // that may or may not be committed
	columns  columns
	backend  backend // of the last session
	lost     bool    // the connection was, and Lost is said
	arrived  []Event // to be said when the connection has stored something
	reported bool    // Fault was called with an error

	heart    heart
	adoption adoption
	contests contests
	inquiry  inquiry
}

// Open reads the options. Start connects.
func Open(opts Options) (*Engine, error) {
	opts.setDefaults()
	config, err := configOf(&opts)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		opts: opts, config: config, next: &batch{}, jobs: map[uint64]entry{}, runs: map[uint64]bool{}, calls: make(chan func(), 4),
		wake: make(chan struct{}, 1), called: make(chan struct{}),
		contests: contests{all: map[*contested]bool{}, updated: map[uint64]update{}, wake: make(chan struct{}, 1)},
	}
	e.timer = time.AfterFunc(store.HurryWithin, e.hurryLate)
	e.failed = fmt.Errorf("%w: the database is not reached yet", store.ErrFailed)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.closing, e.hurry = context.WithCancel(e.ctx)
	e.heart.init(e)
	e.adoption.init(e)
	e.inquiry.init(e)
	return e, nil
}

// Start implements store.Store. A database that can't be reached is no error: the engine goes on trying. One that
// refuses the broker, or has no tables that it could use, is.
func (e *Engine) Start(events store.Events) error {
	e.events = events
	ctx, cancel := context.WithTimeout(e.ctx, e.opts.Patience+connectLimit) // a server that hangs is away
	defer cancel()
	err := e.connect(ctx)
	if err == nil {
		err = e.enroll(ctx)
	}
	if err != nil && isFinal(err) {
		e.cancel()
		e.closePool()
		return err
	}
	go e.callAll()
	if err == nil {
		e.announceRun()
		if err = e.heart.beat(ctx); err == nil {
			e.recovered()
		}
	}
	if err != nil {
		e.outage(err)
	}
	e.rooms.Go(e.commitAll)
	e.rooms.Go(e.heart.run)
	e.rooms.Go(e.adoption.run)
	e.rooms.Go(e.contestAll)
	e.rooms.Go(e.inquiry.run)
	return nil
}

// call has the engine's goroutine make a call to the user, and then call Flushed. Calls are made in this order.
func (e *Engine) call(call func()) { e.calls <- call }

// callAll is the engine's goroutine of package store: it makes all calls to the user.
func (e *Engine) callAll() {
	defer close(e.called)
	for call := range e.calls {
		call()
		e.events.Flushed()
	}
}

// Append implements store.Store.
func (e *Engine) Append(job *store.Job, receipt store.Receipt) (store.Ref, error) {
	size := 0
	for _, piece := range job.Argument {
		size += len(piece)
	}
	names := len(job.Function) + len(job.Unique) + len(job.Reducer)
	if size > store.MaxArgument || max(len(job.Function), len(job.Unique), len(job.Reducer)) > store.MaxName {
		return 0, store.ErrTooLarge
	}
	cost := int64(size + names + fixedSize)
	key := keyOf(job.Function, job.Unique)

	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.next
	switch waiting := b.bytes + e.writing; {
	case e.closed:
		return 0, store.ErrClosed
	case e.failed != nil:
		return 0, e.failed
	case !e.runs[store.RunOf(job.Number)]: // Disowned has not been called yet
		return 0, failure(errFenced)
	case waiting > 0 && waiting+cost > e.opts.MaxQueued:
		return 0, store.ErrBusy
	}
	p := pending{
		number: job.Number, key: key, due: job.Due, priority: job.Priority, retries: job.Retries, receipt: receipt,
		start: len(b.data), fn: int32(len(job.Function)), uniq: int32(len(job.Unique)), reducer: int32(len(job.Reducer)), size: size,
	}
	b.data = append(append(append(b.data, job.Function...), job.Unique...), job.Reducer...)
	large := size >= e.opts.large
	if large {
		p.argument = job.Argument
	} else {
		for _, piece := range job.Argument {
			b.data = append(b.data, piece...)
		}
	}
	e.jobs[job.Number] = entry{size: uint32(cost), pos: int32(len(b.jobs)), state: gathered, large: large}
	b.jobs = append(b.jobs, p)
	b.bytes += cost
	e.live += cost
	if !e.timed {
		e.timed = true
		e.timer.Reset(store.HurryWithin)
	}
	// Few large jobs would be refused (MaxQueued) while the database is idle.
	if full := min(batchBytes, e.opts.MaxQueued/2); len(b.jobs) == batchJobs || b.bytes >= full && b.bytes-cost < full {
		e.ring()
	}
	return store.Ref(job.Number), nil
}

// Hurry implements store.Store.
func (e *Engine) Hurry() { e.ring() }

// hurryLate has the jobs written that have gathered and got no Hurry. One timer serves all batches that begin
// while it runs.
func (e *Engine) hurryLate() {
	e.mu.Lock()
	e.timed = false
	e.mu.Unlock()
	e.ring()
}

// ring wakes the committer.
func (e *Engine) ring() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// forget removes a job from the living ones. The engine is locked.
func (e *Engine) forget(number uint64) {
	if j, ok := e.jobs[number]; ok {
		e.live -= int64(j.size)
		delete(e.jobs, number)
		delete(e.next.updated, number) // the job may be appended again, with newer values
		delete(e.contests.updated, number)
	}
}

// Done implements store.Store.
func (e *Engine) Done(ref store.Ref) {
	number := uint64(ref)
	e.mu.Lock()
	defer e.mu.Unlock()
	j, ok := e.jobs[number]
	if !ok {
		return
	}
	e.forget(number)
	if j.state == gathered {
		e.next.jobs[j.pos].over = true // it need not be stored any more
		return
	}
	before := e.next.lazy()
	e.next.ended = append(e.next.ended, int64(number))
	if j.large {
		e.next.args = append(e.next.args, int64(number))
	}
	e.ringLazily(before)
}

// Update implements store.Store.
func (e *Engine) Update(ref store.Ref, retries uint16, priority store.Priority) {
	number := uint64(ref)
	e.mu.Lock()
	defer e.mu.Unlock()
	j, ok := e.jobs[number]
	switch {
	case !ok:
	case j.state == gathered:
		p := &e.next.jobs[j.pos]
		p.retries, p.priority = retries, priority
	case j.state == aside:
		e.contests.updated[number] = update{retries, priority}
	default:
		before := e.next.lazy()
		if e.next.updated == nil {
			e.next.updated = map[uint64]update{}
		}
		e.next.updated[number] = update{retries, priority}
		e.ringLazily(before)
	}
}

// ringLazily wakes the committer for the first end or retry, to set its timer, and when lazyMost of them wait.
func (e *Engine) ringLazily(before int) {
	if before == 0 || before < lazyMost && e.next.lazy() >= lazyMost {
		e.ring()
	}
}

// NewRun implements store.Store.
func (e *Engine) NewRun() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wantsRun = true
	e.ring()
}

// Stats implements store.Store.
func (e *Engine) Stats() store.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := store.Stats{
		Jobs: len(e.jobs), LiveBytes: e.live, DiskBytes: max(e.disk.Load(), e.live), Queued: e.next.bytes + e.writing, Failed: e.failed,
	}
	if e.closed {
		s.Failed = nil
	}
	return s
}

// admit has Append take numbers of a run.
func (e *Engine) admit(run uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[run] = true
}

// Run returns the run that new jobs get numbers of, 0 if there is none.
func (e *Engine) Run() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.run
}

// Close implements store.Store. It releases all runs, so that another broker can take them over at once. It waits for a
// database that does not answer for at most closeLimit and some seconds.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	if e.events == nil { // never started
		e.cancel()
		e.closePool()
		return nil
	}
	e.ring()
	defer time.AfterFunc(closeLimit, e.hurry).Stop()
	<-e.called
	return e.ended
}

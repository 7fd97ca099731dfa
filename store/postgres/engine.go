package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"gearloop/store"
)

// Engine is a broker's part of the jobs in a database. Open makes one.
//
// Its goroutines: the committer writes batches, one at a time (commit.go); the heart beats and takes over (lease.go); a
// reader reads what was taken over (adopt.go); and the teller alone calls the user, for all of them.
type Engine struct {
	opts   Options
	config *pgx.ConnConfig
	pool   *pgxpool.Pool // for everything but batches and beats
	events store.Events
	calls  chan func() // for the teller

	ctx    context.Context // ends when the engine does
	cancel context.CancelFunc
	rooms  sync.WaitGroup // goroutines that may call the teller
	told   chan struct{}  // closed when the teller has ended

	wake chan struct{} // of the committer

	mu         sync.Mutex
	next       *batch
	writing    int64 // bytes of the batch that is under way
	jobs       map[uint64]entry
	live       int64 // bytes of jobs
	run        uint64
	runs       map[uint64]bool // whose numbers Append takes: those that were opened and not disowned since
	wantsRun   bool
	suspicious bool // a beat went nowhere: look at the fence
	failed     error
	closed     bool
	ended      error
	activity   Activity

	disk  atomic.Int64 // bytes that the tables take
	lease atomic.Int64 // until when stored jobs may be handed out, in nanoseconds of the process; for Status

	// The committer's own.
	session *pgx.Conn
	me      uint64    // the run that stands for this broker in the fence; 0: none
	since   time.Time // of the first failure that no success has followed
	doubt   *batch    // what became of it is not known
	columns columns
	reports bool // Fault was called with an error

	heart    heart
	adoption adoption
	lookups  chan lookup
}

// entry is what is kept of a living job.
type entry struct {
	size  uint32
	pos   int32 // in the batch that gathers
	state uint8
	large bool
}

// States of a job.
const (
	gathered = iota // in Engine.next
	sent            // in a batch that is under way
	safe
)

// fixedSize is about what a row takes beside its strings and argument, in bytes.
const fixedSize = 100

// pending is a job of a batch.
type pending struct {
	number            uint64
	key               pgtype.UUID
	due               int64
	priority          store.Priority
	retries           uint16
	start             int // of its strings, and its argument if that is not large, in batch.data
	fn, uniq, reducer int32
	size              int
	argument          [][]byte // a large one
	receipt           store.Receipt
	over              bool // it ended before it was sent
	outcome           error
	settled           bool // its outcome is known
	written           bool // the large argument is
	elsewhere         bool // the outcome comes later (outcome.go)
	holder            uint64
}

// batch is what is sent at once.
type batch struct {
	data    []byte
	jobs    []pending
	ended   []int64
	args    []int64
	updated map[uint64]update
	bytes   int64
}

// update is what Update wants to be written.
type update struct {
	retries  uint16
	priority store.Priority
}

func (b *batch) lazy() int { return len(b.ended) + len(b.updated) }

// Open reads the options. Start connects.
func Open(opts Options) (*Engine, error) {
	opts.setDefaults()
	config, err := configOf(&opts)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		opts: opts, config: config, next: &batch{}, jobs: map[uint64]entry{}, runs: map[uint64]bool{}, calls: make(chan func(), 4),
		wake: make(chan struct{}, 1), told: make(chan struct{}), lookups: make(chan lookup, 1024),
	}
	e.failed = fmt.Errorf("%w: the database is not reached yet", store.ErrFailed)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.heart.init(e)
	e.adoption.init(e)
	return e, nil
}

// Start implements store.Store. A database that can't be reached is no error: the engine goes on trying. One that
// refuses the broker, or has no tables that it could use, is.
func (e *Engine) Start(events store.Events) error {
	e.events = events
	err := e.connect(e.ctx)
	if err == nil {
		err = e.enroll(e.ctx)
	}
	if err != nil && isFinal(err) {
		e.cancel()
		e.closePool()
		return err
	}
	go e.tellAll()
	if err == nil {
		e.opened()
		if err = e.heart.beat(e.ctx); err == nil {
			e.recovered()
		}
	}
	if err != nil {
		e.away(err)
	}
	e.rooms.Go(e.commitAll)
	e.rooms.Go(e.heart.run)
	e.rooms.Go(e.adoption.run)
	for range lookupsAtOnce {
		e.rooms.Go(e.lookUpAll)
	}
	return nil
}

// tell has the teller make a call, behind which Flushed comes.
func (e *Engine) tell(call func()) { e.calls <- call }

// tellAll is the teller.
func (e *Engine) tellAll() {
	defer close(e.told)
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
	case !e.runs[store.RunOf(job.Number)]: // the user has not heard of Disowned yet
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
	if len(b.jobs) == 1 {
		e.ring()
	}
	return store.Ref(job.Number), nil
}

// ring wakes the committer.
func (e *Engine) ring() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// forget takes a job off the list of living ones. The engine is locked.
func (e *Engine) forget(number uint64) {
	if j, ok := e.jobs[number]; ok {
		e.live -= int64(j.size)
		delete(e.jobs, number)
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
	delete(e.next.updated, number)
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
	default:
		before := e.next.lazy()
		if e.next.updated == nil {
			e.next.updated = map[uint64]update{}
		}
		e.next.updated[number] = update{retries, priority}
		e.ringLazily(before)
	}
}

// ringLazily wakes the committer for the first thing that can wait, to set its clock, and for one too many.
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

// Close implements store.Store. It lets go of all jobs, so that another broker can take them over at once.
func (e *Engine) Close() error {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	if e.events == nil { // never started
		e.cancel()
		e.closePool()
		return nil
	}
	e.ring()
	<-e.finished()
	if again {
		return e.ended
	}
	return e.ended
}

// finished returns a channel that is closed when the engine has ended.
func (e *Engine) finished() <-chan struct{} { return e.told }

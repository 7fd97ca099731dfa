package sched

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/internal/dialect"
	"gearloop/store"
)

// Config is how a scheduler is set up. It does not change afterwards.
type Config struct {
	Dialect *dialect.Dialect

	// HandlePrefix is what handles begin with, before ":" and the number: "H:" and the host's name.
	// It is cut where a handle would not have room for it.
	HandlePrefix string
	// Wakeup is how many sleepers are woken for each job, and again every WakeupDelay while jobs
	// wait. Wakeup <0 wakes all, 0 none; WakeupDelay <0 is never.
	Wakeup      int
	WakeupDelay time.Duration
	// MaxMemory bounds what peers can make the scheduler keep, in bytes; 0 = no bound. Up to a
	// quarter of it may be reserved and unused.
	MaxMemory int64
	// Exceptions gives every client the option "exceptions".
	Exceptions bool
	// Assign is the order in which a worker's functions are asked; 0 = as the dialect has it.
	Assign dialect.Assign
	// JobRetries is how many workers may lose a job or run out of time with it until it fails, where
	// the dialect gives it to another; 0 = no bound.
	JobRetries int
	// KeepArguments keeps the arguments of jobs that workers have, so that each can be taken back (TakeBackJob). Without
	// it that of a job that is handed out only once is let go of.
	KeepArguments bool
	// Start is when the process started, as the clock has it that gives the times of all calls. The times of
	// jobs are kept relative to it; without it they are not known.
	Start time.Time

	// Metrics is nil where nobody asks for numbers that outlive functions, and histograms.
	Metrics *MetricsConfig

	// Step, if set, is called between the steps of a call: where it goes from shard to shard, and
	// between two looks at something that others change without a lock. Simulations use it to let
	// others in.
	Step func()
}

// Sched is the scheduler. Its methods may be called from many goroutines, under the rule for peers
// in the package comment.
type Sched struct {
	cfg     Config
	dialect *dialect.Dialect
	policy  policy
	budget  *budget
	_       [cacheLines]byte // what is above is read for every job: keeps the first shard's lock off it
	shards  [shardCount]shard

	wide   int          // from how many that joined it on a job's packets go through a Fan
	fanned atomic.Int64 // bytes of packets in Fans

	store    store.Store // keeps background jobs; nil = they end with the process
	received receiver
	ending   atomic.Bool // Shelve was called
	frozen   atomic.Bool // Freeze was called
	owned    owned
	steered  atomic.Int64 // functions that have a setting

	peersMu sync.Mutex
	peers   map[*Peer]struct{}
}

// shard is one lock and all that it guards: some of the functions, with their jobs.
type shard struct {
	mu    sync.Mutex
	sched *Sched
	index int

	functions  map[string]*function
	jobs       jobTable
	uniques    map[uniqueKey]*job
	sameUnique map[string]*job // heads of chains
	delayed    delayHeap
	delayTimer Timer
	pinned     int       // functions that stay though nobody needs them
	sequence   uint64    // run and count of the next job's number, see package store
	renewAt    uint64    // sequence from which on a new run is asked for
	queued     int       // jobs in queues
	running    int       // jobs that a worker has
	storing    int       // new jobs that are not stored yet
	safe       int       // of those in queues, jobs that are stored
	lease      time.Time // until then stored jobs may be handed out
	shelved    int       // jobs on the shelves of all functions
	returning  bool      // they are being queued again
	abilities  int       // of all functions
	listeners  int       // of all jobs, those that are gone included
	credit     int64     // drawn from the budget and not used
	memory     int64     // charged, in bytes
	record     store.Job // for Append
	counters   Counters  // of all functions, those that are forgotten included
	times      *Times    // the same; nil without Config.Metrics
	own        map[string]*own
	departed   map[string]*departure // of functions that are forgotten; nil before the first

	apart [cacheLines]byte // keeps the next shard's lock off this one's cache lines
}

// New returns an empty scheduler.
func New(cfg Config) *Sched {
	cfg.HandlePrefix = cfg.HandlePrefix[:min(len(cfg.HandlePrefix), MaxHandle-len(":")-maxDigits-len("\x00"))]
	if cfg.Assign == 0 {
		cfg.Assign = cfg.Dialect.Assign
	}
	s := &Sched{cfg: cfg, dialect: cfg.Dialect, policy: defaultPolicy(&cfg), budget: newBudget(cfg.MaxMemory), peers: map[*Peer]struct{}{}, wide: wideJob}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.sched, sh.index, sh.renewAt = s, i, math.MaxUint64
		sh.functions = map[string]*function{}
		sh.jobs.pages = map[uint64]*jobPage{}
		sh.uniques = map[uniqueKey]*job{}
		sh.sameUnique = map[string]*job{}
		sh.delayTimer.shard = sh
		if cfg.Metrics != nil {
			sh.times, sh.own = &Times{}, map[string]*own{}
		}
	}
	return s
}

// shardOf returns where a function lies, the same in every run.
func (s *Sched) shardOf(function []byte) *shard { return &s.shards[store.ShardOf(function)] }

// lock takes the shard's lock. In a simulation, where others are let in while it is held, it lets
// them go on until it is free.
func (sh *shard) lock() {
	if sh.sched.cfg.Step == nil {
		sh.mu.Lock()
		return
	}
	for !sh.mu.TryLock() {
		sh.sched.cfg.Step()
	}
}

func (sh *shard) step() { sh.sched.step() }

// step lets others in, in a simulation.
func (s *Sched) step() {
	if s.cfg.Step != nil {
		s.cfg.Step()
	}
}

// DropUnwanted forgets the queued jobs that nobody waits for any more: foreground jobs whose clients are
// gone. Otherwise that is done when their turn comes.
func (s *Sched) DropUnwanted(now time.Time) {
	walk := s.WalkJobs()
	for more := true; more; {
		more = walk.step(func(j *job) {
			if j.state == queued && !j.wanted() {
				j.fn.shard.end(j, Unwanted, now)
			}
		})
	}
}

// Outstanding returns how many jobs would be lost if the server ended: those that are queued and not
// stored, and those that are running. Delayed jobs are neither.
func (s *Sched) Outstanding() (queued, running int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		queued += sh.queued - sh.safe + sh.storing
		running += sh.running
		sh.mu.Unlock()
	}
	return queued, running
}

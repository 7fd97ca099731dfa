package sched

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/internal/dialect"
	"gearloop/internal/slim"
	"gearloop/store"
)

// Config configures a scheduler. It does not change afterwards.
type Config struct {
	Dialect *dialect.Dialect

	// HandlePrefix is the part of handles before ":" and the number: "H:" and the host's name. It is cut if a
	// handle would become too long.
	HandlePrefix string
	// Wakeup is how many sleepers are woken for each job, and again every WakeupDelay while jobs wait. Wakeup <0
	// wakes all, 0 none; WakeupDelay <0 disables the repetition.
	Wakeup      int
	WakeupDelay time.Duration
	// Herd is the largest number of sleepers of a function for which Wakeup holds. Of more, only as many are
	// woken as jobs wait that nobody was woken for, and others after WakeupDelay if those do not come. 0 =
	// Wakeup holds for any number, as it does if WakeupDelay is negative.
	Herd int
	// MaxMemory bounds the memory that peers can make the scheduler use, in bytes; 0 = no bound. Up to a quarter
	// of it may be reserved and unused.
	MaxMemory int64
	// Grown is called once when more memory is in use than WhenAbove was told. It must neither block nor call the
	// scheduler: a lock is held. nil = WhenAbove is not used.
	Grown func()
	// Exceptions sets the option "exceptions" for every client.
	Exceptions bool
	// Assign is the order in which a worker's functions are asked; 0 = the dialect's.
	Assign dialect.Assign
	// JobRetries is how many workers may lose a job, or run out of time with it, before it fails, in a dialect
	// that gives it to another worker; 0 = no bound.
	JobRetries int
	// KeepArguments keeps the arguments of jobs on workers, so that each can be taken back (TakeBackJob).
	// Otherwise the argument of a job that is handed out only once is freed.
	KeepArguments bool
	// Populate, if set, is called while a queue grows, with memory that will soon be filled: some 32 KiB that
	// nobody else uses, and whose content it must not change. It may have the system provide all pages of that
	// memory in one call, which costs less than a page fault for each. It is called under a lock. nil = each page
	// is provided when it is first touched.
	Populate func(memory []byte)
	// Start is when the process started, by the clock that gives the times of all calls. Times of jobs are
	// stored relative to it; without it they are unknown.
	Start time.Time

	// Metrics configures numbers that outlive functions, and histograms; nil disables both.
	Metrics *MetricsConfig

	// Step, if set, is called between the steps of a call: between two shards, and between two reads of
	// something that others change without a lock. Simulations use it to interleave other calls.
	Step func()
}

// Sched is the scheduler. Any goroutine may call its methods, subject to the rules for peers in the package
// comment.
type Sched struct {
	cfg     Config
	dialect *dialect.Dialect
	policy  policy
	prefix  string // of handles, with the colon
	budget  *budget
	_       [cacheLines]byte // the fields above are read for every job: keep the first shard's lock away from them
	shards  [shardCount]shard

	wide   int          // number of listeners from which on a job's packets go through a Fan
	fanned atomic.Int64 // bytes of packets in Fans

	store    store.Store // keeps background jobs; nil = they end with the process
	received receiver
	ending   atomic.Bool // Shelve was called
	frozen   atomic.Bool // Freeze was called
	owned    owned
	steered  atomic.Int64 // functions that have a setting

	peersMu   sync.Mutex
	peers     map[*Peer]struct{}
	mostPeers slim.Peak
}

// shard is one lock and everything it guards: some of the functions, with their jobs.
type shard struct {
	mu    sync.Mutex
	sched *Sched
	index int

	functions  map[string]*function
	jobs       jobTable
	uniques    map[uniqueKey]*job
	sameUnique map[string]*job // heads of chains

	mostFunctions, mostUniques, mostSame slim.Peak // of these maps

	delayed    delayHeap
	delayTimer Timer
	pinned     int // pinned functions that are unused
	handle     handleText
	sequence   uint64                 // run and count of the next job's number, see package store
	renewAt    uint64                 // sequence at which a new run is requested
	queued     int                    // jobs in queues
	running    int                    // jobs on workers
	storing    int                    // new jobs that are not stored yet
	safe       int                    // queued jobs that are stored
	lease      time.Time              // stored jobs may be handed out until then
	shelved    int                    // jobs on the shelves of all functions
	returning  bool                   // unshelve is queueing them again
	abilities  int                    // of all functions
	slabs      [jobSizes]*slab        // by the size of their jobs: the lists of slabs that are not full
	slabsHeld  [jobSizes]int          // by the size of their jobs: how many slabs the shard has, also full ones
	listeners  int                    // of all jobs, including those that are gone
	joined     uint32                 // the last extra.serial
	credit     int64                  // drawn from the budget and not used
	memory     int64                  // charged, in bytes
	record     store.Job              // scratch for Append
	others     Counters               // of the functions without numbers of their own, including forgotten ones
	owned      Counters               // of the functions in own
	times      *Times                 // of both; nil without Config.Metrics
	own        map[string]*own        // nothing is ever removed
	departed   []forgotten            // at most maxDepartures
	shelves    map[*function]struct{} // functions with jobs on shelves

	apart [cacheLines]byte // keeps the next shard's lock off this shard's cache lines
}

// New returns an empty scheduler.
func New(cfg Config) *Sched {
	cfg.HandlePrefix = cfg.HandlePrefix[:min(len(cfg.HandlePrefix), MaxHandle-len(":")-maxDigits-len("\x00"))]
	if cfg.Assign == 0 {
		cfg.Assign = cfg.Dialect.Assign
	}
	if cfg.WakeupDelay < 0 {
		cfg.Herd = 0 // a worker that does not come would block its job forever
	}
	s := &Sched{cfg: cfg, dialect: cfg.Dialect, policy: defaultPolicy(&cfg), prefix: cfg.HandlePrefix + ":", budget: newBudget(cfg.MaxMemory, cfg.Grown), peers: map[*Peer]struct{}{}, wide: wideJob}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.sched, sh.index, sh.renewAt = s, i, math.MaxUint64
		sh.functions = map[string]*function{}
		sh.shelves = map[*function]struct{}{}
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

// shardOf returns the shard of a function, which is the same in every run.
func (s *Sched) shardOf(function []byte) *shard { return &s.shards[store.ShardOf(function)] }

// lock acquires the shard's lock. In a simulation, which interleaves other calls while it is held, it lets
// them run until the lock is free.
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

// step lets a simulation interleave other calls.
func (s *Sched) step() {
	if s.cfg.Step != nil {
		s.cfg.Step()
	}
}

// DropUnwanted removes queued foreground jobs whose clients have all gone. Without it they are removed when a
// worker comes across them.
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

// Outstanding returns how many jobs would be lost if the server ended: queued ones that are not stored, and
// running ones. Delayed jobs count as neither.
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

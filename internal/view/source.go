package view

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/api"
	"gearloop/reactor"
	"gearloop/sched"
)

// Config configures a Source.
type Config struct {
	Sched   *sched.Sched
	Version string
	Dialect string
	Host    string
	PID     int
	Started time.Time
	Now     func() time.Time // nil means time.Now
	Server  *reactor.Server  // nil: no sockets to show

	Listeners      []api.Listener      // in addition to those of Server
	MemoryLimit    int64               // --max-memory in bytes; 0 = none
	StoreEngine    string              // disk or postgres
	StoreDirectory string              // or the database
	StoreSync      string              // when a job counts as stored
	Options        func() []api.Option // in effect; nil: not shown
	// Certificates returns when the first certificate in each file expires; nil: no certificates.
	Certificates func() map[string]time.Time
}

// Source provides what is shown of a broker. Any goroutine may call its methods.
type Source struct {
	cfg      Config
	patience time.Duration // the constant, except in tests

	functions   shared[*functionSnapshot]
	peers       shared[peerSnapshot]
	descriptors shared[api.Descriptors]
	workers     shared[map[string]sched.WorkerCount]
	watcher     watcher
	past        past
	recent      recent
	failures    pastFailures
	rates       pastRates
	store       atomic.Pointer[Keeper]
	loaded      atomic.Int64              // how long loading the store took, in ns
	free        atomic.Int64              // free space on its disk, in bytes
	looking     atomic.Bool               // lookAtDisk is running
	locksTaken  atomic.Pointer[time.Time] // when all locks of the scheduler were last acquired; nil: nobody checks

	functionCount atomic.Int64 // rows of the last snapshot
}

// New returns the source of a broker.
func New(cfg Config) *Source {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Source{cfg: cfg, patience: patience}
}

// shared is a snapshot that several requests share while it is fresh. Only one of them makes it. It is released
// afterwards: one of a million connections takes a hundred megabytes, and keeps those in memory that have ended.
type shared[T any] struct {
	mu    sync.Mutex
	made  time.Time // zero: there is none
	value T
	count int // of snapshots made
}

// get returns the snapshot and when it was made.
func (s *shared[T]) get(now time.Time, snap func() T) (T, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.made); s.made.IsZero() || age > freshFor || age < 0 {
		s.value, s.made = snap(), now
		s.count++
		count := s.count
		time.AfterFunc(freshFor, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.count == count {
				s.release()
			}
		})
	}
	return s.value, s.made
}

// drop makes the next request make a new snapshot.
func (s *shared[T]) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
}

// release lets the collector have the snapshot. The caller holds mu.
func (s *shared[T]) release() {
	var none T
	s.value, s.made = none, time.Time{}
}

// Workers returns how many workers of each function sleep and how many have a job, as it was up to a second
// ago. Functions of which there are none are missing. The map must not be changed.
func (s *Source) Workers() map[string]sched.WorkerCount {
	all, _ := s.workers.get(s.cfg.Now(), func() map[string]sched.WorkerCount {
		walk := s.cfg.Sched.WalkWorkers()
		for walk.Next() {
			runtime.Gosched() // the loops come first
		}
		return walk.Counts()
	})
	return all
}

// Totals returns the sums over all functions.
func (s *Source) Totals() api.Totals {
	n, c := s.cfg.Sched.Count(), s.cfg.Sched.Counters()
	t := api.Totals{
		Functions: n.Functions, Waiting: n.Queued, Delayed: n.Delayed, Running: n.Running, Connections: n.Peers,
		Storing: n.Storing, Workers: n.Workers,
		Asleep: n.Sleepers, Memory: n.Memory, MemoryLimit: s.cfg.MemoryLimit,
		Submitted: api.Count(c.Foreground + c.Background), Coalesced: api.Count(c.Coalesced), HandedOut: api.Count(c.HandedOut),
		Ended: ended(&c), Refused: map[string]api.Count{},
	}
	for i, n := range c.Refused {
		t.Refused[sched.Refusal(i).String()] = api.Count(n)
	}
	return t
}

// ended returns the nonzero counts of ended jobs by outcome.
func ended(c *sched.Counters) map[string]api.Count {
	all := map[string]api.Count{}
	for i, n := range c.Ended {
		if n > 0 {
			all[sched.Outcome(i).String()] = api.Count(n)
		}
	}
	return all
}

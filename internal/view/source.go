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

// Config says what is looked at.
type Config struct {
	Sched   *sched.Sched
	Version string
	Dialect string
	Host    string
	PID     int
	Started time.Time
	Now     func() time.Time // nil is time.Now
	Server  *reactor.Server  // nil: there are no sockets to show

	Listeners      []api.Listener // beside those of Server
	MemoryLimit    int64          // --max-memory in bytes; 0 = none
	StoreDirectory string
	StoreSync      string              // when a job counts as stored
	Options        func() []api.Option // in force; nil: not told
	// Certificates returns when the first certificate in each file expires; nil: there are none.
	Certificates func() map[string]time.Time
}

// Source is what a broker shows. Its methods may be called by many goroutines at a time.
type Source struct {
	cfg Config

	functions  shared[[]functionRow]
	workers    shared[map[string]sched.WorkerCount]
	watcher    watcher
	past       past
	recent     recent
	failures   pastFailures
	store      atomic.Pointer[Keeper]
	loaded     atomic.Int64              // how long the store took to load, in ns
	free       atomic.Int64              // room on its disk, in bytes
	looking    atomic.Bool               // that is being found out
	locksTaken atomic.Pointer[time.Time] // when all locks of the scheduler were to be had last; nil: nobody looks
}

// New returns the source of a broker.
func New(cfg Config) *Source {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Source{cfg: cfg}
}

// shared is a snapshot that several requests use while it is fresh. Only one makes it.
type shared[T any] struct {
	mu    sync.Mutex
	made  time.Time
	value T
}

// get returns the snapshot and when it was made.
func (s *shared[T]) get(now time.Time, snap func() T) (T, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.made); s.made.IsZero() || age > freshFor || age < 0 {
		s.value, s.made = snap(), now
	}
	return s.value, s.made
}

// Workers returns how many workers of each function sleep and how many have a job, as it was up to a second ago. Functions of
// which there are none are missing. The map must not be changed.
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

// ended returns the ends of jobs by outcome, those that there were.
func ended(c *sched.Counters) map[string]api.Count {
	all := map[string]api.Count{}
	for i, n := range c.Ended {
		if n > 0 {
			all[sched.Outcome(i).String()] = api.Count(n)
		}
	}
	return all
}

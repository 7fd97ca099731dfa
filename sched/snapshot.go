package sched

import (
	"net/netip"
	"slices"
	"time"
)

// FunctionInfo describes a function.
type FunctionInfo struct {
	Name    string
	Total   int             // all jobs: queued, delayed and running
	Running int             // jobs on workers
	Workers int             // registered workers
	Waiting [Priorities]int // jobs that wait to be handed out, including delayed ones
}

// FunctionStats describes a function for metrics.
type FunctionStats struct {
	FunctionInfo
	Counters
	Delayed [Priorities]int // the part of Waiting that is not due yet
	// Oldest is since when the longest-waiting due job has waited, judged by the ends of its queues: a job that
	// was put back may stand behind younger ones at first. Zero: none waits.
	Oldest time.Time
	Paused *Setting // no job is handed out; nil: not paused
	Closed *Setting // no submission is accepted; nil: not closed
	// MaxQueue is how many jobs of each priority may wait for a submission to be taken in; below 0: any number.
	MaxQueue [Priorities]int32
	Own      bool // it has numbers of its own, see Metrics
}

// JobInfo describes a job.
type JobInfo struct {
	Number     uint64 // the end of its handle, see AppendHandle
	Function   string
	Unique     string
	Worker     *Peer // nil while it waits
	Listeners  int   // foreground submissions whose clients are connected
	Retries    int   // workers that lost it
	Background bool  // it was submitted as a background job
	Wanted     bool  // somebody still wants it done
	State      string
	Submitted  time.Time // of a job stored by an earlier run: when it was adopted
	Since      time.Time // queued: since it was queued; on a worker: since the worker got it
}

// PeerInfo describes a connection.
type PeerInfo struct {
	Peer      *Peer
	FD        int
	Addr      netip.AddrPort
	ClientID  string
	Abilities Abilities
}

// Abilities are the registrations of a worker, in the order of CAN_DO.
type Abilities []*ability

// Function returns the name of the function at i.
func (a Abilities) Function(i int) string { return a[i].fn.name }

// CanDo reports whether a connection is registered for a function.
func (s *Sched) CanDo(p *Peer, function string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.abilities, func(a *ability) bool { return a.fn.name == function })
}

// Counts are numbers of the scheduler's objects.
type Counts struct {
	Peers, Workers, Functions, Abilities, Sleepers       int // Abilities: pairs of a worker and a function
	Queued, Running, Delayed, Storing, Listeners, Unique int
	Memory                                               int64 // charged to --max-memory, in bytes
}

// Count counts the scheduler's objects.
func (s *Sched) Count() Counts {
	walk := s.WalkCounts()
	for {
		if c, more := walk.Next(); !more {
			return c
		}
	}
}

// shown reports whether lists include the function: one that only has a bound is not shown. The shard is
// locked.
func (fn *function) shown() bool {
	return fn.jobs > 0 || fn.abilities > 0 || fn.pinned || fn.steer != nil
}

// info describes the function. The shard is locked.
func (fn *function) info() FunctionInfo {
	info := FunctionInfo{Name: fn.name, Total: fn.jobs, Running: fn.running, Workers: fn.abilities}
	for p := range info.Waiting {
		info.Waiting[p] = int(fn.waiting[p] + fn.later[p] + fn.aside[p])
	}
	return info
}

// stats describes the function for metrics. The shard is locked.
func (fn *function) stats() FunctionStats {
	st := FunctionStats{FunctionInfo: fn.info(), MaxQueue: fn.maxQueue, Own: fn.own != nil}
	if fn.counters != nil {
		st.Counters = *fn.counters
	}
	for p, n := range fn.later {
		st.Delayed[p] = int(n)
	}
	if fn.steer != nil {
		st.Paused, st.Closed = fn.steer.paused, fn.steer.closed
	}
	if since, ok := fn.oldest(); ok {
		st.Oldest = fn.shard.sched.time(since)
	}
	return st
}

// Counters returns the sums over all functions since the start.
func (s *Sched) Counters() (all Counters) {
	s.eachShard(func(sh *shard) { sh.addTo(&all) })
	return all
}

// info describes the job. The shard is locked.
func (j *job) info() JobInfo {
	info := JobInfo{
		Number: j.number, Function: j.fn.name, Unique: j.shownUnique(),
		Retries: int(j.retries), Background: j.background, Wanted: j.state != abandoned && j.wanted(),
		State: j.state.String(), Submitted: j.fn.shard.sched.time(j.created), Since: j.fn.shard.sched.time(j.since),
	}
	if j.onWorker() {
		info.Worker = j.worker
	}
	info.Listeners = j.listening()
	return info
}

func (s *Sched) eachShard(f func(*shard)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		f(sh)
		sh.mu.Unlock()
		s.step()
	}
}

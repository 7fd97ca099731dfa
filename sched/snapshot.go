package sched

import (
	"net/netip"
	"time"
)

// FunctionInfo is what can be told of a function.
type FunctionInfo struct {
	Name    string
	Total   int             // jobs there are: queued, delayed and running
	Running int             // jobs that a worker has
	Workers int             // workers that can do it
	Waiting [Priorities]int // jobs that wait to be handed out, delayed ones included
}

// FunctionStats is what metrics tell of a function.
type FunctionStats struct {
	FunctionInfo
	Counters
	Delayed [Priorities]int // of those that wait, the jobs that are not due yet
	// Oldest is since when the job has waited that has waited longest of those that are due, as far as the
	// ends of its queues tell: a job that was put back stands behind younger ones at first. Zero: none waits.
	Oldest time.Time
	Paused *Setting // no job is handed out; nil: it is not paused
	Closed *Setting // no submission is taken in; nil: it is not closed
	// MaxQueue is how many jobs of each priority may wait for a submission to be taken in; below 0: any number.
	MaxQueue [Priorities]int32
	Own      bool // it has numbers of its own, see Metrics
}

// JobInfo is what can be told of a job.
type JobInfo struct {
	Number     uint64 // the end of its handle, see AppendHandle
	Function   string
	Unique     string
	Worker     *Peer // nil while it waits
	Listeners  int   // foreground submissions whose clients are there
	Retries    int   // workers that lost it
	Background bool  // it was submitted as background job
	Wanted     bool  // anybody still wants it done
	State      string
	Submitted  time.Time // of one that was stored earlier: when it was adopted
	Since      time.Time // queued: since when; on a worker: since it got it
}

// PeerInfo is what can be told of a connection.
type PeerInfo struct {
	Peer      *Peer
	FD        int
	Addr      netip.AddrPort
	ClientID  string
	Abilities Abilities
}

// Abilities is what a worker can do, in the order in which it was registered.
type Abilities []*ability

// Function returns the name of the function at i.
func (a Abilities) Function(i int) string { return a[i].fn.name }

// Counts tells how many there are of the scheduler's own objects.
type Counts struct {
	Peers, Workers, Functions, Abilities, Sleepers       int // workers can do a function
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

// shown reports whether the function is told of: one that only has a bound is not. The shard is locked.
func (fn *function) shown() bool {
	return fn.jobs > 0 || fn.abilities > 0 || fn.pinned || fn.steer != nil
}

// info tells of the function. The shard is locked.
func (fn *function) info() FunctionInfo {
	info := FunctionInfo{Name: fn.name, Total: fn.jobs, Running: fn.running, Workers: fn.abilities}
	for p := range info.Waiting {
		info.Waiting[p] = int(fn.waiting[p] + fn.later[p] + fn.aside[p])
	}
	return info
}

// stats tells what metrics want to know of the function. The shard is locked.
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

// Counters returns what has happened to all jobs.
func (s *Sched) Counters() (all Counters) {
	s.eachShard(func(sh *shard) { all.Add(&sh.counters) })
	return all
}

// info tells of the job. The shard is locked.
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

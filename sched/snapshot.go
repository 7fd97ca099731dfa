package sched

import (
	"net/netip"
	"slices"
	"strings"
)

// FunctionInfo is what can be told of a function.
type FunctionInfo struct {
	Name    string
	Total   int             // jobs there are: queued, delayed and running
	Running int             // jobs that a worker has
	Workers int             // workers that can do it
	Waiting [Priorities]int // jobs that wait to be handed out, delayed ones included
}

// JobInfo is what can be told of a job.
type JobInfo struct {
	Handle     string
	Function   string
	Unique     string
	Worker     *Peer // nil while it waits
	Listeners  []*Peer
	Retries    int  // workers that lost it
	Background bool // it was submitted as background job
	Wanted     bool // anybody still wants it done
}

// PeerInfo is what can be told of a connection.
type PeerInfo struct {
	Peer      *Peer
	FD        int
	Addr      netip.AddrPort
	ClientID  string
	Functions []string // it can do, in the order they were registered
}

// Counts tells how many there are of the scheduler's own objects.
type Counts struct {
	Peers, Functions, Abilities, Sleepers       int
	Queued, Running, Delayed, Listeners, Unique int
	Memory                                      int64 // charged to --max-memory, in bytes
}

// Functions returns the functions that a worker can do or that have a job, by name.
func (s *Sched) Functions() []FunctionInfo {
	var all []FunctionInfo
	delayed := map[string][]priority{}
	s.eachShard(func(sh *shard) {
		for _, fn := range sh.functions {
			if fn.jobs > 0 || fn.abilities > 0 || fn.kept {
				info := FunctionInfo{Name: fn.name, Total: fn.jobs, Running: fn.running, Workers: fn.abilities}
				for p, n := range fn.waiting {
					info.Waiting[p] = int(n)
				}
				all = append(all, info)
			}
		}
		for _, j := range sh.delayed {
			delayed[j.fn.name] = append(delayed[j.fn.name], j.priority)
		}
	})
	for i := range all {
		for _, p := range delayed[all[i].Name] {
			all[i].Waiting[p]++
		}
	}
	slices.SortFunc(all, func(a, b FunctionInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Jobs returns all jobs, in no particular order.
func (s *Sched) Jobs() []JobInfo {
	var all []JobInfo
	s.eachShard(func(sh *shard) {
		for j := range sh.jobs.all() {
			info := JobInfo{
				Handle: string(s.appendHandle(nil, j.number)), Function: j.fn.name, Unique: j.shownUnique(),
				Retries: int(j.retries), Background: j.background, Wanted: j.wanted(),
			}
			if j.state == running {
				info.Worker = j.worker
			}
			j.listening(func(p *Peer) { info.Listeners = append(info.Listeners, p) })
			all = append(all, info)
		}
	})
	return all
}

// Peers returns all connections, by descriptor.
func (s *Sched) Peers() []PeerInfo {
	s.peersMu.Lock()
	peers := make([]*Peer, 0, len(s.peers))
	for p := range s.peers {
		peers = append(peers, p)
	}
	s.peersMu.Unlock()

	all := make([]PeerInfo, 0, len(peers))
	for _, p := range peers {
		info := PeerInfo{Peer: p, FD: p.FD, Addr: p.Addr}
		p.mu.Lock()
		info.ClientID = p.clientID
		for _, a := range p.abilities {
			info.Functions = append(info.Functions, a.fn.name)
		}
		p.mu.Unlock()
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b PeerInfo) int { return a.FD - b.FD })
	return all
}

// Count counts the scheduler's objects.
func (s *Sched) Count() Counts {
	var c Counts
	s.eachShard(func(sh *shard) {
		c.Functions += len(sh.functions)
		c.Queued += sh.queued
		c.Running += sh.running
		c.Delayed += len(sh.delayed)
		c.Unique += len(sh.uniques)
		c.Memory += sh.memory
		c.Abilities += sh.abilities
		c.Listeners += sh.listeners
	})
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	c.Peers = len(s.peers)
	for p := range s.peers {
		if p.state.Load() == sleeping {
			c.Sleepers++
		}
	}
	return c
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

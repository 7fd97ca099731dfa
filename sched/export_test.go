package sched

// Functions returns every function that WalkFunctions finds.
func (s *Sched) Functions() []FunctionInfo { return all(s.WalkFunctions()) }

// Jobs returns every job that WalkJobs finds.
func (s *Sched) Jobs() []JobInfo { return all(s.WalkJobs()) }

// Peers returns every connection that WalkPeers finds.
func (s *Sched) Peers() []PeerInfo { return all(s.WalkPeers()) }

// Clients returns every client that WalkClients finds.
func (s *Sched) Clients() []ClientInfo { return all(s.WalkClients()) }

// all returns every row of a walk.
func all[T any](walk interface{ Next([]T) ([]T, bool) }) (found []T) {
	for more := true; more; {
		found, more = walk.Next(found)
	}
	return found
}

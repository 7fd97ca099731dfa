package view

import (
	"context"
	"fmt"
	"time"

	"gearloop/api"
	"gearloop/store/postgres"
)

// Sharer is the part that is shown of a store which several brokers share.
type Sharer interface {
	Cluster(context.Context) (postgres.Cluster, error) // may wait for the database
	LastCluster() (postgres.Cluster, bool)
	Self() uint64
	IsConnected() bool
	Lease() time.Duration
	Changes() [postgres.Kinds]uint64
}

// clusterWait is how long a request waits for the database.
const clusterWait = 5 * time.Second

const (
	// silentAfter is when a broker that has not beaten counts as silent; others take it over then.
	silentAfter = 10 * time.Second
	// longSnapshot is the age of a transaction that is a problem: deleted rows pile up behind it.
	longSnapshot = 10 * time.Minute
)

// noAnswer begins a problem that goes on with the error.
const noAnswer = "the database does not answer"

// Sharer returns the store if several brokers share it, or nil.
func (s *Source) Sharer() Sharer {
	sharer, _ := s.Keeper().(Sharer)
	return sharer
}

// Cluster describes the brokers that share the store; false if none do. It waits for the database for some
// seconds if the last look is old. While the database does not answer, what was seen last is returned, with a
// problem.
func (s *Source) Cluster(ctx context.Context) (c api.Cluster, shared bool) {
	sharer := s.Sharer()
	if sharer == nil {
		return c, false
	}
	ctx, cancel := context.WithTimeout(ctx, clusterWait)
	defer cancel()
	seen, err := sharer.Cluster(ctx)
	if err != nil {
		last, _ := sharer.LastCluster()
		if seen.At.IsZero() {
			seen = last
		}
	}
	c = ClusterOf(&seen)
	if err != nil {
		c.Problems = append(c.Problems, noAnswer+": "+err.Error())
	}
	c.Broker = selfOf(sharer)
	return c, true
}

func selfOf(sharer Sharer) *api.ClusterSelf {
	self := &api.ClusterSelf{
		Run: sharer.Self(), Connected: sharer.IsConnected(), Lease: sharer.Lease().Seconds(), Events: map[string]api.Count{},
	}
	for kind, n := range sharer.Changes() {
		if kind := postgres.Kind(kind); kind != postgres.Other {
			self.Events[kind.String()] = api.Count(n)
		}
	}
	return self
}

// ClusterOf describes a cluster as it was seen last.
func ClusterOf(seen *postgres.Cluster) api.Cluster {
	c := api.Cluster{
		At: seen.At.UTC(), Format: seen.Format, Brokers: []api.ClusterBroker{}, Standbys: []api.ClusterStandby{}, Rule: seen.Rule,
		Rows: seen.Rows, OldestRow: seen.Oldest.Seconds(), OldestSnapshot: seen.Snapshot.Seconds(), DeadRows: seen.Dead,
		Bytes: seen.Bytes, Problems: []string{},
	}
	wrong := func(format string, args ...any) { c.Problems = append(c.Problems, fmt.Sprintf(format, args...)) }
	for _, b := range seen.Brokers {
		state := "alive"
		switch {
		case b.Released:
			state = "released"
			wrong("%s has ended, and its jobs (%d) wait for a broker that takes them over", b.Node, b.Jobs)
		case b.Age >= silentAfter:
			state = "silent"
			wrong("%s has not beaten for %s, and no broker has taken its jobs (%d) over", b.Node, b.Age.Round(time.Second), b.Jobs)
		}
		c.Brokers = append(c.Brokers, api.ClusterBroker{
			Node: b.Node, Address: b.Address, Run: b.Run, Runs: b.Runs, State: state,
			Beats: b.Beats, BeatAge: b.Age.Seconds(), Jobs: b.Jobs,
		})
	}
	for _, s := range seen.Standbys {
		c.Standbys = append(c.Standbys, api.ClusterStandby{Name: s.Name, State: s.State, Sync: s.Sync, Behind: s.Behind})
	}
	switch {
	case seen.At.IsZero():
	case seen.Format == 0:
		wrong("there are no tables yet: start a broker with --store, or gearloop store init")
	case seen.Rule == "":
		wrong("acknowledged jobs are on one machine only: synchronous_standby_names is not set")
	case len(seen.Standbys) == 0:
		wrong("no standby is connected to the database, and commits wait for one: %s", seen.Rule)
	}
	if seen.Snapshot >= longSnapshot {
		wrong("a transaction has been open for %s: rows of ended jobs are not removed until it ends", seen.Snapshot.Round(time.Second))
	}
	return c
}

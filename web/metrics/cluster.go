package metrics

import (
	"strconv"

	"gearloop/internal/view"
	"gearloop/store/postgres"
)

// mostBrokers bounds how many brokers have metrics of their own.
const mostBrokers = 100

// writeCluster writes what is seen of the brokers that share the store. It does not wait for the database:
// what that knows is as of the last look.
func (m *Metrics) writeCluster(w *writer) {
	sharer := m.cfg.Source.Sharer()
	if sharer == nil {
		return
	}
	one := func(f family, v float64, labels ...string) {
		w.begin(f)
		w.sample(v, labels...)
	}
	connected := 0.0
	if sharer.IsConnected() {
		connected = 1
	}
	one(clusterConnected, connected)
	one(clusterLease, sharer.Lease().Seconds())
	w.begin(clusterChanges)
	for kind, n := range sharer.Changes() {
		if kind := postgres.Kind(kind); kind != postgres.Other {
			w.count(n, kind.String())
		}
	}
	seen, ok := sharer.LastCluster()
	if !ok {
		return
	}
	c := view.ClusterOf(&seen)
	one(clusterSeen, float64(c.At.UnixMilli())/1000)
	states := map[string]float64{"alive": 0, "silent": 0, "released": 0}
	for _, b := range c.Brokers {
		states[b.State]++
	}
	w.begin(clusterBrokers)
	for _, state := range sortedKeys(states) {
		w.sample(states[state], state)
	}
	brokers := c.Brokers[:min(len(c.Brokers), mostBrokers)]
	w.begin(clusterRuns)
	for _, b := range brokers {
		w.sample(float64(b.Runs), b.Node, strconv.FormatUint(b.Run, 10))
	}
	w.begin(clusterBeat)
	for _, b := range brokers {
		w.sample(b.BeatAge, b.Node, strconv.FormatUint(b.Run, 10))
	}
	w.begin(clusterJobs)
	for _, b := range brokers {
		w.sample(float64(b.Jobs), b.Node, strconv.FormatUint(b.Run, 10))
	}
	one(clusterRows, float64(c.Rows))
	one(clusterOldest, c.OldestRow)
	one(clusterDead, float64(c.DeadRows))
	one(clusterSnapshot, c.OldestSnapshot)
	syncs := map[string]float64{"async": 0, "potential": 0, "quorum": 0, "sync": 0}
	for _, s := range c.Standbys {
		syncs[s.Sync]++
	}
	w.begin(clusterStandbys)
	for _, sync := range sortedKeys(syncs) {
		w.sample(syncs[sync], sync)
	}
	w.begin(clusterBehind)
	for i, s := range c.Standbys {
		if s.Behind >= 0 && i < mostBrokers {
			w.sample(float64(s.Behind), s.Name)
		}
	}
	one(clusterProblems, float64(len(c.Problems)))
}

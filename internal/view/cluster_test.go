package view

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store/postgres"
)

// sharedDisk is a store that brokers share.
type sharedDisk struct {
	fullDisk
	cluster postgres.Cluster
}

func (s sharedDisk) Cluster(context.Context) (postgres.Cluster, error) { return s.cluster, nil }
func (s sharedDisk) LastCluster() (postgres.Cluster, bool)             { return s.cluster, true }
func (sharedDisk) Self() uint64                                        { return 7 }
func (sharedDisk) IsConnected() bool                                   { return true }
func (sharedDisk) Lease() time.Duration                                { return time.Second }
func (sharedDisk) Changes() (all [postgres.Kinds]uint64)               { all[postgres.TookOver] = 2; return all }

// What is wrong with a cluster is said, and nothing when all is well.
func TestClusterProblems(t *testing.T) {
	well := postgres.Cluster{
		At: start, Format: 2, Rule: "ANY 1 (a,b)", Standbys: []postgres.Standby{{Name: "a", Behind: -1}},
		Brokers: []postgres.Broker{{Run: 7, Node: "x", Age: time.Second}},
	}
	for _, test := range []struct {
		change func(*postgres.Cluster)
		want   string
	}{
		{func(*postgres.Cluster) {}, ""},
		{func(c *postgres.Cluster) { c.Rule = "" }, "acknowledged jobs are on one machine only"},
		{func(c *postgres.Cluster) { c.Standbys = nil }, "no standby is connected"},
		{func(c *postgres.Cluster) { c.Format = 0 }, "there are no tables yet"},
		{func(c *postgres.Cluster) { c.Snapshot = time.Hour }, "a transaction has been open for 1h0m0s"},
		{func(c *postgres.Cluster) { c.Brokers[0].Released, c.Brokers[0].Jobs = true, 5 }, "x has ended, and its jobs (5)"},
		{func(c *postgres.Cluster) { c.Brokers[0].Age = time.Minute }, "x has not beaten for 1m0s"},
	} {
		c := well
		c.Brokers = append([]postgres.Broker(nil), well.Brokers...)
		test.change(&c)
		got := ClusterOf(&c)
		if problems := strings.Join(got.Problems, "; "); !strings.HasPrefix(problems, test.want) || (test.want == "") != (problems == "") {
			t.Errorf("%q, want %q", problems, test.want)
		}
	}
	r := newRig(t)
	if _, shared := r.source.Cluster(context.Background()); shared {
		t.Error("a broker without a store has a cluster")
	}
	broken := well
	broken.Rule = ""
	r.source.SetStore(sharedDisk{cluster: broken})
	found := false
	for _, c := range r.source.attention() {
		found = found || c.Kind == "cluster" && strings.HasPrefix(c.Text, "Cluster: acknowledged jobs are on one machine only")
	}
	if !found {
		t.Errorf("no attention is asked for: %+v", r.source.attention())
	}
	r.source.SetStore(sharedDisk{cluster: well})
	if c, shared := r.source.Cluster(context.Background()); !shared || c.Broker.Run != 7 || c.Broker.Events["took_over"] != 2 || len(c.Broker.Events) != 6 {
		t.Errorf("%+v", c.Broker)
	}
}

// silentDatabase is a store whose database can't be reached.
type silentDatabase struct{ sharedDisk }

func (s silentDatabase) Cluster(context.Context) (postgres.Cluster, error) {
	return postgres.Cluster{}, errors.New("dial tcp 10.0.0.7:5432, user=secret")
}

// A viewer sees the cluster, but no address of a broker or of the database, even when that fails.
func TestClusterForViewer(t *testing.T) {
	r := newRig(t)
	r.source.SetStore(silentDatabase{sharedDisk{cluster: postgres.Cluster{
		At: start, Format: 2, Brokers: []postgres.Broker{{Run: 7, Node: "x", Address: "10.0.0.8:4730", Jobs: 3}},
	}}})
	all, _ := r.source.Cluster(context.Background())
	shown, err := json.Marshal(ClusterForViewer(all))
	if err != nil || strings.Contains(string(shown), "10.0.0") || strings.Contains(string(shown), "secret") ||
		!strings.Contains(string(shown), noAnswer) || !strings.Contains(string(shown), `"jobs":3`) {
		t.Errorf("%s, %v", shown, err)
	}
	if all.Brokers[0].Address == "" || !strings.Contains(strings.Join(all.Problems, ""), "10.0.0.7") {
		t.Errorf("a reader is shown %+v", all)
	}
}

// A function whose jobs wait for a minute without a worker here is found once for each spell. At a broker that shares its
// store the operator is told what that may mean; at any other it is not.
func TestUnattended(t *testing.T) {
	r := newRig(t)
	c, w := r.connect(), r.connect()
	r.submit(c, "f", "", "x")
	handle := r.submit(c, "f", "", "y")
	watch := &Unattended{Source: r.source}
	look := func(want ...string) {
		t.Helper()
		found, more := watch.New()
		var got []string
		for _, f := range found {
			got = append(got, f.Name)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") || more != 0 {
			t.Errorf("found %q and %d more, want %q", got, more, want)
		}
	}
	said := func() bool {
		e, _ := r.source.ExplainJob(handle)
		text := ""
		for _, c := range e.Causes {
			text += c.Text
		}
		inCauses, inConcerns := strings.Contains(text, "has to know all brokers"), false
		for _, c := range r.source.attention() {
			inConcerns = inConcerns || strings.Contains(c.Text, "has to know all brokers")
		}
		if inCauses != inConcerns {
			t.Errorf("said by explain: %v; where attention is needed: %v", inCauses, inConcerns)
		}
		return inCauses
	}
	r.source.SetStore(sharedDisk{})
	look()
	if said() {
		t.Error("it is said at once")
	}
	r.now = r.now.Add(unattendedAfter + time.Second)
	look("f")
	if !said() {
		t.Error("it is not said after a minute")
	}
	r.now = r.now.Add(time.Hour)
	look()
	r.source.SetStore(fullDisk{})
	if said() {
		t.Error("it is said at a broker that shares nothing")
	}
	r.do(w, codec.CanDo, "f")
	r.now = r.now.Add(2 * time.Second)
	look()
	r.do(w, codec.CantDo, "f")
	r.now = r.now.Add(2 * time.Second)
	look("f")
}

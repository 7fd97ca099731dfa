package clustertest

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gearloop/test/await"
	"gearloop/test/pgtest"
)

// machineLost is a cluster whose primary is killed, with some of its standbys frozen before.
type machineLost struct {
	t  *testing.T
	db *pgtest.Cluster
	*site
}

func loseMachine(t *testing.T, rule string) *machineLost {
	t.Helper()
	db, err := pgtest.LaunchCluster(pgtest.Options{}, rule)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.End)
	return &machineLost{t: t, db: db}
}

// fail kills the primary, all that is frozen, and the brokers, which have their jobs in memory. Then it makes
// a standby the primary.
func (m *machineLost) fail(next *pgtest.Server, frozen ...*pgtest.Server) {
	m.t.Helper()
	m.l.trouble(-1) // ends are lost as well
	m.db.Nodes[0].Crash()
	for _, b := range m.brokers {
		b.kill()
	}
	for _, standby := range frozen {
		standby.Crash() // what it has received and not read goes with it
		standby.Run(m.t)
	}
	if err := next.Promote(); err != nil {
		m.t.Fatal(err)
	}
	for _, b := range m.brokers {
		b.start()
	}
}

// The primary is lost while one standby is frozen. The other one has all that was acknowledged.
func TestPrimaryLost(t *testing.T) {
	t.Parallel()
	m := loseMachine(t, pgtest.Rule)
	m.site = open(t, m.db.URL(""), 2)
	m.submit(8)
	m.l.more(100)
	m.db.Nodes[1].Freeze()
	m.l.more(200)
	m.fail(m.db.Nodes[2], m.db.Nodes[1])
	m.work(2)
	m.l.more(50)
	m.finish()
}

// Control: the same with a database that acknowledges alone. The ledger finds losses.
func TestControlNoStandby(t *testing.T) {
	t.Parallel()
	m := loseMachine(t, "")
	m.site = open(t, m.db.URL(""), 2)
	m.submit(8)
	m.l.more(100)
	m.db.Nodes[1].Freeze()
	m.db.Nodes[2].Freeze()
	m.l.more(200)
	m.fail(m.db.Nodes[1], m.db.Nodes[1:]...)
	m.work(2)
	m.l.more(50)
	if lost := m.drain(); len(lost) == 0 {
		t.Error("the ledger finds no loss, where nothing was on a second machine")
	} else {
		t.Logf("%d jobs are lost", len(lost))
	}
}

// waiting is the process of a broker's batch that is committed and waits for a standby.
const waiting = `select coalesce(max(pid), 0) from pg_stat_activity where wait_event = 'SyncRep' and query like '%into job%'`

// strand freezes the standbys under load. The second one is to become the primary.
func (m *machineLost) strand() {
	m.t.Helper()
	m.submit(8)
	m.l.more(100)
	m.db.Nodes[2].Freeze()
	m.l.more(20) // these are at the other one, and so is all before them: that one becomes the primary
	m.db.Nodes[1].Freeze()
}

// awaitStuck returns the process of a batch, other than before, that is committed and waits for a standby.
func (m *machineLost) awaitStuck(before int) (pid int) {
	m.t.Helper()
	await.Until(m.t, "a batch waits for a standby", func() bool {
		time.Sleep(poll)
		return m.db.Nodes[0].Ask(waiting, &pid) == nil && pid != 0 && pid != before
	})
	return pid
}

// cutStuck is awaitStuck, and ends the connection: the batch is in doubt.
func (m *machineLost) cutStuck(before int) (pid int) {
	m.t.Helper()
	pid = m.awaitStuck(before)
	var done bool
	if err := m.db.Nodes[0].Ask("select bool_and(pg_terminate_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'", &done); err != nil {
		m.t.Fatal(err)
	}
	return pid
}

// The connection ends between the commit and its reply while no standby has the batch. It is sent again, and
// nothing is acknowledged before a standby has it: nothing is lost when the primary is.
func TestResent(t *testing.T) {
	t.Parallel()
	m := loseMachine(t, pgtest.Rule)
	m.site = open(t, m.db.URL(""), 1)
	m.strand()
	m.awaitStuck(m.cutStuck(0)) // it was sent again
	m.fail(m.db.Nodes[1], m.db.Nodes[1:]...)
	m.work(2)
	m.l.more(50)
	m.finish()
}

// Control: a broker that sends the batch again without the fence acknowledges what is on one machine. The
// ledger finds losses.
func TestControlUnfenced(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "gearloop")
	if out, err := exec.Command("go", "build", "-tags", "unfenced", "-o", program, "gearloop/cmd/gearloop").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := loseMachine(t, pgtest.Rule)
	m.site = open(t, m.db.URL(""), 0)
	b := m.add(m.url)
	b.program = program
	b.start()
	m.strand()
	// The frozen standby may have the first batch. The second one has begun later, so it has not, and is acknowledged when a
	// third one waits.
	m.awaitStuck(m.cutStuck(m.cutStuck(0)))
	m.l.more(1)
	m.fail(m.db.Nodes[1], m.db.Nodes[1:]...)
	m.work(2)
	m.l.more(50)
	if lost := m.drain(); len(lost) == 0 {
		t.Error("the ledger finds no loss, where a batch was acknowledged that is on one machine")
	} else {
		t.Logf("%d jobs are lost", len(lost))
	}
}

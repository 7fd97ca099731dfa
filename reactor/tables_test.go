package reactor

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/test/wire"
)

// tableRig is a server with one loop and many jobs of one function.
type tableRig struct {
	*rig
	jobs  int
	loop  *loop
	steps stepCount
}

// stepCount counts the steps of walks on a loop.
type stepCount struct {
	loop atomic.Pointer[loop]
	now  time.Time // the turn that is counted
	turn int       // steps in it
	most int
	all  atomic.Int64
}

// step is called by the scheduler, on the loop that makes the step.
func (s *stepCount) step() {
	l := s.loop.Load()
	if l == nil {
		return
	}
	s.all.Add(1)
	if !l.now.Equal(s.now) {
		s.now, s.turn = l.now, 0
	}
	s.turn++
	s.most = max(s.most, s.turn)
}

func newTableRig(t *testing.T, jobs int) *tableRig {
	r := &tableRig{jobs: jobs}
	r.rig = newRig(t, loops(1), func(s *setup) { s.Sched.Step = r.steps.step })
	queueJobs(r.rig, jobs)
	r.loop = r.server.allLoops()[0]
	return r
}

// count counts the steps from now to the end of the test.
func (r *tableRig) count() {
	r.steps.loop.Store(r.loop)
	r.tb.Cleanup(func() { r.steps.loop.Store(nil) }) // the end of the server walks through jobs elsewhere
}

// tableFunction returns the function of a job, from the number that is its unique id.
func tableFunction(id int) string { return tableFunctions[(id-1)/5000] }

var tableFunctions = func() (names [4]string) {
	for i := range names {
		names[i] = fmt.Sprintf("function-%0100d", i)
	}
	return names
}()

// queueJobs submits background jobs with the unique ids "1" to jobs, 5,000 for each function.
func queueJobs(r *rig, jobs int) {
	p := &sched.Peer{}
	var fx sched.Effects
	for i := range jobs {
		args := fmt.Sprintf("%s\x00%d\x00argument", tableFunction(i+1), i+1)
		r.sched.Handle(p, codec.SubmitJobBg, payload.Borrow([]byte(args)), time.Now(), &fx)
		fx.Reset()
	}
}

// wantTable reads a table of all jobs.
func wantTable(t testing.TB, c *wire.Conn, jobs int) {
	t.Helper()
	seen := make([]bool, jobs+1)
	for n := 0; ; n++ {
		line := c.ReadLine()
		if line == "." {
			if n != jobs {
				t.Fatalf("%d rows, want %d", n, jobs)
			}
			return
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 4 || fields[2] != "-" || fields[3] != "0" {
			t.Fatalf("row %q", line)
		}
		id, err := strconv.Atoi(fields[1])
		if err != nil || id < 1 || id > jobs || seen[id] || fields[0] != tableFunction(id) {
			t.Fatalf("row %q", line)
		}
		seen[id] = true
	}
}

// TestTablesDoNotStall: a peer requests large tables many times in one write. The loop takes few steps of
// them in each turn, and other requests are answered in between.
func TestTablesDoNotStall(t *testing.T) {
	r := newTableRig(t, 20_000)
	r.count()
	const asked = 20
	asker, other := r.dial(), r.dial()
	var reading sync.WaitGroup
	var ended atomic.Bool
	asker.Raw([]byte(strings.Repeat("jobs\n", asked)))
	reading.Go(func() {
		defer ended.Store(true)
		for range asked {
			wantTable(wire.Aside(t), asker, r.jobs)
		}
		asker.Sync()
	})
	echoes := 0
	for ; !ended.Load(); echoes++ {
		other.Sync()
	}
	reading.Wait()
	if echoes < asked {
		t.Errorf("%d echoes while %d tables were told", echoes, asked)
	}
	// Four steps of tables. Each may go through 64 shards, each of which counts.
	most := make(chan int)
	r.loop.do(func() { most <- r.steps.most })
	if n := <-most; n > 4*(64+1) {
		t.Errorf("%d steps in one turn", n)
	}
	if n := r.steps.all.Load(); n < asked*int64(r.jobs)/128 {
		t.Errorf("%d steps in all: not counted", n)
	}
}

// TestManyAskers: several connections on several loops read tables at the same time. All get theirs.
func TestManyAskers(t *testing.T) {
	r := newRig(t)
	const jobs = 5000
	queueJobs(r, jobs)
	var all []*wire.Conn
	for range 8 {
		all = append(all, wire.New(wire.Aside(t), r.dial().Conn))
		all[len(all)-1].Sync()
	}
	var askers sync.WaitGroup
	for _, c := range all {
		askers.Go(func() {
			for range 5 {
				c.Line("jobs")
				wantTable(wire.Aside(t), c, jobs)
				if rows := c.Table("status"); len(rows) != 1 || rows[0] != tableFunction(1)+"\t5000\t0\t0" {
					t.Errorf("status %q", rows)
				}
				if rows := c.Table("workers"); len(rows) != 8 {
					t.Errorf("%d connections", len(rows))
				}
			}
		})
	}
	askers.Wait()
}

// TestTableUnread: nothing is produced for a peer that does not read. It gets the whole table when it reads.
func TestTableUnread(t *testing.T) {
	r := newTableRig(t, 5000)
	r.count()
	const asked = 40 // more than the sockets' buffers hold
	c, other := r.dial(), r.dial()
	c.Raw([]byte(strings.Repeat("jobs\n", asked)))
	l := r.loop
	quiet := func() bool {
		state := make(chan bool)
		l.do(func() {
			blocked := false
			for c := range l.conns {
				blocked = blocked || c.blocked
			}
			state <- blocked && len(l.tabling) == 0
		})
		return <-state
	}
	wire.Await(t, "the loop waits for the peer", quiet)
	steps := r.steps.all.Load()
	for range 100 {
		other.Sync()
	}
	if n := r.steps.all.Load(); n != steps {
		t.Errorf("%d steps for a peer that does not read", n-steps)
	}
	if n := l.buffered.Load(); n > gatherSize+asked*1024 {
		t.Errorf("%d bytes wait", n)
	}
	for range asked {
		wantTable(t, c, r.jobs)
	}
	c.Sync()
	wire.Await(t, "nothing is buffered", func() bool { return l.buffered.Load() == 0 })
}

// TestTableClosed: a connection that ends in the middle of its tables leaves nothing behind.
func TestTableClosed(t *testing.T) {
	r := newTableRig(t, 5000)
	for i := range 20 {
		c := r.dial()
		c.Raw([]byte(strings.Repeat("jobs\nstatus\nclients\n", 50)))
		for range 1 + 500*i {
			c.ReadLine()
		}
		if i%2 == 0 {
			c.Reset()
		} else {
			c.Close()
		}
	}
	wire.Await(t, "no connection is left", func() bool {
		return r.server.connections.Load() == 0 && r.server.halfClosed.count() == 0 && r.loop.buffered.Load() == 0
	})
	c := r.dial()
	c.Line("jobs")
	wantTable(t, c, r.jobs)
}

// TestTableOrder: lines and packets are answered in order, and nothing is sent within a table.
func TestTableOrder(t *testing.T) {
	plain := newTableRig(t, 5000)
	secure := newTLSRig(t, false)
	queueJobs(secure.rig, 5000)
	for name, dial := range map[string]func() *wire.Conn{"plain": plain.dial, "TLS": secure.secure} {
		t.Run(name, func(t *testing.T) {
			c := dial()
			var out []byte
			for range 5 {
				out = append(out, "jobs\nversion\n"...)
				out = codec.AppendRequest(out, codec.EchoReq, "x")
				out = append(out, "bogus\njobs\njobs\n"...)
				out = codec.AppendRequest(out, codec.GrabJob)
			}
			c.Raw(out)
			for range 5 {
				wantTable(t, c, 5000)
				if line := c.ReadLine(); line != "v1.2.3" {
					t.Fatalf("version is %q", line)
				}
				c.Want(codec.EchoRes, "x")
				if line := c.ReadLine(); !strings.HasPrefix(line, "ERR unknown_command") {
					t.Fatalf("bogus is answered %q", line)
				}
				wantTable(t, c, 5000)
				wantTable(t, c, 5000)
				c.Want(codec.NoJob)
			}
		})
	}
}

// TestResultBehindTable: packets that others cause follow the table.
func TestResultBehindTable(t *testing.T) {
	r := newTableRig(t, 5000)
	c, w := r.dial(), r.worker("of c")
	handle := c.Submit(codec.SubmitJob, "of c", "", "x")
	w.Grab()
	c.Raw([]byte(strings.Repeat("show unique jobs\n", 20)))
	c.ReadLine() // all lines are there now
	w.Send(codec.WorkComplete, handle, "result")
	w.Sync()
	for i := range 20 {
		rows := 0
		if i == 0 {
			rows = 1
		}
		for line := c.ReadLine(); line != "."; line = c.ReadLine() {
			if strings.ContainsRune(line, 0) {
				t.Fatalf("row %q", line)
			}
			rows++
		}
		if rows < r.jobs {
			t.Fatalf("%d rows", rows)
		}
	}
	c.Want(codec.WorkComplete, handle, "result")
}

// TestTableHalfClosed: a peer that half-closes its connection gets its tables.
func TestTableHalfClosed(t *testing.T) {
	plain := newTableRig(t, 5000)
	secure := newTLSRig(t, false)
	queueJobs(secure.rig, 5000)
	for name, r := range map[string]struct {
		*rig
		dial func() *wire.Conn
	}{"plain": {plain.rig, plain.dial}, "TLS": {secure.rig, secure.secure}} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			c.Raw([]byte(strings.Repeat("jobs\n", 10) + "version\njobs\n"))
			c.CloseWrite()
			wire.Await(t, "only the output is left", func() bool { return r.sched.Count().Peers == 0 })
			for range 10 {
				wantTable(t, c, 5000)
			}
			if line := c.ReadLine(); line != "v1.2.3" {
				t.Fatalf("version is %q", line)
			}
			wantTable(t, c, 5000)
			c.WantEnd()
			wire.Await(t, "nothing is left", func() bool { return r.server.halfClosed.count() == 0 && r.server.buffered() == 0 })
		})
	}
}

// TestTableBeforeEnd: a command that ends the server follows a table. The table is sent first.
func TestTableBeforeEnd(t *testing.T) {
	r := newTableRig(t, 5000)
	c := r.dial()
	c.Raw([]byte("jobs\njobs\nshutdown\n"))
	wantTable(t, c, r.jobs)
	wantTable(t, c, r.jobs)
	if line := c.ReadLine(); line != "OK" {
		t.Errorf("shutdown is answered %q", line)
	}
	c.WantEnd()
	r.wantEnd()
}

// TestPendingTablesAreBounded: a peer that requests tables again and again and does not read is closed.
func TestPendingTablesAreBounded(t *testing.T) {
	r := newRig(t, func(s *setup) { s.MaxOutbound, s.Log = 1<<20, noLog() })
	queueJobs(r, 5000)
	c := r.dial()
	c.SetWriteDeadline(time.Now().Add(wire.Limit))
	lines := []byte(strings.Repeat("jobs\n", 1000))
	for {
		if _, err := c.Write(lines); err != nil {
			break
		}
	}
	wire.Await(t, "it is cut off", func() bool { return r.server.counters.CutOff.Load() == 1 && r.server.buffered() == 0 })
}

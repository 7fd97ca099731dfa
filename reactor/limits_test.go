package reactor

import (
	"path/filepath"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// Connections beyond the limit wait until others close. None is refused.
func TestMaxConnections(t *testing.T) {
	const most = 5
	r := newRig(t, func(s *setup) { s.MaxConnections = most; s.Accept = 2 })
	var served []*wire.Conn
	for range most {
		c := r.dial()
		c.Sync()
		served = append(served, c)
	}
	answered := make(chan *wire.Conn, 20)
	for range cap(answered) {
		c := r.dial()
		c.Send(codec.EchoReq, "hello")
		go func() {
			c.Want(codec.EchoRes, "hello")
			answered <- c
		}()
	}
	for left := cap(answered); left > 0; left-- {
		for range 20 {
			for _, c := range served {
				c.Sync()
			}
		}
		if n := r.server.connections.Load(); n != most || len(answered) > 0 {
			t.Fatalf("%d connections, %d served beyond the limit of %d", n, len(answered), most)
		}
		served[0].Close()
		served = append(served[1:], <-answered)
	}
}

// At the limit every listener gets its share of free slots, however many acceptors the others have.
func TestSlotsAreSharedByListeners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := newRig(t, func(s *setup) {
		s.MaxConnections = 4
		s.listen = []string{"127.0.0.1:0", "unix:" + path, "127.0.0.1:0"}
	})
	for _, a := range r.addrs {
		c := wire.Dial(t, a)
		c.Sync()
		c.Close()
		r.quiet()
	}
	for range 2 {
		for _, a := range r.addrs[1:] {
			wire.Dial(t, a).Sync()
		}
	}
}

// A peer may leave before it is served. That costs no slot.
func TestWaitingPeersMayLeave(t *testing.T) {
	r := newRig(t, func(s *setup) { s.MaxConnections = 2; s.Accept = 2 })
	a, b := r.dial(), r.dial()
	a.Sync()
	b.Sync()
	for range 50 {
		c := r.dial()
		c.Line("version")
		c.Reset()
	}
	a.Close()
	b.Close()
	r.quiet()
	a, b = r.dial(), r.dial()
	a.Sync()
	b.Sync()
}

// When the memory for jobs is used up new jobs are refused. Existing jobs are done, and results pass. When
// there is room jobs are accepted again.
func TestMaxMemory(t *testing.T) {
	r := newRig(t, func(s *setup) { s.Sched.MaxMemory = 8 << 20 })
	client, worker := r.dial(), r.worker("f")
	running := client.Submit(codec.SubmitJob, "f", "", "first")
	worker.Grab()
	argument := strings.Repeat("x", 64<<10)
	for round := range 3 {
		queued := 0
		for ; ; queued++ {
			client.Send(codec.SubmitJobBg, "f", "", argument)
			p := client.Next()
			if p.Type == codec.Error {
				if code := p.Args(2)[0]; code != "queue_full" {
					t.Fatalf("got %v", p)
				}
				break
			}
			if queued > 200 {
				t.Fatal("13 MiB of jobs are queued with a bound of 8")
			}
		}
		if queued < 60 {
			t.Errorf("round %d: only %d jobs of 64 KiB with a bound of 8 MiB", round, queued)
		}
		client.Send(codec.SubmitJob, "f", "", argument)
		client.WantError("queue_full")
		if n := r.sched.Count(); n.Memory > 8<<20 || n.Queued != queued || n.Running != 1 {
			t.Errorf("%+v", n)
		}
		// Large results are not counted as jobs.
		worker.Send(codec.WorkData, running, strings.Repeat("y", 4<<20))
		if p := client.WantType(codec.WorkData); len(p.Data) < 4<<20 {
			t.Errorf("%d bytes came", len(p.Data))
		}
		for range queued {
			h, a := worker.Grab()
			if a != argument {
				t.Fatal("the argument has changed")
			}
			worker.Send(codec.WorkComplete, h, "")
		}
		worker.Send(codec.GrabJob)
		worker.Want(codec.NoJob)
	}
	worker.Send(codec.WorkComplete, running, "done")
	client.Want(codec.WorkComplete, running, "done")
	client.Close()
	worker.Close()
	r.quiet()
	if n := r.sched.Count(); n.Memory != 0 {
		t.Errorf("%d bytes are still charged", n.Memory)
	}
}

// Names of functions have up to 512 bytes, and unique ids up to 64 KiB. Beyond that the packet is refused and
// the connection stays.
func TestNameLengths(t *testing.T) {
	r := newRig(t)
	client, worker := r.dial(), r.dial()
	name, unique := strings.Repeat("n", 512), strings.Repeat("u", 64<<10)
	worker.Send(codec.CanDo, name)
	worker.Sync()
	h := client.Submit(codec.SubmitJob, name, unique, "x")
	if same := client.Submit(codec.SubmitJob, name, unique, "x"); same != h {
		t.Errorf("handles %s and %s for one unique id", h, same)
	}
	if got, _ := worker.Grab(); got != h {
		t.Errorf("got job %s, want %s", got, h)
	}
	for _, submit := range []codec.Type{codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobHigh, codec.SubmitJobLowBg} {
		for _, args := range [][]string{{name + "n", "", "x"}, {name, unique + "u", "x"}, {name + "n", unique + "u", strings.Repeat("x", 1<<20)}} {
			client.Send(submit, args...)
			client.WantError("invalid_args")
			client.Sync()
		}
	}
	for _, declare := range []codec.Type{codec.CanDo, codec.CanDoTimeout} {
		worker.Send(declare, name+"n")
		worker.WantError("invalid_args")
		worker.Sync()
	}
	if n := r.sched.Count(); n.Abilities != 1 || n.Running != 1 || n.Queued != 0 {
		t.Errorf("%+v", n)
	}
}

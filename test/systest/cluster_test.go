package systest

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/pgtest"
	"gearloop/test/wire"
)

// Brokers share a database. When one is killed, another hands out the jobs that it has acknowledged. A unique
// id and a handle mean the same job at both. A killed broker that is started again accepts jobs as before.
func TestSharedStore(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).URL("")
	begin := func(node string) *peers.Server {
		return peers.Start(t, peers.Gearloop, "--store", url, "--node", node)
	}
	a, b := begin("a"), begin("b")
	toA, toB := wire.Dial(t, a.Addr), wire.Dial(t, b.Addr)
	handles := map[string]string{}
	for n := range 50 {
		argument := fmt.Sprint("job ", n)
		handles[toA.Submit(codec.SubmitJobBg, "f", fmt.Sprint("u", n), argument)] = argument
	}
	large := strings.Repeat("large ", 100_000)
	handles[toA.Submit(codec.SubmitJobLowBg, "f", "", large)] = large
	joined := toB.Submit(codec.SubmitJobBg, "f", "u7", "joins")
	if handles[joined] != "job 7" {
		t.Errorf("a unique id of the other broker: %s, which is %q", joined, handles[joined])
	}
	toB.Send(codec.GetStatus, joined)
	toB.Want(codec.StatusRes, joined, "1", "0", "", "")

	if err := a.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(await.Limit); err != nil {
		t.Fatal(err)
	}
	worker := wire.Dial(t, b.Addr)
	worker.Send(codec.CanDo, "f")
	for left := len(handles); left > 0; {
		worker.Send(codec.GrabJob)
		answer, err := worker.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if answer.Type == codec.NoJob {
			worker.Send(codec.PreSleep)
			worker.Want(codec.Noop)
			continue
		}
		got := answer.Args(3)
		if want := handles[got[0]]; want == "" || got[2] != want {
			t.Fatalf("job %s with %.60q, want %.60q", got[0], got[2], want)
		}
		worker.Send(codec.WorkComplete, got[0], "")
		delete(handles, got[0])
		left--
	}
	again := begin("a")
	wire.Dial(t, again.Addr).Submit(codec.SubmitJobBg, "f", "u7", "a new job")
	await.Until(t, "no job is left but the last", func() bool {
		toB.Send(codec.GetStatus, joined)
		answer, err := toB.Receive()
		return err == nil && answer.Args(5)[1] == "0"
	})
}

// Without its database a broker serves foreground jobs and refuses background jobs. It accepts them again
// when the database is back.
func TestSharedStoreAway(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	server.Kill(syscall.SIGINT)
	s := peers.Start(t, peers.Gearloop, "--store", server.URL(""))
	c, w := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
	h := c.Submit(codec.SubmitJob, "f", "", "x")
	w.Send(codec.CanDo, "f")
	w.Send(codec.GrabJob)
	w.Want(codec.JobAssign, h, "f", "x")
	w.Send(codec.WorkComplete, h, "y")
	c.Want(codec.WorkComplete, h, "y")
	c.Send(codec.SubmitJobBg, "f\x00\x00x")
	if answer, err := c.Receive(); err != nil || answer.Type != codec.Error {
		t.Errorf("a background job without a database: %v, %v", answer, err)
	}
	server.Run(t, "fsync=off")
	await.Until(t, "background jobs are taken", func() bool {
		c.Send(codec.SubmitJobBg, "f\x00\x00x")
		answer, err := c.Receive()
		return err == nil && answer.Type == codec.JobCreated
	})
}

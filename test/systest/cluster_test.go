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

// A client asks any of the brokers about a job, by handle or unique id, or cancels it; the one that has it
// answers. When that one does not answer, nobody is told that the job was cancelled. Rights are looked at
// where the client is.
func TestSharedStoreElsewhere(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).URL("")
	begin := func(node string, args ...string) *peers.Server {
		return peers.Start(t, peers.Gearloop, append([]string{"--store", url, "--node", node}, args...)...)
	}
	a, b := begin("a"), begin("b", "--web", "127.0.0.1:0")
	toA, toB, worker := wire.Dial(t, a.Addr), wire.Dial(t, b.Addr), wire.Dial(t, a.Addr)
	waits, runs := toA.Submit(codec.SubmitJobBg, "f", "u1", "x"), toA.Submit(codec.SubmitJobBg, "g", "u2", "x")
	third := toA.Submit(codec.SubmitJobBg, "f", "u3", "x")
	worker.Send(codec.CanDo, "g")
	worker.Send(codec.GrabJob)
	worker.Want(codec.JobAssign, runs, "g", "x")
	worker.Send(codec.WorkStatus, runs, "3", "7")
	worker.Sync()

	await.Until(t, "the broker a answers b", func() bool {
		toB.Send(codec.GetStatus, runs)
		return toB.WantType(codec.StatusRes).Args(5)[2] == "1"
	})
	// Answers keep the order of the requests, whoever gives them.
	toB.Send(codec.GetStatusUnique, "u2")
	toB.Send(codec.GetStatus, waits)
	toB.Line("cancel job " + waits)
	toB.Send(codec.GetStatus, runs)
	toB.Line("cancel job " + waits)
	toB.Line("version")
	toB.Send(codec.GetStatusUnique, "u1")
	toB.Send(codec.GetStatusUnique, "nobody's")
	toB.Want(codec.StatusResUnique, "u2", "1", "1", "3", "7", "0")
	toB.Want(codec.StatusRes, waits, "1", "0", "", "")
	if line := toB.ReadLine(); line != "OK" {
		t.Errorf("cancel at the other broker: %q", line)
	}
	toB.Want(codec.StatusRes, runs, "1", "1", "3", "7")
	if line := toB.ReadLine(); !strings.HasPrefix(line, "ERR unknown_job") {
		t.Errorf("cancel a second time: %q", line)
	}
	if line := toB.ReadLine(); !strings.HasPrefix(line, "v") {
		t.Errorf("version behind a late answer: %q", line)
	}
	toB.Want(codec.StatusResUnique, "u1", "0", "0", "", "", "0")
	toB.Want(codec.StatusResUnique, "nobody's", "0", "0", "", "", "0")
	toA.Send(codec.GetStatus, waits)
	toA.Want(codec.StatusRes, waits, "0", "0", "", "")

	done := run(t, nil, "cancel", third, "--server", b.Web())
	if done.code != 0 || !strings.Contains(done.stdout, third+" is cancelled at its broker") {
		t.Errorf("gearloop cancel at the other broker: %+v", done)
	}
	if again := run(t, nil, "cancel", third, "--server", b.Web()); again.code != 1 || !strings.Contains(again.stderr, "no job") {
		t.Errorf("gearloop cancel a second time: %+v", again)
	}
	toA.Send(codec.GetStatus, third)
	toA.Want(codec.StatusRes, third, "0", "0", "", "")

	// Whoever is no broker is not let in as one.
	for _, line := range []string{"peer", "peer 00", "peer " + strings.Repeat("0", 64)} {
		toA.Line(line)
		if answer := toA.ReadLine(); !strings.HasPrefix(answer, "PEER ") || answer == "PEER yes" {
			t.Errorf("%s: %q", line, answer)
		}
	}

	if err := a.Freeze(); err != nil {
		t.Fatal(err)
	}
	toB.Line("cancel job " + runs)
	if line := toB.ReadLine(); !strings.HasPrefix(line, "ERR broker_silent") {
		t.Errorf("cancel while the owner is frozen: %q", line)
	}
	if err := a.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the job is cancelled at the broker that has adopted it", func() bool {
		toB.Line("cancel job " + runs)
		return toB.ReadLine() == "OK"
	})
}

package reactor

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/store"
	"gearloop/test/await"
	"gearloop/test/collect"
	"gearloop/test/wire"
)

// A large argument that left memory is read back for the worker. Whatever fails, nothing leaks.
func TestFetchedArgument(t *testing.T) {
	large := strings.Repeat("L", store.LargeArgument)
	for _, c := range []struct {
		name string
		read func(w io.Writer, argument string) error
		want codec.Type // 0: the worker does not wait for it
		jobs int        // remaining after the worker has left
	}{
		{"read", nil, codec.JobAssign, 1},
		{"in pieces", func(w io.Writer, a string) error {
			for len(a) > 0 {
				n := min(len(a), 1000)
				if _, err := io.WriteString(w, a[:n]); err != nil {
					return err
				}
				a = a[n:]
			}
			return nil
		}, codec.JobAssign, 1},
		{"not read", func(io.Writer, string) error { return errDisk }, codec.NoJob, 0},
		{"too short", func(w io.Writer, a string) error {
			_, err := io.WriteString(w, a[:len(a)-1])
			return err
		}, codec.NoJob, 0},
		{"too long", func(w io.Writer, a string) error {
			_, err := io.WriteString(w, a+"x")
			return err
		}, codec.NoJob, 0},
		{"the worker leaves", nil, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := payloads()
			d := &slowDisk{read: c.read}
			reading, goOn := make(chan struct{}), make(chan struct{})
			if c.want == 0 {
				d.read = func(w io.Writer, a string) error {
					close(reading)
					<-goOn
					_, err := io.WriteString(w, a)
					return err
				}
			}
			r := newRig(t, withDisk(d), func(s *setup) { s.Sched.MaxMemory = 1 << 20; s.Log = noLog() })
			client, worker := r.dial(), r.worker("f")
			client.Send(codec.SubmitJobBg, "f", "a", large)
			d.answer(r, 1, nil)
			client.WantType(codec.JobCreated)
			wire.Await(t, "the argument has left memory", func() bool { return payloads() == before })
			worker.Send(codec.GrabJob)
			worker.Send(codec.EchoReq, "behind")
			if c.want == 0 {
				<-reading
				worker.Close()
				wire.Await(t, "the worker is gone", func() bool { return r.server.connections.Load() == 1 })
				close(goOn)
			} else {
				p := worker.WantType(c.want)
				if c.want == codec.JobAssign && p.Args(3)[2] != large {
					t.Error("not the argument that was submitted")
				}
				worker.Want(codec.EchoRes, "behind")
				worker.Close()
			}
			client.Close()
			r.onlyJobsLeft(before, c.jobs)
		})
	}
}

// The server ends while an argument is read. It waits for the store, which is writing to the server's memory.
func TestEndWhileFetching(t *testing.T) {
	before := payloads()
	reading, goOn := make(chan struct{}), make(chan struct{})
	d := &slowDisk{read: func(w io.Writer, a string) error {
		close(reading)
		<-goOn
		_, err := io.WriteString(w, a)
		return err
	}}
	r := newRig(t, withDisk(d), func(s *setup) { s.Sched.MaxMemory = 1 << 20; s.Log = noLog() })
	client, worker := r.dial(), r.worker("f")
	client.Send(codec.SubmitJobBg, "f", "a", strings.Repeat("L", store.LargeArgument))
	d.answer(r, 1, nil)
	client.WantType(codec.JobCreated)
	worker.Send(codec.GrabJob)
	<-reading
	r.server.Abort()
	close(goOn)
	r.wantEnd()
	wire.Await(t, "no payload is left", func() bool { return payloads() <= before })
}

// shortOfMemory makes large arguments leave memory as soon as they are stored.
func shortOfMemory(s *setup) { s.Sched.MaxMemory, s.Log = 1<<20, noLog() }

// storeLarge submits a job with a large argument that leaves memory.
func (r *rig) storeLarge(d *slowDisk, client *wire.Conn, unique, argument string) {
	r.tb.Helper()
	before := payloads()
	client.Send(codec.SubmitJobBg, "f", unique, argument)
	d.answer(r, 1, nil)
	client.WantType(codec.JobCreated)
	await.Until(r.tb, "the argument has left memory", func() bool { return payloads() == before })
}

// A peer that does not read takes all of the memory for output. Workers still get stored arguments.
func TestFetchBesideADeafPeer(t *testing.T) {
	before := payloads()
	d := &slowDisk{}
	r := newRig(t, withDisk(d), shortOfMemory, func(s *setup) { s.MaxMemory = 64 << 20 })
	client := r.dial()
	const jobs = 3
	large := strings.Repeat("L", store.LargeArgument)
	for i := range jobs {
		r.storeLarge(d, client, fmt.Sprint(i), large)
	}
	deaf := []*wire.Conn{r.dial(), r.dial()}
	for _, c := range deaf {
		deafen(c, 14<<20)
	}
	await.Until(t, "the share is full", func() bool { return r.server.inTransit() > r.server.soft() })
	for range jobs {
		w := r.worker("f")
		w.Send(codec.GrabJob)
		if p := w.WantType(codec.JobAssign); p.Args(3)[2] != large {
			t.Error("not the argument that was submitted")
		}
		w.Close()
	}
	for _, c := range append(deaf, client) {
		c.Close()
	}
	r.onlyJobsLeft(before, jobs)
}

// Several arguments are read at a time, so a slow read does not delay the next. If a worker disconnects
// meanwhile another gets its job.
func TestFetchesBesideEachOther(t *testing.T) {
	before := payloads()
	goOn := make(chan struct{})
	slow, quick := strings.Repeat("s", store.LargeArgument), strings.Repeat("q", store.LargeArgument)
	d := &slowDisk{read: func(w io.Writer, a string) error {
		if a == slow {
			<-goOn
		}
		_, err := io.WriteString(w, a)
		return err
	}}
	r := newRig(t, withDisk(d), shortOfMemory)
	client, first, second, third := r.dial(), r.worker("f"), r.worker("f"), r.worker("f")
	r.storeLarge(d, client, "slow", slow)
	r.storeLarge(d, client, "quick", quick)
	first.Send(codec.GrabJobUniq)
	await.Until(t, "it is being read", func() bool { return r.server.fetcher.count() == 1 })
	second.Send(codec.GrabJobUniq)
	if p := second.WantType(codec.JobAssignUniq); p.Args(4)[2] != "quick" {
		t.Errorf("the second worker got %q", p.Args(4)[2])
	}
	first.Close()
	await.Until(t, "the first worker is gone", func() bool { return r.sched.Count().Running == 1 })
	third.Send(codec.GrabJobUniq)
	await.Until(t, "it is being read again", func() bool { return r.server.fetcher.count() == 2 })
	close(goOn)
	if p := third.WantType(codec.JobAssignUniq); p.Args(4)[2] != "slow" || p.Args(4)[3] != slow {
		t.Errorf("the third worker got %q", p.Args(4)[2])
	}
	for _, c := range []*wire.Conn{client, second, third} {
		c.Close()
	}
	r.onlyJobsLeft(before, 2)
}

// A graceful end waits for no argument, neither queued nor being read. The jobs stay stored, and the workers
// get NO_JOB.
func TestGracefulEndWhileFetching(t *testing.T) {
	before := payloads()
	goOn := make(chan struct{})
	d := &slowDisk{read: func(w io.Writer, a string) error {
		<-goOn
		_, err := io.WriteString(w, a)
		return err
	}}
	r := newRig(t, withDisk(d), shortOfMemory)
	client := r.dial()
	workers := make([]*wire.Conn, maxFetches+2)
	for i := range workers {
		r.storeLarge(d, client, fmt.Sprint(i), strings.Repeat("L", store.LargeArgument))
	}
	for i := range workers {
		workers[i] = r.worker("f")
		workers[i].Send(codec.GrabJob)
		await.Until(t, "it waits", func() bool { return r.sched.Count().Running == i+1 })
	}
	await.Until(t, "all that may be are being read", func() bool { return r.server.fetcher.count() == maxFetches })
	r.server.Drain()
	for _, w := range workers[maxFetches:] {
		w.Want(codec.NoJob)
	}
	close(goOn)
	r.wantEnd()
	for _, w := range workers {
		w.Close()
	}
	client.Close()
	await.Until(t, "no payload is left", func() bool { return payloads() <= before })
	if n := len(collect.Rows(r.sched.WalkJobs())); n != len(workers) {
		t.Errorf("%d jobs are left of %d", n, len(workers))
	}
}

// count returns the number of arguments being read.
func (f *fetcher) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reading
}

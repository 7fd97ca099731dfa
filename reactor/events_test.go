package reactor

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store"
	"gearloop/test/wire"
)

// Events of the store reach workers and clients on their loops while these continue.
func TestStoreEventsBesideTheLoops(t *testing.T) {
	const jobs = 300
	before := payloads()
	d := &slowDisk{shared: true}
	r := newRig(t, withDisk(d), loops(2))
	adopted := func(n int) store.Job {
		return store.Job{
			Number: store.Number(2, uint64(n), store.ShardOf("f")), Function: "f", Priority: store.Normal,
			Argument: [][]byte{[]byte("x")}, Size: 1, Ref: store.Ref(1),
		}
	}
	var workers sync.WaitGroup
	done := make(chan struct{}, jobs)
	for range 2 {
		w := r.asleep("f")
		workers.Go(func() {
			for {
				w.WantType(codec.Noop)
				for {
					w.Send(codec.GrabJob)
					p := w.Next()
					if p.Type == codec.NoJob {
						break
					}
					args := p.Args(3)
					w.Send(codec.WorkComplete, args[0], "")
					if args[2] == "leave" {
						w.Close()
						return
					}
					done <- struct{}{}
				}
				w.Send(codec.PreSleep)
			}
		})
	}
	// From here on this goroutine plays the store's.
	for n := range jobs {
		switch {
		case n%50 == 10:
			r.server.Lease(time.Now()) // is over
		case n%50 == 20:
			r.server.Lease(store.Never)
		}
		r.server.Adopt([]store.Job{adopted(n)})
		r.server.Flushed()
	}
	r.server.Lease(store.Never)
	r.server.Flushed()
	for range jobs {
		select {
		case <-done:
		case <-time.After(wire.Limit):
			t.Fatalf("jobs are left: %+v", r.sched.Count())
		}
	}

	// The answer to a question that another broker answers keeps its place among the answers.
	c := r.dial()
	c.Send(codec.GetStatus, string(r.sched.AppendHandle(nil, store.Number(7, 1, 1))))
	c.Send(codec.EchoReq, "behind")
	wire.Await(t, "the store is asked", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.asked != nil
	})
	d.asked(store.Status{Known: true, Running: true, Numerator: "1", Denominator: "2"})
	r.server.Flushed()
	if args := c.WantType(codec.StatusRes).Args(5); args[1] != "1" || args[2] != "1" || args[3] != "1" || args[4] != "2" {
		t.Errorf("told %q", args)
	}
	c.Want(codec.EchoRes, "behind")

	// A waiting job is disowned: no worker gets it. A foreground job with listeners is still done.
	r.server.Lease(time.Now())
	r.server.Adopt([]store.Job{adopted(jobs)})
	r.server.Disowned()
	r.server.Opened(9)
	r.server.Lease(store.Never)
	r.server.Flushed()
	for range 2 {
		c.Send(codec.SubmitJob, "f", "", "leave")
		c.WantType(codec.JobCreated)
		c.WantType(codec.WorkComplete)
	}
	workers.Wait()
	c.Close()
	r.onlyJobsLeft(before, 0)
}

// A process may be stopped between any two steps, for longer than its lease. What it reads afterwards it handles as
// of then.
func TestLeaseEndsBeforeRead(t *testing.T) {
	begin := time.Now()
	var stops, stopped atomic.Bool
	r := newRig(t, withDisk(&slowDisk{shared: true}), func(s *setup) {
		s.now = func() time.Time {
			switch {
			case stopped.Load():
				return begin.Add(time.Hour)
			case stops.Load():
				stopped.Store(true)
			}
			return begin
		}
	})
	r.server.Lease(begin.Add(time.Minute))
	r.server.Adopt([]store.Job{{
		Number: store.Number(2, 1, store.ShardOf("f")), Function: "f", Priority: store.Normal,
		Argument: [][]byte{[]byte("x")}, Size: 1, Ref: store.Ref(1),
	}})
	w := r.dial()
	w.Send(codec.CanDo, "f")
	w.Sync()
	stops.Store(true) // after the loop has read the clock for the next turn
	w.Send(codec.GrabJob)
	w.Want(codec.NoJob)
}

// A batch of answers that is larger than a turn is handled in turns, in its order, whatever loops the submitters
// have; and what loops leave when the server ends is handled then.
func TestAnswersInTurns(t *testing.T) {
	const jobs = settleTurn + settleTurn/2
	d := &slowDisk{}
	r := newRig(t, withDisk(d), loops(2))
	clients := []*wire.Conn{r.dial(), r.dial()}
	for n := range jobs {
		clients[n%2].Send(codec.SubmitJobBg, "f", "", strconv.Itoa(n))
	}
	d.answer(r, jobs, nil)
	for n := range jobs {
		clients[n%2].WantType(codec.JobCreated)
	}
	w := r.worker("f")
	for n := range jobs {
		w.Send(codec.GrabJob)
		args := w.WantType(codec.JobAssign).Args(3)
		if want := d.argument(n); args[2] != want {
			t.Fatalf("job %s is handed out, want %s", args[2], want)
		}
		w.Send(codec.WorkComplete, args[0], "")
	}
	w.Sync()

	const last = fewAnswers + 1
	for range last {
		clients[0].Send(codec.SubmitJobBg, "f", "", "last")
	}
	r.server.settler.Store(true) // as if a loop had ended on the way to it
	d.answer(r, last, nil)
	if n := r.sched.Count().Storing; n != last {
		t.Fatalf("%d jobs wait to be stored, though no loop has handled the answer", n)
	}
	r.server.Abort()
	r.wantEnd()
	if n := r.sched.Count().Storing; n != 0 {
		t.Errorf("%d jobs wait for an answer that has come", n)
	}
}

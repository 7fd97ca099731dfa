package systest

import (
	"cmp"
	"fmt"
	"strconv"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// A delayed job wakes a sleeping worker when it is due and not before, whatever the order of submission.
// Until then it is known, and nobody gets it.
func TestDelayedJobsWake(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"perl", "c"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			s := peers.Start(t, peers.Gearloop, "--dialect", dialect)
			client, worker := wire.Dial(t, s.Addr), able(t, s, "f")
			now := time.Now().Unix()
			handles := map[string]int64{}
			for _, due := range []int64{now + 3, now + 2} {
				client.Send(codec.SubmitJobEpoch, "f", "", strconv.FormatInt(due, 10), "x")
				handles[string(client.WantType(codec.JobCreated).Data)] = due
			}
			for handle := range handles {
				client.Send(codec.GetStatus, handle)
				if args := client.WantType(codec.StatusRes).Args(5); args[1] != "1" || args[2] != "0" {
					t.Errorf("before it is due: known %s, running %s", args[1], args[2])
				}
			}
			last := int64(0)
			for range handles {
				var woken time.Time // zero if the job was due before the worker slept
				worker.Send(codec.GrabJob)
				p := worker.Next()
				for ; p.Type == codec.NoJob; p = worker.Next() {
					worker.Send(codec.PreSleep)
					worker.Want(codec.Noop)
					if woken.IsZero() {
						woken = time.Now()
					}
					worker.Send(codec.GrabJob)
				}
				if p.Type != codec.JobAssign {
					t.Fatalf("got %v", p)
				}
				handle := p.Args(3)[0]
				due := handles[handle]
				if time.Now().Before(time.Unix(due, 0)) {
					t.Errorf("handed out before %d", due)
				}
				if due < last {
					t.Errorf("the job of %d comes after that of %d", due, last)
				}
				if late := woken.Sub(time.Unix(due, 0)); !woken.IsZero() && (late < 0 || late > await.Limit) {
					t.Errorf("woken %v after the job was due", late)
				}
				last = due
				worker.Send(codec.WorkComplete, handle, "")
			}
			worker.Sync()
		})
	}
}

// 5,000 workers sleep for one function. A job wakes as many as --worker-wakeup says, all for 0, and each of
// them once. Every job is done.
func TestWorkerWakeup(t *testing.T) {
	const workers, hands = 5000, 8
	for _, wakeup := range []int{0, 10} {
		t.Run(strconv.Itoa(wakeup), func(t *testing.T) {
			// The others are woken by the next job, not later by this one.
			s := peers.Start(t, peers.Gearloop, "--dialect", "c", "--worker-wakeup", strconv.Itoa(wakeup), "--wakeup-delay=-1")
			all := make([]*wire.Conn, workers)
			each(t, hands, workers, func(i int) {
				all[i] = wire.Dial(wire.Aside(t), s.Addr)
				all[i].Send(codec.CanDo, "f")
				all[i].Send(codec.PreSleep)
				all[i].Sync()
			})
			client := wire.Dial(t, s.Addr)
			for n := range 2 {
				handle := client.Submit(codec.SubmitJob, "f", "", fmt.Sprint(n))
				woken := wakeups(t, all, cmp.Or(wakeup, workers))
				// All woken workers ask for the job.
				got := ""
				for _, w := range woken {
					w.Send(codec.GrabJob)
				}
				for _, w := range woken {
					if p := w.Next(); p.Type == codec.JobAssign {
						if got != "" {
							t.Errorf("%s is handed out twice", p)
						}
						got = p.Args(3)[0]
						w.Send(codec.WorkComplete, got, "done")
					} else if p.Type != codec.NoJob {
						t.Errorf("got %v", p)
					}
				}
				if got != handle {
					t.Fatalf("got job %q, want %s", got, handle)
				}
				client.Want(codec.WorkComplete, handle, "done")
				for _, w := range woken {
					w.Send(codec.PreSleep)
					w.Sync()
				}
			}
		})
	}
}

// wakeups returns the connections that got NOOP. There must be n of them, and none may get two.
func wakeups(t *testing.T, all []*wire.Conn, n int) (woken []*wire.Conn) {
	t.Helper()
	woke := make([]bool, len(all))
	look := func() {
		each(t, 8, len(all), func(i int) {
			all[i].Send(codec.EchoReq, "who is awake")
			p := all[i].Next()
			if p.Type == codec.Noop && !woke[i] {
				woke[i] = true
				p = all[i].Next()
			}
			if p.Type != codec.EchoRes {
				t.Errorf("worker %d got %v", i, p)
			}
		})
		woken = nil
		for i, w := range all {
			if woke[i] {
				woken = append(woken, w)
			}
		}
	}
	wire.Await(t, "workers are woken", func() bool { look(); return len(woken) >= n })
	look() // nothing comes afterwards
	if len(woken) != n {
		t.Fatalf("%d of %d workers are woken, want %d", len(woken), len(all), n)
	}
	return woken
}

// Of many sleepers a job wakes one, in both dialects. If that one says nothing, others are woken after the
// delay, and the job is done.
func TestNoHerd(t *testing.T) {
	const workers = 200
	for _, dialect := range []string{"perl", "c"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			for _, delay := range []string{"3600", "0.1"} {
				s := peers.Start(t, peers.Gearloop, "--dialect", dialect, "--wakeup-delay", delay)
				all := make([]*wire.Conn, workers)
				for i := range all {
					all[i] = able(t, s, "f")
					all[i].Send(codec.PreSleep)
				}
				for _, w := range all {
					w.Sync()
				}
				client := wire.Dial(t, s.Addr)
				handle := client.Submit(codec.SubmitJob, "f", "", "x")
				var last *wire.Conn
				if delay == "3600" {
					last = wakeups(t, all, 1)[0] // nobody else within an hour
				} else {
					last = all[workers-1]
					last.Want(codec.Noop) // those before it say nothing
				}
				if got, _ := last.Grab(); got != handle {
					t.Errorf("got job %q, want %s", got, handle)
				}
				last.Send(codec.WorkComplete, handle, "done")
				client.Want(codec.WorkComplete, handle, "done")
			}
		})
	}
}

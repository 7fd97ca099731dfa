package sched_test

import (
	"container/heap"
	"fmt"
	"strings"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// Example runs a client and a worker on one goroutine: the shortest version of what a reactor does with
// sockets and a clock. A call brings a packet and the time; Effects say what to do after it. A server also
// looks at Effects.Hangup, delivers arguments that only a store has (Fetches), sends to many listeners in
// slices (Fans) and repeats calls that stopped early (Again).
func Example() {
	now := time.Date(2030, time.January, 1, 12, 0, 0, 0, time.UTC)
	broker := sched.New(sched.Config{Dialect: dialect.Perl, HandlePrefix: "H:here", Wakeup: 1, WakeupDelay: -1, Start: now})
	client, worker := &sched.Peer{User: "client"}, &sched.Peer{User: "worker"}
	broker.Connect(client)
	broker.Connect(worker)

	var fx sched.Effects
	var timers timers
	handle := "" // of the job
	carry := func() {
		for i := range fx.Packets {
			p := &fx.Packets[i]
			if p.Type == codec.Noop && !p.To.ClaimNoop() {
				continue // it has asked for a job meanwhile
			}
			data := string(p.Body.Append(append([]byte(nil), fx.Args(p)...)))
			p.Body.Release() // a packet owns its body
			fmt.Printf("%s gets %v %q\n", p.To.User, p.Type, data)
			if p.Type == codec.JobCreated {
				handle = data
			}
		}
		for _, a := range fx.Timers {
			timers.set(a)
		}
		fx.Reset()
	}
	send := func(from *sched.Peer, t codec.Type, args ...string) {
		data := payload.Borrow([]byte(strings.Join(args, "\x00"))) // valid during the call
		broker.Handle(from, t, data, now, &fx)
		carry()
	}

	send(worker, codec.CanDoTimeout, "reverse", "5")
	send(worker, codec.PreSleep)
	send(client, codec.SubmitJob, "reverse", "", "hello")
	send(worker, codec.GrabJob)
	send(worker, codec.WorkComplete, handle, "olleh")

	// The worker takes too long for the next one.
	send(client, codec.SubmitJob, "reverse", "", "again")
	send(worker, codec.GrabJob)
	for len(timers) > 0 {
		next := heap.Pop(&timers).(sched.Arm)
		if now.Before(next.At) {
			now = next.At // where there is a clock: sleep
		}
		broker.Fire(next.Timer, now, &fx) // on the goroutine of next.Timer.Peer(), if it has one
		carry()
	}
	broker.Disconnect(worker, now, &fx)
	carry()

	// Output:
	// client gets JOB_CREATED "H:here:22"
	// worker gets NOOP ""
	// worker gets JOB_ASSIGN "H:here:22\x00reverse\x00hello"
	// client gets WORK_COMPLETE "H:here:22\x00olleh"
	// client gets JOB_CREATED "H:here:86"
	// worker gets JOB_ASSIGN "H:here:86\x00reverse\x00again"
	// client gets WORK_FAIL "H:here:86"
}

// timers is a heap of timers, the first to fire on top. A timer knows its index, so that it can be moved or
// stopped.
type timers []sched.Arm

// set sets a timer, moves it to an earlier moment or stops it.
func (ts *timers) set(a sched.Arm) {
	switch at := a.Timer.Index - 1; {
	case at >= 0 && a.At.IsZero():
		heap.Remove(ts, at)
	case at >= 0 && a.At.Before((*ts)[at].At):
		(*ts)[at].At = a.At
		heap.Fix(ts, at)
	case at < 0 && !a.At.IsZero():
		heap.Push(ts, a)
	}
}

func (ts timers) Len() int           { return len(ts) }
func (ts timers) Less(i, k int) bool { return ts[i].At.Before(ts[k].At) }

func (ts timers) Swap(i, k int) {
	ts[i], ts[k] = ts[k], ts[i]
	ts[i].Timer.Index, ts[k].Timer.Index = i+1, k+1
}

func (ts *timers) Push(x any) {
	a := x.(sched.Arm)
	*ts = append(*ts, a)
	a.Timer.Index = len(*ts)
}

func (ts *timers) Pop() any {
	last := len(*ts) - 1
	a := (*ts)[last]
	*ts = (*ts)[:last]
	a.Timer.Index = 0
	return a
}

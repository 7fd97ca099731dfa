package reactor

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/test/wire"
)

// work does jobs as an ordinary worker does, until the connection ends, and sleeps when there is none. For
// each job it sends as many WORK_DATA, numbered from 1, and then the argument as the result.
func work(t *testing.T, w *wire.Conn, data int) {
	out := codec.AppendRequest(nil, codec.GrabJob)
	for {
		// Errors are ignored: the test closes the connection when everything is done.
		if _, err := w.Write(out); err != nil {
			return
		}
		p, err := w.Receive()
		if err != nil {
			return
		}
		out = out[:0]
		switch p.Type {
		case codec.NoJob:
			out = codec.AppendRequest(out, codec.PreSleep)
		case codec.Noop:
			out = codec.AppendRequest(out, codec.GrabJob)
		case codec.JobAssign:
			args := p.Args(3)
			for i := range data {
				out = codec.AppendRequest(out, codec.WorkData, args[0], fmt.Sprint(i+1))
			}
			out = codec.AppendRequest(out, codec.WorkComplete, args[0], args[2])
			out = codec.AppendRequest(out, codec.GrabJob)
		default:
			t.Errorf("a worker got %v", p)
			return
		}
	}
}

// following is what a client knows of one of its jobs.
type following struct {
	argument string
	data     int // last WORK_DATA
	shared   bool
}

// follow reads the packets about a client's jobs until all are done. The first packet of a job must be its
// JOB_CREATED, in the order of submission; then come WORK_DATA 1 to 5 in order, and then the result. A client
// that joined another's job may have missed the first of them.
func follow(t *testing.T, c *wire.Conn, arguments []string, shared func(i int) bool) {
	jobs := map[string]*following{}
	created, done := 0, 0
	for done < len(arguments) {
		p, err := c.Receive()
		if err != nil {
			t.Errorf("%d of %d jobs created, %d done: %v", created, len(arguments), done, err)
			return
		}
		args := p.Args(2)
		j := jobs[args[0]]
		switch {
		case p.Type == codec.JobCreated && j == nil && created < len(arguments):
			jobs[args[0]] = &following{argument: arguments[created], shared: shared(created)}
			created++
			continue
		case j == nil:
			t.Errorf("%v before its JOB_CREATED", p)
			return
		case p.Type == codec.WorkData && (args[1] == fmt.Sprint(j.data+1) || j.shared && j.data == 0):
			fmt.Sscan(args[1], &j.data)
		case p.Type == codec.WorkComplete && args[1] == j.argument && (j.data == 5 || j.shared && j.data == 0):
			delete(jobs, args[0])
			done++
		default:
			t.Errorf("%v after WORK_DATA %d", p, j.data)
			return
		}
	}
}

// With any number of loops a client gets JOB_CREATED first and all later packets of a job in the order in
// which the worker sent them, whichever loops they are on. No job is lost or done twice.
func TestOrderAcrossLoops(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(n, " loops"), func(t *testing.T) {
			orderAcrossLoops(t, newRig(t, loops(n)))
		})
	}
}

// orderAcrossLoops has clients and workers do jobs of several functions.
func orderAcrossLoops(t *testing.T, r *rig) {
	orderOf(t, func(int) *wire.Conn { return r.dial() }, 8, 400, 5000)
	if n := r.sched.Count(); n.Queued+n.Running > 0 {
		t.Errorf("%d jobs queued and %d running at the end", n.Queued, n.Running)
	}
	r.quiet()
}

// orderOf has so many clients and workers do jobs of several functions, some of them with large arguments. connect
// makes their connections, which have ended when it returns.
func orderOf(t *testing.T, connect func(i int) *wire.Conn, clients, jobs, large int) {
	functions := []string{"a", "b", "c", "d", "e"}
	var working, following sync.WaitGroup
	var all []*wire.Conn
	for i := range clients {
		w := connect(i)
		for _, f := range functions {
			w.Send(codec.CanDo, f)
		}
		w.Sync()
		all = append(all, w)
		working.Go(func() { work(t, w, 5) })
	}
	shared := func(i int) bool { return i%4 == 0 }
	for k := range clients {
		c := connect(k)
		all = append(all, c)
		var out []byte
		arguments := make([]string, jobs)
		for i := range arguments {
			unique := ""
			arguments[i] = fmt.Sprint(k, " ", i)
			if shared(i) {
				unique = fmt.Sprint("u", i)
				arguments[i] = unique
			} else if i%32 == 1 {
				arguments[i] += strings.Repeat("x", large) // by reference
			}
			out = codec.AppendRequest(out, codec.SubmitJob, functions[i%len(functions)], unique, arguments[i])
		}
		following.Go(func() { c.Raw(out) })
		following.Go(func() { follow(t, c, arguments, shared) })
	}
	following.Wait()
	for _, c := range all {
		c.Close()
	}
	working.Wait()
}

// A client learns of an event on one connection. Packets of earlier events on another connection have arrived
// by then.
func TestCauseBeforeEffect(t *testing.T) {
	r := newRig(t, loops(2))
	client, worker := r.dial(), r.worker("f")
	for range 300 {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		worker.Send(codec.WorkStatus, h, "1", "2")
		worker.Sync()
		client.Send(codec.GetStatus, h)
		client.Want(codec.WorkStatus, h, "1", "2")
		client.Want(codec.StatusRes, h, "1", "1", "1", "2")
		worker.Send(codec.WorkComplete, h, "y")
		worker.Sync()
		client.Send(codec.EchoReq, "after")
		client.Want(codec.WorkComplete, h, "y")
		client.Want(codec.EchoRes, "after")
	}
}

// TestCancelKeepsOrder cancels jobs from one loop while workers on other loops report them. Listeners get
// WORK_FAIL last, and once.
func TestCancelKeepsOrder(t *testing.T) {
	r := newRig(t, loops(4))
	const sets, rounds, news = 6, 25, 1000
	var all sync.WaitGroup
	for set := range sets {
		function := fmt.Sprint("f", set)
		client, worker, admin := r.dial(), r.worker(function), r.dial()
		for range set {
			r.dial() // so that the three are on other loops in each set
		}
		all.Go(func() {
			for range rounds {
				h := client.Submit(codec.SubmitJob, function, "", "x")
				worker.Grab()
				var out []byte
				for i := range news {
					out = codec.AppendRequest(out, codec.WorkData, h, fmt.Sprint(i))
				}
				told := make(chan struct{})
				go func() {
					defer close(told)
					worker.Raw(out)
				}()
				admin.Line("cancel job " + h)
				if answer := admin.ReadLine(); answer != "OK" {
					t.Errorf("cancel: %q", answer)
				}
				for p := client.Next(); p.Type != codec.WorkFail; p = client.Next() {
					if p.Type != codec.WorkData {
						t.Errorf("%v before the end", p)
						return
					}
				}
				<-told
				worker.Sync() // everything that it sent has been handled
				client.Sync() // and had no effect
				worker.Send(codec.WorkComplete, h, "y")
				worker.Sync()
				client.Sync()
			}
		})
	}
	all.Wait()
}

// TestBehind: a packet that must follow what other loops have sent does so on the caller's own loop, too.
func TestBehind(t *testing.T) {
	r := newRig(t, loops(1))
	client := r.dial()
	client.Sync()
	var l *loop
	for _, only := range r.server.loops {
		l = only
	}
	done := make(chan struct{})
	l.do(func() {
		defer close(done)
		for c := range l.conns {
			for _, text := range []string{"of another loop", "behind", "at once"} {
				p := sched.Packet{To: &c.Peer, Type: codec.WorkData, Body: payload.Borrow([]byte(text)), Behind: text == "behind"}
				if text == "of another loop" {
					l.mail.postPacket(c, &p, nil, nil)
					continue
				}
				l.fx.Packets = append(l.fx.Packets, p)
				l.carry(nil)
			}
		}
	})
	<-done
	client.Want(codec.WorkData, "at once")
	client.Want(codec.WorkData, "of another loop")
	client.Want(codec.WorkData, "behind")
}

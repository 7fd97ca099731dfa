package reactor

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/test/await"
	"gearloop/test/wire"
)

var grabTypes = []codec.Type{codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll}

// inOneTurn stops the only loop, calls f, and lets the loop go on when everything has arrived that these
// connections sent. The loop then reads them in the order in which they sent.
func (r *rig) inOneTurn(t *testing.T, f func(), from ...*wire.Conn) {
	t.Helper()
	stopped, goOn := make(chan struct{}), make(chan struct{})
	defer close(goOn)
	r.server.allLoops()[0].do(func() { close(stopped); <-goOn })
	<-stopped
	f()
	await.Until(t, "everything has arrived", func() bool {
		for _, c := range from {
			if unacknowledged(t, c) > 0 {
				return false
			}
		}
		return true
	})
}

// onLoop calls f on the only loop, and waits until it has returned.
func (r *rig) onLoop(f func(l *loop)) {
	l, done := r.server.allLoops()[0], make(chan struct{})
	l.do(func() { defer close(done); f(l) })
	<-done
}

// A job that is submitted in the turn in which a worker asks in vain is its answer, without NO_JOB, PRE_SLEEP and
// NOOP. A worker of very many functions gets NO_JOB at once.
func TestGrabFindsWhatTheTurnBrings(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(d.Name, " TLS=", secure), func(t *testing.T) {
				r := newTLSRig(t, false, loops(1), func(s *setup) { s.Dialect, s.Sched.Dialect = d, d })
				dial := r.plain
				if secure {
					dial = r.secure
				}
				client, w, able := dial(), dial(), dial()
				client.Sync()
				w.Send(codec.CanDo, "f0")
				w.Sync()
				for i := range lateFunctions + 1 {
					able.Send(codec.CanDo, fmt.Sprint("f", i))
				}
				able.Sync()
				for i, typ := range grabTypes {
					argument := fmt.Sprint(i)
					r.inOneTurn(t, func() {
						able.Send(typ)
						w.Send(typ)
						await.Until(t, "GRAB_JOB has arrived", func() bool { return unacknowledged(t, w)+unacknowledged(t, able) == 0 })
						client.Send(codec.SubmitJobBg, "f0", argument, argument)
					}, client)
					able.Want(codec.NoJob)
					p := w.Next()
					if args := p.Args(strings.Count(string(p.Data), "\x00") + 1); p.Type == codec.NoJob || args[len(args)-1] != argument {
						t.Errorf("the answer to %v is %v", typ, p)
					} else {
						w.Send(codec.WorkComplete, args[0], "")
					}
					client.WantType(codec.JobCreated)
					w.Send(typ)
					w.Want(codec.NoJob)
				}
			})
		}
	}
}

// A loop that read nothing but a GRAB_JOB in vain looks once more whether a submission has arrived.
func TestLoneGrabLooksAgain(t *testing.T) {
	var wait atomic.Bool
	asked, goOn := make(chan struct{}), make(chan struct{})
	r := newRig(t, loops(1), func(s *setup) {
		s.Sched.Step = func() {
			if wait.CompareAndSwap(true, false) {
				close(asked)
				<-goOn
			}
		}
	})
	client, w := r.dial(), r.worker("f")
	client.Sync()
	r.onLoop(func(l *loop) { l.grabs.vain = 3 })
	wait.Store(true)
	w.Raw(codec.AppendRequest(codec.AppendRequest(nil, codec.PreSleep), codec.GrabJob))
	<-asked // PRE_SLEEP is being handled
	client.Send(codec.SubmitJobBg, "f", "", "x")
	await.Until(t, "the submission has arrived", func() bool { return unacknowledged(t, client) == 0 })
	close(goOn)
	w.Want(codec.Noop)
	w.WantJob()
	client.WantType(codec.JobCreated)
	r.onLoop(func(l *loop) {
		if l.grabs.vain != 0 {
			t.Errorf("%d looks in vain after one that has brought a job", l.grabs.vain)
		}
	})
}

// Second looks that bring nothing become rare, and those that bring something usual again.
func TestLooksInVainBecomeRare(t *testing.T) {
	r := newRig(t, loops(1))
	w := r.worker("f")
	w.Sync()
	r.onLoop(func(l *loop) {
		for c := range l.conns {
			if c.Functions() == 1 {
				l.grabs.conns = append(l.grabs.conns, c)
				c.grab = codec.GrabJob
			}
		}
		looks := func(grabs int) (n int) {
			for range grabs {
				if l.lookAgain() {
					n++
				}
			}
			return n
		}
		for range 2 {
			if n := looks(lookVain); n != lookVain {
				t.Errorf("%d of the first %d look again", n, lookVain)
			}
			if n := looks(10 * lookPause); n != 10 {
				t.Errorf("%d of %d look again, want 10", n, 10*lookPause)
			}
			l.grabs.vain = 0
		}
	})
	w.Want(codec.NoJob) // at the end of the turn
}

// Whatever follows GRAB_JOB on its connection in the same turn, and in whatever pieces, is answered after it.
func TestPostponedGrabKeepsItsPlace(t *testing.T) {
	for _, typ := range grabTypes {
		t.Run(typ.String(), func(t *testing.T) {
			r := newRig(t, loops(1))
			w := r.worker("f")
			grab := codec.AppendRequest(nil, typ)
			noJob := codec.AppendPacket(nil, codec.NoJob)
			echo, echoed := codec.AppendRequest(nil, codec.EchoReq, "x"), codec.AppendPacket(nil, codec.EchoRes, "x")
			sent := cat(grab, echo, grab, grab, []byte("version\n"), grab, codec.AppendRequest(nil, codec.PreSleep), grab, echo, grab)
			want := cat(noJob, echoed, noJob, noJob, []byte("v1.2.3\n"), noJob, noJob, echoed, noJob)
			for cut := range len(sent) {
				for _, size := range []int{1, 7, len(sent)} {
					r.onLoop(func(l *loop) {
						l.items = 0
						for c := range l.conns {
							c.process(sent[:cut])
							for rest := sent[cut:]; len(rest) > 0; rest = rest[min(size, len(rest)):] {
								c.process(rest[:min(size, len(rest))])
							}
						}
					})
					wantBytes(t, w, want)
				}
			}
			w.Sync()
		})
	}
}

// A worker that half-closes its connection in the turn in which it asks is answered. A job that it gets goes to
// another worker.
func TestPostponedGrabBeforeTheEnd(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, jobs := range []int{0, 1} {
			t.Run(fmt.Sprint("TLS=", secure, " ", jobs, " jobs"), func(t *testing.T) {
				// Dialect c gives the job of a lost worker to another one.
				r := newTLSRig(t, false, loops(1), func(s *setup) { s.Dialect, s.Sched.Dialect = dialect.C, dialect.C })
				dial := r.plain
				if secure {
					dial = r.secure
				}
				client, w, other := dial(), dial(), r.plain()
				w.Send(codec.CanDo, "f")
				w.Sync()
				other.Send(codec.CanDo, "f")
				other.Sync()
				for range jobs {
					client.Submit(codec.SubmitJobBg, "f", "", "x")
				}
				client.Sync()
				r.inOneTurn(t, func() {
					w.Send(codec.GrabJob)
					w.CloseWrite()
					other.Send(codec.EchoReq, "") // two are ready, so the loop polls twice and finds the end
				}, w, other)
				other.Want(codec.EchoRes, "")
				if jobs == 0 {
					w.Want(codec.NoJob)
				} else if p := w.Next(); p.Type != codec.JobAssign {
					t.Errorf("got %v", p)
				}
				w.WantEnd()
				for range jobs {
					other.Send(codec.PreSleep)
					other.Want(codec.Noop)
					other.Grab()
				}
			})
		}
	}
}

// A worker that asks and resets its connection in the same turn takes no job with it.
func TestPostponedGrabOfBrokenConnection(t *testing.T) {
	r := newRig(t, loops(1), func(s *setup) { s.Dialect, s.Sched.Dialect = dialect.C, dialect.C })
	client, other := r.dial(), r.worker("f")
	for range 20 {
		w := r.worker("f")
		r.inOneTurn(t, func() {
			w.Send(codec.GrabJob)
			client.Send(codec.SubmitJobBg, "f", "", "x")
			w.Reset()
		}, client)
		client.WantType(codec.JobCreated)
		other.Send(codec.PreSleep)
		other.Want(codec.Noop)
		h, _ := other.Grab()
		other.Send(codec.WorkComplete, h, "")
	}
}

// A postponed GRAB_JOB that comes across very many jobs that nobody wants takes turns, and what follows it is
// answered after it.
func TestPostponedGrabTakesTurns(t *testing.T) {
	r := newRig(t, loops(1))
	const jobs = 3000
	w := r.worker("f")
	for _, behind := range []bool{false, true} {
		r.onLoop(func(l *loop) {
			for c := range l.conns {
				c.process(codec.AppendRequest(nil, codec.GrabJob))
				if c.grab == 0 {
					t.Error("it is not postponed")
				}
				r.leaveJobs("f", jobs)
				if behind {
					c.process(codec.AppendRequest(nil, codec.EchoReq, "x"))
				}
			}
		})
		if behind {
			w.Want(codec.NoJob)
			w.Want(codec.EchoRes, "x")
		} else {
			w.Send(codec.EchoReq, "y")
			w.Want(codec.NoJob)
			w.Want(codec.EchoRes, "y")
		}
	}
}

// leaveJobs queues foreground jobs whose client leaves.
func (r *rig) leaveJobs(function string, n int) {
	client := &sched.Peer{}
	r.sched.Connect(client)
	var fx sched.Effects
	for range n {
		r.sched.Handle(client, codec.SubmitJob, payload.Borrow([]byte(function+"\x00\x00x")), time.Now(), &fx)
		fx.Reset()
	}
	for r.sched.Disconnect(client, time.Now(), &fx); fx.Again; r.sched.Disconnect(client, time.Now(), &fx) {
		fx.Reset()
	}
}

package reactor

import (
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/sched"
	"gearloop/test/wire"
)

// What fails while a connection is closed, be it the mail that is handled first, leaves nothing of the connection
// behind: its descriptor belongs to another one soon, its jobs to other workers, and its slot to somebody else.
func TestFaultWhileClosing(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, l *loop, w *wire.Conn, its *conn){
		"mail": func(_ *testing.T, l *loop, _ *wire.Conn, _ *conn) {
			l.mail.quietly(message{kind: taskMessage, task: func() { panic("a fault") }})
			l.mail.full.Store(true)
		},
		"a postponed packet": func(_ *testing.T, _ *loop, _ *wire.Conn, its *conn) {
			its.grab = codec.GrabJob
			its.Access = faultyRights()
		},
		"a packet that was not read": func(t *testing.T, _ *loop, w *wire.Conn, its *conn) {
			w.Send(codec.SubmitJob, "f", "", "y")
			wire.Await(t, "it has come", func() bool { return unreadBytes(its.FD) > 0 })
			its.doomed = true // so that it is read at the end
			its.Access = faultyRights()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, loops(1), func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
			w := r.worker("f")
			l := r.server.allLoops()[0]
			its := connectionOf(t, l)
			client := r.dial()
			client.Send(codec.SubmitJob, "f", "", "x")
			client.WantType(codec.JobCreated)
			w.Send(codec.GrabJob)
			w.WantType(codec.JobAssign)
			on(l, func() {
				prepare(t, l, w, its)
				if err := l.events.Close(its.gc); err != nil {
					t.Error(err)
				}
			})
			w.WantEnd()
			client.WantType(codec.WorkFail)
			wire.Await(t, "nothing is left of it", func() (gone bool) {
				on(l, func() { gone = its.closed && len(l.conns) == 1 && len(l.byFD) == 1 })
				return gone && r.slotsTaken() == 1
			})
			if n := r.server.counters.Panics.Swap(0); n != 1 {
				t.Errorf("%d internal faults", n)
			}
		})
	}
}

// A message that fails does not close the connection whose input is handled after it.
func TestFaultOfMail(t *testing.T) {
	for name, size := range map[string]int{"small": 1, "large": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, loops(1), func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
			c := r.dial()
			c.Sync()
			l := r.server.allLoops()[0]
			its := connectionOf(t, l)
			text := strings.Repeat("x", size)
			request := codec.AppendRequest(nil, codec.EchoReq, text)
			half := len(request) / 2
			if size > readSize {
				c.Raw(request[:half])
				wire.Await(t, "the beginning is read", func() (read bool) {
					on(l, func() { read = its.fast != nil && its.fast.Size()-its.fast.Missing() == half-codec.HeaderSize })
					return read
				})
				request = request[half:]
			}
			on(l, func() {
				go c.Raw(request) // not before: the loop would read it in the course of things
				wire.Await(t, "input is there", func() bool { return unreadBytes(its.FD) > 0 })
				var done []int
				for i := range 3 {
					l.mail.quietly(message{kind: taskMessage, task: func() {
						if done = append(done, i); i == 1 {
							panic("a fault")
						}
					}})
				}
				l.mail.full.Store(true)
				l.serve(its, unix.EPOLLIN)
				if !slices.Equal(done, []int{0, 1, 2}) {
					t.Errorf("the messages %v are handled", done)
				}
			})
			c.Want(codec.EchoRes, text)
			if n := r.server.counters.Panics.Swap(0); n != 1 {
				t.Errorf("%d internal faults", n)
			}
		})
	}
}

// A fault in what was read where a large frame is expected leaves no payload behind, whether that frame has come or
// something else.
func TestFaultOfExpectedFrame(t *testing.T) {
	for name, size := range map[string]int{"small": 1, "as expected": readSize} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, loops(1), onUnix(t), func(s *setup) { s.Log = slog.New(slog.DiscardHandler) })
			c := r.dial()
			frame, answer := echo(readSize)
			c.Raw(frame)
			wantBytes(t, c, answer)
			l := r.server.allLoops()[0]
			its := connectionOf(t, l)
			request := codec.AppendRequest(nil, codec.SubmitJob, "f", "", strings.Repeat("x", size))
			on(l, func() {
				go c.Raw(request)
				its.Access = faultyRights()
				wire.Await(t, "all is there", func() bool { return unreadBytes(its.FD) == len(request) })
				l.serve(its, unix.EPOLLIN)
			})
			c.WantEnd()
			if n := r.server.counters.Panics.Swap(0); n != 1 {
				t.Errorf("%d internal faults", n)
			}
			noPayload(t)
		})
	}
}

// faultyRights returns rights that fail when they are asked for.
func faultyRights() *sched.Access {
	f := &failingRights{}
	a := sched.NewAccess(f)
	f.version.Add(1)
	return a
}

type failingRights struct {
	sched.Rights // nil: its methods fail
	version      atomic.Uint64
}

func (f *failingRights) Version() *atomic.Uint64 { return &f.version }

func (f *failingRights) Some() sched.Right {
	if f.version.Load() > 0 {
		panic("a fault")
	}
	return sched.AllRights
}

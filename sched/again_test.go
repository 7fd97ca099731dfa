package sched

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// many is far more than one call handles.
const many = 10*callJobs + 7

// laborious is a request whose work grows with the number of jobs, workers or bytes.
type laborious struct {
	name    string
	dialect *dialect.Dialect
	prepare func(r *rig) *Peer                  // returns the caller
	call    func(r *rig, p *Peer, fx *Effects)  // once, or repeated for Effects.Again
	left    func(r *rig, p *Peer) int           // what is left to do
	after   func(t *testing.T, r *rig, p *Peer) // what must hold at the end
	most    int                                 // that one call may handle
}

// handle makes a call of a packet.
func handle(t codec.Type, args ...string) func(r *rig, p *Peer, fx *Effects) {
	return func(r *rig, p *Peer, fx *Effects) {
		r.s.Handle(p, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), r.now, fx)
	}
}

// inHand connects a worker with many jobs in hand.
func inHand(r *rig) *Peer {
	c := r.connect()
	w := r.worker("f", "g")
	var fx Effects
	for i := range many {
		handle(codec.SubmitJobBg, "f", "", strconv.Itoa(i))(r, c, &fx)
		handle(codec.GrabJob)(r, w, &fx)
		fx.Reset()
	}
	r.check()
	return w
}

func jobsInHand(r *rig, p *Peer) int { return len(p.doing) }

func queuedJobs(r *rig, p *Peer) int { return r.s.Count().Queued }

func wantSent(packets ...string) func(t *testing.T, r *rig, p *Peer) {
	return func(t *testing.T, r *rig, p *Peer) { r.want(p, packets...) }
}

var laborers = []laborious{
	{
		name: "a grab behind jobs that nobody wants any more",
		prepare: func(r *rig) *Peer {
			c := r.connect()
			var fx Effects
			for range many {
				handle(codec.SubmitJob, "f", "", "x")(r, c, &fx)
				fx.Reset()
			}
			r.leave(c)
			r.do(r.connect(), codec.SubmitJobBg, "f", "", "wanted")
			return r.worker("f")
		},
		call: handle(codec.GrabJob), left: queuedJobs, most: callJobs + 1,
		after: wantSent("JOB_ASSIGN h1|f|wanted"),
	},
	{
		name: "a worker that is given jobs behind jobs that nobody wants any more",
		prepare: func(r *rig) *Peer {
			w := r.worker("f")
			r.do(w, codec.AllYours)
			c := r.connect()
			w.state.Store(awake) // as if it were inside a call
			var fx Effects
			for range many {
				handle(codec.SubmitJob, "f", "", "x")(r, c, &fx)
				fx.Reset()
			}
			r.leave(c)
			return w
		},
		call: func(r *rig, p *Peer, fx *Effects) { r.s.Push(p, r.now, fx) }, left: queuedJobs, most: callJobs,
		after: func(t *testing.T, r *rig, p *Peer) {
			if p.state.Load() != sleeping {
				t.Error("it does not wait for the next job")
			}
		},
	},
	{
		name: "a submission after maxqueue was lowered",
		prepare: func(r *rig) *Peer {
			c := r.connect()
			var fx Effects
			for range many {
				handle(codec.SubmitJobBg, "f", "", "x")(r, c, &fx)
				fx.Reset()
			}
			r.s.SetMaxQueue("f", bounds(3))
			return c
		},
		call: handle(codec.SubmitJobBg, "f", "", "x"), left: queuedJobs, most: callJobs,
		after: func(t *testing.T, r *rig, p *Peer) {
			if n := queuedJobs(r, p); n != 3 || len(r.got[p]) != 1 {
				t.Errorf("%d queued, sent %q", n, r.got[p])
			}
		},
	},
	{
		name: "drop function",
		prepare: func(r *rig) *Peer {
			c := r.connect()
			var fx Effects
			for i := range many {
				handle(codec.SubmitJobBg, "f", "", "x")(r, c, &fx)
				if i%2 == 0 {
					handle(codec.SubmitJobEpoch, "f", "", strconv.FormatInt(start.Unix()+9, 10), "x")(r, c, &fx)
				}
				fx.Reset()
			}
			return c
		},
		call: func(r *rig, p *Peer, fx *Effects) {
			if known, inUse := r.s.DropFunction("f", r.now, fx); !known || inUse {
				r.Errorf("known is %v, in use is %v", known, inUse)
			}
		},
		left: func(r *rig, p *Peer) int { return len(r.s.Jobs()) }, most: callJobs,
		after: func(t *testing.T, r *rig, p *Peer) {
			if n := r.s.Count().Functions; n != 0 {
				t.Errorf("%d functions are left", n)
			}
		},
	},
	{
		name: "the end of a worker's connection", prepare: inHand, left: jobsInHand, most: callJobs,
		call: func(r *rig, p *Peer, fx *Effects) { r.s.Disconnect(p, r.now, fx) },
		after: func(t *testing.T, r *rig, p *Peer) {
			if n := r.s.Count(); n.Running != 0 || n.Abilities != 0 || n.Peers != 1 {
				t.Errorf("left: %+v", n)
			}
		},
	},
	{
		name: "CANT_DO", dialect: dialect.C, prepare: inHand, left: jobsInHand, most: callJobs,
		call: handle(codec.CantDo, "f"),
		after: func(t *testing.T, r *rig, p *Peer) {
			if n := r.s.Count(); n.Queued != many || n.Running != 0 || n.Abilities != 1 {
				t.Errorf("left: %+v", n)
			}
		},
	},
	{
		name: "RESET_ABILITIES", dialect: dialect.C, prepare: inHand, left: jobsInHand, most: callJobs,
		call: handle(codec.ResetAbilities),
		after: func(t *testing.T, r *rig, p *Peer) {
			if n := r.s.Count(); n.Queued != many || n.Running != 0 || n.Abilities != 0 {
				t.Errorf("left: %+v", n)
			}
		},
	},
	{
		name: "the end of a worker of many functions", prepare: ofMany, left: abilitiesOf, most: callAbilities,
		call:  func(r *rig, p *Peer, fx *Effects) { r.s.Disconnect(p, r.now, fx) },
		after: nothingToDo,
	},
	{
		name: "RESET_ABILITIES of many functions", prepare: ofMany, left: abilitiesOf, most: callAbilities,
		call: handle(codec.ResetAbilities), after: nothingToDo,
	},
	{
		name:    "the unique id of a large argument",
		prepare: func(r *rig) *Peer { return r.connect() },
		call: func(r *rig, p *Peer, fx *Effects) {
			data := payload.New(len("f\x00-\x00") + 5<<20)
			data.Fill([]byte("f\x00-\x00"))
			data.Fill([]byte(strings.Repeat("x", 5<<20)))
			r.s.Handle(p, codec.SubmitJobBg, payload.Of(data), r.now, fx)
			data.Release()
		},
		left: func(r *rig, p *Peer) int { return 0 },
		after: func(t *testing.T, r *rig, p *Peer) {
			if u := r.s.Jobs()[0].Unique; u != "sha256:"+fives {
				t.Errorf("the unique id is %q", u)
			}
		},
	},
}

// ofMany makes a worker of many functions.
func ofMany(r *rig) *Peer {
	w := r.connect()
	var fx Effects
	for i := range many {
		handle(codec.CanDo, strconv.Itoa(i))(r, w, &fx)
		fx.Reset()
	}
	return w
}

func abilitiesOf(r *rig, p *Peer) int { return len(p.abilities) }

func nothingToDo(t *testing.T, r *rig, _ *Peer) {
	if n := r.s.Count(); n.Abilities != 0 || n.Functions != 0 {
		t.Errorf("left: %+v", n)
	}
}

// fives is the SHA-256 digest of 5 MiB of "x".
const fives = "dba67a476fa78973aabb087f214a1010f3bebca053674e0af50dfe5a582112be"

// TestCallsAreBounded: no call takes long, however much there is to do. Repeated as often as it asks for, it
// has the same result as a single call would.
func TestCallsAreBounded(t *testing.T) {
	for _, l := range laborers {
		t.Run(l.name, func(t *testing.T) {
			cfg := perl()
			if l.dialect != nil {
				cfg.Dialect = l.dialect
			}
			r := newRig(t, cfg)
			p := l.prepare(r)
			r.got[p] = nil
			var fx Effects
			var state any
			calls := 0
			for again := true; again; calls++ {
				before := l.left(r, p)
				fx.State = state
				l.call(r, p, &fx)
				again, state = fx.Again, fx.State
				r.busy = nil
				if again && p.Gone() {
					r.busy = map[*Peer]bool{p: true}
				}
				if again && len(r.got[p]) != 0 {
					t.Fatalf("answered %q before the end", r.got[p])
				}
				if fx.Work < l.most/2 && again {
					t.Errorf("call %d costs %d and is to be made again", calls, fx.Work)
				}
				r.carry(&fx)
				if n := before - l.left(r, p); n > l.most {
					t.Fatalf("call %d deals with %d, want %d at most", calls, n, l.most)
				}
				if calls > many {
					t.Fatal("it comes to no end")
				}
			}
			if calls < 5 {
				t.Errorf("done in %d calls", calls)
			}
			l.after(t, r, p)
			for _, j := range r.s.Jobs() {
				r.s.Cancel(string(r.s.AppendHandle(nil, j.Number)), r.now, &fx)
			}
		})
	}
}

// TestManyLimits: limits of many jobs that expire at the same moment are handled in several calls, and each
// call looks at no more jobs than it ends.
func TestManyLimits(t *testing.T) {
	r := newRig(t, perl())
	c := r.connect()
	w := r.connect()
	r.do(w, codec.CanDoTimeout, "f", "1")
	var fx Effects
	for range many {
		handle(codec.SubmitJob, "f", "", "x")(r, c, &fx)
		handle(codec.GrabJob)(r, w, &fx)
		fx.Timers = nil
		fx.Reset()
	}
	r.now = start.Add(time.Second)
	for n := many; n > 0; n -= callJobs {
		if len(w.doing) != n {
			t.Fatalf("%d jobs in hand, want %d", len(w.doing), n)
		}
		r.fire(&w.limit)
		if n > callJobs && r.timers[&w.limit].After(r.now) {
			t.Fatal("the timer for the rest is late")
		}
	}
	if len(w.doing) != 0 || len(w.limits) != 0 {
		t.Errorf("%d jobs in hand, %d limits", len(w.doing), len(w.limits))
	}
}

// TestManyExceptions: a worker that sends WORK_EXCEPTION for one job after the other and then asks for more
// does not end all of them in one call.
func TestManyExceptions(t *testing.T) {
	r := newRig(t, perl())
	w := inHand(r)
	handles := make([]string, len(w.doing))
	for i, j := range w.doing {
		handles[i] = string(r.s.AppendHandle(nil, j.number))
	}
	var fx Effects
	for i, h := range handles {
		before := len(w.doing)
		handle(codec.WorkException, h, "e")(r, w, &fx)
		if n := before - len(w.doing); n > callJobs {
			t.Fatalf("exception %d ends %d jobs", i, n)
		}
		fx.Reset()
	}
	if len(w.doing) > callJobs {
		t.Errorf("%d jobs are left to be ended with the next grab", len(w.doing))
	}
	r.do(w, codec.GrabJob)
	if len(w.doing) != 0 {
		t.Errorf("%d jobs are left", len(w.doing))
	}
}

// TestManySleepers: if all sleepers must be woken, they are woken in several calls without a pause, and none
// twice.
func TestManySleepers(t *testing.T) {
	cfg := perl()
	cfg.Wakeup, cfg.WakeupDelay = -1, -1
	r := newRig(t, cfg)
	const workers = 3*callSleepers + 5
	var fx Effects
	var asleep []*Peer
	for range workers {
		w := r.connect()
		handle(codec.CanDo, "f")(r, w, &fx)
		handle(codec.PreSleep)(r, w, &fx)
		fx.Reset()
		asleep = append(asleep, w)
	}
	c := r.connect()
	handle(codec.SubmitJobBg, "f", "", "x")(r, c, &fx)
	noops := 0
	for calls := 1; ; calls++ {
		n := 0
		for i := range fx.Packets {
			if fx.Packets[i].Type == codec.Noop {
				n++
			}
		}
		if noops += n; n > callSleepers {
			t.Fatalf("call %d wakes %d", calls, n)
		}
		var next *Timer
		for _, a := range fx.Timers {
			if a.At.After(r.now) {
				t.Errorf("the rest are woken after %v", a.At.Sub(r.now))
			}
			next = a.Timer
		}
		fx.Reset()
		if next == nil {
			break
		}
		r.s.Fire(next, r.now, &fx)
	}
	if noops != workers {
		t.Errorf("%d of %d are woken", noops, workers)
	}
	for _, w := range asleep {
		if w.state.Load() != woken {
			t.Fatal("a worker sleeps on")
		}
	}
}

// TestMaxDoing: a worker with too many jobs in hand gets an error until it has finished one.
func TestMaxDoing(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) {
			cfg := perl()
			cfg.Dialect = d
			r := newRig(t, cfg)
			c, w := r.connect(), r.worker("f")
			var fx Effects
			for i := range MaxDoing + 1 {
				handle(codec.SubmitJobBg, "f", "", strconv.Itoa(i))(r, c, &fx)
				fx.Reset()
				if i < MaxDoing {
					handle(codec.GrabJob)(r, w, &fx)
					if t := fx.Packets[0].Type; t != codec.JobAssign {
						r.Fatalf("grab %d: %v", i, t)
					}
					fx.Reset()
				}
			}
			r.do(w, codec.GrabJob)
			if got := r.got[w]; len(got) != 1 || !strings.HasPrefix(got[0], "ERROR "+d.ServerError.Code) {
				t.Fatalf("one more than MaxDoing: %q", got)
			}
			r.got[w] = nil
			r.do(w, codec.WorkComplete, string(r.s.AppendHandle(nil, w.doing[0].number)), "")
			r.do(w, codec.GrabJob)
			if got := r.got[w]; len(got) != 1 || !strings.HasPrefix(got[0], "JOB_ASSIGN") {
				t.Fatalf("after one is done: %q", got)
			}
		})
	}
}

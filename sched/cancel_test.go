package sched

import (
	"slices"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// TestCancelledWhileItRuns: listeners are informed once, on the worker's goroutine, by whatever happens there
// first, and get nothing afterwards.
func TestCancelledWhileItRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(r *rig, h string, w *Peer)
		stays bool // the worker still has the job
	}{
		{"the timer fires", func(r *rig, h string, w *Peer) { r.until(r.now) }, true},
		{"news", func(r *rig, h string, w *Peer) { r.do(w, codec.WorkData, h, "x") }, true},
		{"an exception", func(r *rig, h string, w *Peer) { r.do(w, codec.WorkException, h, "x") }, true},
		{"a result", func(r *rig, h string, w *Peer) { r.do(w, codec.WorkComplete, h, "x") }, false},
		{"a failure", func(r *rig, h string, w *Peer) { r.do(w, codec.WorkFail, h) }, false},
		{"the worker leaves", func(r *rig, h string, w *Peer) { r.leave(w) }, false},
		{"its time is over", func(r *rig, h string, w *Peer) {
			r.now = r.now.Add(time.Minute)
			r.fire(&w.limit)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, perl())
			one, two, w := r.connect(), r.connect(), r.connect()
			r.do(w, codec.CanDoTimeout, "f", "5")
			h := r.submit(one, codec.SubmitJob, "f", "u", "x")
			r.submit(two, codec.SubmitJob, "f", "u", "x")
			r.do(w, codec.GrabJob)
			r.cancel(h)
			r.want(one)
			r.want(two)
			again := r.submit(one, codec.SubmitJob, "f", "u", "x")
			if again == h {
				t.Error("a submission joined a job that was cancelled")
			}
			r.cancel(h) // without effect
			c.first(r, h, w)
			r.want(one, "WORK_FAIL h1")
			r.want(two, "WORK_FAIL h1")
			if jobs := len(r.s.Jobs()); jobs != 1 && !c.stays || jobs != 2 && c.stays {
				t.Errorf("%d jobs", jobs)
			}
			r.until(r.now)
			if c.stays {
				r.do(w, codec.WorkData, h, "x")
				r.do(w, codec.WorkComplete, h, "x")
			}
			r.want(one)
			r.want(two)
		})
	}
}

// TestBehindFormerWorkers: packets about a job that had another worker before must follow what that worker's
// goroutine has sent, whoever sends them.
func TestBehindFormerWorkers(t *testing.T) {
	cfg := Config{Dialect: dialect.C, Wakeup: 3, WakeupDelay: -1}
	for _, c := range []struct {
		name  string
		again bool // it has another worker by then
		say   func(r *rig, h string, client, w *Peer, fx *Effects)
	}{
		{"news", true, func(r *rig, h string, client, w *Peer, fx *Effects) { r.handle1(w, codec.WorkData, h+"\x00x", fx) }},
		{"status", true, func(r *rig, h string, client, w *Peer, fx *Effects) {
			r.handle1(w, codec.WorkStatus, h+"\x001\x002", fx)
		}},
		{"an exception", true, func(r *rig, h string, client, w *Peer, fx *Effects) {
			r.handle1(w, codec.WorkException, h+"\x00x", fx)
		}},
		{"a result", true, func(r *rig, h string, client, w *Peer, fx *Effects) { r.handle1(w, codec.WorkComplete, h+"\x00x", fx) }},
		{"the end of its second worker", true, func(r *rig, h string, client, w *Peer, fx *Effects) {
			r.s.policy.losses = 1
			r.s.Disconnect(w, r.now, fx)
		}},
		{"maxqueue", false, func(r *rig, h string, client, w *Peer, fx *Effects) {
			r.s.SetMaxQueue("f", bounds(1))
			r.s.policy.evicts = true
			r.handle1(client, codec.SubmitJobBg, "f\x00\x00x", fx)
		}},
		{"cancel", false, func(r *rig, h string, client, w *Peer, fx *Effects) { r.s.Cancel(h, r.now, fx) }},
		{"drop function", false, func(r *rig, h string, client, w *Peer, fx *Effects) {
			r.handle1(w, codec.CantDo, "f", fx)
			r.s.DropFunction("f", r.now, fx)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, cfg)
			client, first, w := r.connect(), r.worker("f"), r.worker("f")
			h := r.submit(client, codec.SubmitJob, "f", "u", "x")
			r.do(first, codec.GrabJob)
			var fx Effects
			r.handle1(first, codec.WorkData, h+"\x00x", &fx)
			if p := fx.Packets[0]; p.To != client || p.Behind {
				t.Errorf("of its first worker it is told %+v", p)
			}
			r.carry(&fx)
			r.leave(first)
			if c.again {
				r.do(w, codec.GrabJob)
			}
			c.say(r, h, client, w, &fx)
			i := slices.IndexFunc(fx.Packets, func(p Packet) bool { return p.To == client })
			if i < 0 || !fx.Packets[i].Behind {
				t.Errorf("%+v", fx.Packets)
			}
			for _, p := range fx.Packets {
				p.Body.Release()
			}
		})
	}
}

// handle1 makes a peer send a packet without carrying out the effects.
func (r *rig) handle1(p *Peer, t codec.Type, data string, fx *Effects) {
	r.s.Handle(p, t, payload.Borrow([]byte(data)), r.now, fx)
}

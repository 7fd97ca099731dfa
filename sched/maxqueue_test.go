package sched

import (
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/store"
)

// refusing is a dialect in which a full queue refuses new jobs.
func refusing() Config {
	cfg := perl()
	d := *dialect.Perl
	d.QueueEvicts = false
	cfg.Dialect = &d
	return cfg
}

// TestBound goes through the forms that a bound can have.
func TestBound(t *testing.T) {
	for _, cfg := range []Config{perl(), refusing()} {
		for _, tt := range []struct{ bound, queued int }{{-1, 5}, {-100, 5}, {0, 0}, {1, 1}, {2, 2}, {5, 5}, {6, 5}} {
			r := newRig(t, cfg)
			client := r.connect()
			if !r.s.SetMaxQueue("f", bounds(tt.bound)) {
				t.Fatal("refused")
			}
			for range 5 {
				r.do(client, codec.SubmitJobBg, "f", "", "")
			}
			if q, _ := r.s.Outstanding(); q != tt.queued {
				t.Errorf("bound %d, evicting %v: %d are queued, want %d", tt.bound, cfg.Dialect.QueueEvicts, q, tt.queued)
			}
			// Another function does not care.
			r.do(client, codec.SubmitJobBg, "g", "", "")
			if q, _ := r.s.Outstanding(); q != tt.queued+1 {
				t.Errorf("bound %d: a job of another function was lost", tt.bound)
			}
		}
	}
}

// TestBoundZero: nothing new is accepted; queued jobs stay, and joining one is not a new job.
func TestBoundZero(t *testing.T) {
	for _, cfg := range []Config{perl(), refusing()} {
		r := newRig(t, cfg)
		client, worker := r.connect(), r.worker("f")
		r.submit(client, codec.SubmitJob, "f", "u", "1")
		r.s.SetMaxQueue("f", bounds(0))
		r.do(client, codec.SubmitJob, "f", "", "2")
		r.do(client, codec.SubmitJobBg, "f", "v", "3")
		r.do(client, codec.SubmitJob, "f", "u", "4")
		r.want(client, "ERROR queue_full|Job queue is full", "ERROR queue_full|Job queue is full", "JOB_CREATED h1")
		r.do(worker, codec.GrabJob)
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN h1|f|1", "NO_JOB")
		r.s.SetMaxQueue("f", bounds(-1))
		r.do(client, codec.SubmitJob, "f", "", "5")
		r.want(client, "JOB_CREATED h2")
	}
}

// TestBoundKeepsFunction: a bound outlives its function's jobs and workers, but the function is not shown
// because of it.
func TestBoundKeepsFunction(t *testing.T) {
	r := newRig(t, perl())
	r.s.SetMaxQueue("f", bounds(1))
	w := r.worker("f")
	if f := r.s.Functions(); len(f) != 1 || f[0] != (FunctionInfo{Name: "f", Workers: 1}) {
		t.Errorf("%+v", f)
	}
	r.leave(w)
	if f := r.s.Functions(); len(f) != 0 {
		t.Errorf("%+v", f)
	}
	client := r.connect()
	r.do(client, codec.SubmitJob, "f", "", "1")
	r.do(client, codec.SubmitJob, "f", "", "2")
	r.want(client, "JOB_CREATED h1", "WORK_FAIL h1", "JOB_CREATED h2")
	r.s.SetMaxQueue("f", bounds(-1))
	worker := r.worker("f")
	r.do(worker, codec.GrabJob)
	r.leave(worker)
	r.leave(client)
	if c := r.s.Count(); c != (Counts{}) {
		t.Errorf("%+v", c)
	}
}

// TestEvictOnlyForWhatIsIn: submissions reach maxqueue and are refused for another reason, so the queued job
// stays. An accepted one evicts it, after it was admitted.
func TestEvictOnlyForWhatIsIn(t *testing.T) {
	full := "ERROR queue_full|Job queue is full"
	for _, c := range []struct {
		name    string
		submit  func(r *rig, p *Peer)
		answers []string // to the second submitter
		evicted bool
	}{
		{"the store takes nothing", func(r *rig, p *Peer) {
			r.store.refuse = store.ErrFailed
			r.do(p, codec.SubmitJobBg, "f", "", "2")
		}, []string{full}, false},
		{"the store can't keep it", func(r *rig, p *Peer) {
			r.do(p, codec.SubmitJobBg, "f", "", "2")
			r.receive(1, errDisk)
		}, []string{full}, false},
		{"the store has it", func(r *rig, p *Peer) {
			r.do(p, codec.SubmitJobBg, "f", "", "2")
			r.want(p, "#1")
			if queued, _ := r.s.Outstanding(); queued != 1 {
				r.Errorf("%d are queued or stored beside the first", queued)
			}
			r.got[p] = []string{"#1"}
			r.receive(1, nil)
		}, []string{"JOB_CREATED h2"}, true},
		{"no memory", func(r *rig, p *Peer) {
			r.submitShort(p, strings.Repeat("2", 1<<18))
		}, []string{full}, false},
		{"no memory but for the job itself", func(r *rig, p *Peer) {
			sh := r.s.shardOf([]byte("f"))
			credit := sh.credit
			sh.credit = int64(costJob + payload.Borrow([]byte("2")).Keep().Footprint())
			r.submitShort(p, "2")
			sh.credit += credit - int64(costJob+payload.Borrow([]byte("2")).Keep().Footprint())
		}, []string{full}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := perl()
			cfg.MaxMemory = 1 << 20
			r, one, _ := stored(t, cfg)
			two := r.connect()
			r.s.SetMaxQueue("f", bounds(1))
			r.do(one, codec.SubmitJobBg, "f", "", "1")
			r.receive(1, nil)
			r.want(one, "JOB_CREATED h1")
			c.submit(r, two)
			r.want(two, c.answers...)
			r.check()
			if e := r.store.entries[0]; e.done != c.evicted {
				t.Errorf("the job that was queued has been dropped: %v", e.done)
			}
			if n := len(r.s.Jobs()); n != 1 {
				t.Errorf("%d jobs are queued", n)
			}
		})
	}
}

// submitShort submits a foreground job of f while nothing can be drawn from the budget.
func (r *rig) submitShort(p *Peer, argument string) {
	b := r.s.budget
	used := b.used.Swap(b.max)
	var fx Effects
	r.s.Handle(p, codec.SubmitJob, payload.Borrow([]byte("f\x00\x00"+argument)), r.now, &fx)
	b.used.Store(used)
	for i := range fx.Packets {
		r.arrive(&fx.Packets[i], string(fx.Args(&fx.Packets[i])))
	}
}

// TestRefusedJoinChangesNothing: a background submission that joins a running job whose argument was freed is
// refused, and the job is unchanged.
func TestRefusedJoinChangesNothing(t *testing.T) {
	r, bg, w := stored(t, perl())
	fg := r.connect()
	r.do(fg, codec.SubmitJob, "f", "u", "old")
	r.do(w, codec.GrabJob)
	r.store.refuse = store.ErrFailed
	before := r.s.Count().Memory
	r.do(bg, codec.SubmitJobBg, "f", "u", "new")
	r.want(bg, "ERROR queue_full|Job queue is full")
	if after := r.s.Count().Memory; after != before || w.doing[0].argument().Len() != 0 {
		t.Errorf("%d bytes are charged, before it were %d; the argument has %d", after, before, w.doing[0].argument().Len())
	}
}

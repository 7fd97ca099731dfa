package sched

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/store"
)

// stored returns a rig with an empty store, a client and a worker of f.
func stored(t *testing.T, cfg Config) (r *rig, c, w *Peer) {
	r = newRig(t, cfg)
	r.attach(newFakeStore())
	return r, r.connect(), r.worker("f")
}

// bothDialects runs a test in each.
func bothDialects(t *testing.T, f func(t *testing.T, cfg Config)) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) {
			before, _ := payload.InUse()
			f(t, Config{Dialect: d, Wakeup: 3, WakeupDelay: -1})
			if after, _ := payload.InUse(); after != before {
				t.Errorf("%d payloads were not released", after-before)
			}
		})
	}
}

func (r *rig) cancel(handle string) {
	r.Helper()
	var fx Effects
	if !r.s.Cancel(handle, r.now, &fx) {
		r.Fatalf("no job %s", handle)
	}
	r.carry(&fx)
}

// TestStoredThenQueued is the usual sequence: no answer, no job and no wake-up before the receipt.
func TestStoredThenQueued(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(w, codec.PreSleep)
		r.do(c, codec.SubmitJobBg, "f", "u", "x")
		r.do(c, codec.EchoReq, "e")
		r.want(c, "#1", "ECHO_RES e")
		r.want(w)
		if queued, running := r.s.Outstanding(); queued != 1 || running != 0 {
			t.Fatalf("%d queued, %d running: one is being stored", queued, running)
		}
		r.do(w, codec.GrabJob)
		r.want(w, "NO_JOB")
		r.do(w, codec.PreSleep)
		r.receive(1, nil)
		r.want(c, "JOB_CREATED h1")
		r.want(w, "NOOP")
		if queued, _ := r.s.Outstanding(); queued != 0 {
			t.Fatalf("%d queued: what is stored would not be lost", queued)
		}
		r.do(w, codec.GrabJob)
		r.want(w, "JOB_ASSIGN h1|f|x")
		r.do(w, codec.WorkComplete, r.handle("h1"), "y")
		if !r.store.entries[0].done {
			t.Error("the store was not told of the end")
		}
	})
}

// TestAnswersKeepTheirOrder: several submissions wait at once, and are answered in the order of the requests.
func TestAnswersKeepTheirOrder(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, _ := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "a", "x")
		r.do(c, codec.SubmitJob, "f", "b", "x")
		r.do(c, codec.SubmitJobBg, "f", "a", "x") // joins
		r.do(c, codec.SubmitJobLowBg, "f", "c", "x")
		r.do(c, codec.EchoReq, "e")
		r.receive(1, nil)
		r.receive(1, errDisk)
		full := "ERROR " + r.s.dialect.QueueFull.Code + "|" + r.s.dialect.QueueFull.Text
		r.want(c, "JOB_CREATED h2", "JOB_CREATED h1", "JOB_CREATED h2", full, "ECHO_RES e")
		if n := len(r.s.Jobs()); n != 2 {
			t.Fatalf("%d jobs; the one that was refused must be gone", n)
		}
		r.leave(c)
		r.s.DropUnwanted(r.now)
		r.cancel(r.handle("h2"))
	})
}

// TestBeforeTheReceipt: events that happen to a job while it is being stored. In each case the submitter gets
// one answer, and the store learns once of an end.
func TestBeforeTheReceipt(t *testing.T) {
	const created, full = "created", "full"
	for _, c := range []struct {
		name     string
		before   func(r *rig, fg *Peer) // before the background submission of f, u
		meantime func(r *rig, c, fg, w *Peer)
		stored   string // the answer if the job was stored; there is always one
		refused  string // the answer if it was not
		left     [2]int // jobs left if it was stored, and if not
	}{
		{"cancelled", nil, func(r *rig, c, fg, w *Peer) { r.cancel(r.number(0)) }, created, created, [2]int{}},
		{"the function is dropped", nil, func(r *rig, c, fg, w *Peer) {
			r.leave(w)
			r.command(2, "f")
		}, created, created, [2]int{}},
		{"the submitter leaves", nil, func(r *rig, c, fg, w *Peer) { r.leave(c) }, created, full, [2]int{1, 0}},
		{"joined by a listener", nil, func(r *rig, c, fg, w *Peer) { r.do(fg, codec.SubmitJob, "f", "u", "x") }, created, full, [2]int{1, 1}},
		{"joined by a listener who leaves", nil, func(r *rig, c, fg, w *Peer) {
			r.do(fg, codec.SubmitJob, "f", "u", "x")
			r.leave(fg)
		}, created, full, [2]int{1, 0}},
		{"a foreground job waits", foregroundU, func(r *rig, c, fg, w *Peer) {}, created, full, [2]int{1, 1}},
		{"a foreground job whose listener leaves", foregroundU, func(r *rig, c, fg, w *Peer) { r.leave(fg) }, created, full, [2]int{1, 0}},
		{"a foreground job runs", foregroundU, func(r *rig, c, fg, w *Peer) { r.do(w, codec.GrabJob) }, created, full, [2]int{1, 1}},
		{"a foreground job runs and ends", foregroundU, func(r *rig, c, fg, w *Peer) {
			r.do(w, codec.GrabJob)
			r.do(w, codec.WorkComplete, r.number(0), "")
		}, created, created, [2]int{}},
		{"a foreground job runs and is cancelled", foregroundU, func(r *rig, c, fg, w *Peer) {
			r.do(w, codec.GrabJob)
			r.cancel(r.number(0))
		}, created, "", [2]int{1, 1}},
		{"a foreground job runs, all leave", foregroundU, func(r *rig, c, fg, w *Peer) {
			r.do(w, codec.GrabJob)
			r.leave(fg)
			r.leave(w)
		}, created, full, [2]int{1, 0}},
		{"a foreground job runs and is handed back", foregroundU, func(r *rig, c, fg, w *Peer) {
			r.do(w, codec.GrabJob)
			r.leave(w)
		}, created, full, [2]int{1, 1}},
		{"it is evicted", foregroundU, func(r *rig, c, fg, w *Peer) {
			r.s.SetMaxQueue("f", bounds(1))
			r.do(fg, codec.SubmitJob, "f", "v", "x")
			r.s.SetMaxQueue("f", bounds(-1))
		}, created, "", [2]int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothDialects(t, func(t *testing.T, cfg Config) {
				for i, err := range []error{nil, errDisk} {
					r, bg, w := stored(t, cfg)
					fg := r.connect()
					if c.before != nil {
						c.before(r, fg)
					}
					r.do(bg, codec.SubmitJobBg, "f", "u", "yy")
					c.meantime(r, bg, fg, w)
					r.receive(-1, err)
					want := []string{c.stored, c.refused}[i]
					switch answer := strings.Join(r.got[bg], " "); {
					case want == created && !strings.HasPrefix(answer, "JOB_CREATED"),
						want == full && !strings.HasPrefix(answer, "ERROR "+r.s.dialect.QueueFull.Code):
						t.Errorf("receipt %v: answered %q", err, answer)
					}
					if len(r.owed[bg]) != 0 {
						t.Errorf("receipt %v: no answer", err)
					}
					if n := len(r.s.Jobs()); n != c.left[i] {
						t.Errorf("receipt %v: %d jobs are left, want %d", err, n, c.left[i])
					}
					// The remaining jobs can be done.
					for _, p := range []*Peer{bg, fg, w} {
						if !p.Gone() {
							r.leave(p)
						}
					}
					r.finish()
					if n := len(r.store.living()); n != 0 {
						t.Errorf("receipt %v: %d jobs stay in the store", err, n)
					}
				}
			})
		})
	}
}

func foregroundU(r *rig, fg *Peer) { r.do(fg, codec.SubmitJob, "f", "u", "x") }

// number returns the handle of the job that was appended n-th.
func (r *rig) number(n int) string {
	return string(r.s.AppendHandle(nil, r.store.entries[n].job.Number))
}

// TestAppendFails: the store accepts nothing; background submissions are refused, foreground ones go on.
func TestAppendFails(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.store.refuse = store.ErrFailed
		full := "ERROR " + r.s.dialect.QueueFull.Code + "|" + r.s.dialect.QueueFull.Text
		due := strconv.FormatInt(start.Unix()+10, 10)
		r.do(c, codec.SubmitJobBg, "f", "a", "x")
		r.do(c, codec.SubmitJobEpoch, "f", "b", due, "x")
		r.do(c, codec.SubmitJob, "f", "c", "x")
		r.do(c, codec.SubmitJobBg, "f", "c", "x") // would join
		r.want(c, full, full, "JOB_CREATED h1", full)
		if n := len(r.s.Jobs()); n != 1 {
			t.Fatalf("%d jobs, want the foreground one", n)
		}
		r.do(w, codec.GrabJob)
		r.want(w, "JOB_ASSIGN h1|f|x")
		r.do(w, codec.WorkComplete, r.handle("h1"), "")
		r.store.refuse = nil
		r.do(c, codec.SubmitJobBg, "f", "a", "x")
		r.receive(1, nil)
		r.want(c, "WORK_COMPLETE h1|", "JOB_CREATED h2")
		r.cancel(r.handle("h2"))
	})
}

// TestRestart: order, priorities, unique ids, handles, due times and retries of stored jobs survive.
func TestRestart(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		at := func(s int64) string { return strconv.FormatInt(start.Unix()+s, 10) }
		r.do(c, codec.SubmitJobEpoch, "f", "late", at(3), "4")
		r.do(c, codec.SubmitJobEpoch, "f", "early", at(2), "3")
		r.do(c, codec.SubmitJobEpoch, "f", "far", at(1000), "5")
		r.do(c, codec.SubmitJobLowBg, "f", "low", "6")
		r.do(c, codec.SubmitJobBg, "f", "one", "1")
		r.do(c, codec.SubmitJobBg, "f", "two", "2")
		r.do(c, codec.SubmitJobHighBg, "f", "", "0")
		r.do(c, codec.SubmitJobLowBg, "f", "raised", "a")
		r.do(c, codec.SubmitJobBg, "f", "gone", "x")
		r.acts(ToNormal, r.number(7)) // before it is stored
		r.receive(8, nil)
		r.acts(ToLow, r.number(5))
		r.acts(ToNormal, r.number(5)) // at the end of its queue now, in its place after a restart
		handle := r.number(4)
		r.do(w, codec.GrabJob) // the first is lost once more by the crash
		fake := r.store
		fake.waiting, fake.entries[8].state = nil, entryRefused
		after := &fakeStore{run: 2, numbers: fake.numbers}
		for _, e := range fake.living() {
			after.loaded = append(after.loaded, &entry{job: e.job, whole: e.whole, state: entryAcked, retries: e.retries})
		}

		r = newRig(t, cfg)
		r.now = start.Add(10 * time.Second)
		r.attach(after)
		r.until(r.now)
		c, w = r.connect(), r.worker("f")
		r.do(c, codec.SubmitJobBg, "f", "one", "x")
		r.do(c, codec.GetStatus, handle)
		if got := r.got[c]; len(got) != 2 || r.handle("h1") != handle || !strings.HasPrefix(got[1], "STATUS_RES h1|1|0") {
			t.Fatalf("told of the job %q by its unique id and its handle: %q", handle, got)
		}
		for _, want := range []string{"0", "1", "2", "a", "3", "4", "6"} {
			r.do(w, codec.GrabJob)
			last := r.got[w][len(r.got[w])-1]
			if !strings.HasSuffix(last, "|f|"+want) {
				t.Fatalf("handed out %q, want %s: all %q", last, want, r.got[w])
			}
		}
		r.do(w, codec.GrabJob)
		if last := r.got[w][len(r.got[w])-1]; last != "NO_JOB" {
			t.Fatalf("a job is handed out long before it is due: %q", last)
		}
		r.leave(w)
		r.leave(c)
		r.finish()
	})
}

// TestVanishedWorker: a stored job is queued again in both dialects, as often as JobRetries allows.
func TestVanishedWorker(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.JobRetries = 3
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "u", "x")
		r.receive(1, nil)
		for n := 1; n <= 3; n++ {
			r.do(w, codec.GrabJob)
			if last := r.got[w][0]; last != "JOB_ASSIGN h1|f|x" {
				t.Fatalf("handed out %q", last)
			}
			r.leave(w)
			if e := r.store.entries[0]; n < 3 && (e.done || int(e.retries) != n) || n == 3 && !e.done {
				t.Fatalf("after %d workers: %d retries, done: %v", n, e.retries, e.done)
			}
			w = r.worker("f")
		}
		if n := len(r.s.Jobs()); n != 0 {
			t.Fatalf("%d jobs are left", n)
		}
	})
}

// TestFrozen: the end of connections ends no stored job.
func TestFrozen(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		cfg.JobRetries = 1
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "u", "x")
		r.do(c, codec.SubmitJobBg, "f", "v", "x")
		r.receive(1, nil)
		r.do(w, codec.GrabJob)
		r.s.Freeze()
		var fx Effects
		r.s.Disconnect(w, r.now, &fx)
		r.s.Disconnect(c, r.now, &fx)
		r.store.answer(nil)
		r.s.Settle(r.now, &fx)
		if n := len(r.store.living()); n != 2 || r.store.entries[0].retries != 0 {
			t.Fatalf("%d jobs in the store with %d retries, want 2 as they were", n, r.store.entries[0].retries)
		}
	})
}

// TestShelved: a graceful end hands out no stored job, and waits for none.
func TestShelved(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		r.do(c, codec.SubmitJobBg, "f", "a", "x")
		r.do(c, codec.SubmitJobBg, "f", "b", "x")
		r.receive(2, nil)
		r.do(w, codec.GrabJob)
		r.do(c, codec.SubmitJobBg, "f", "c", "x")
		r.s.Shelve()
		r.check()
		if queued, running := r.s.Outstanding(); queued != 1 || running != 1 {
			t.Fatalf("%d queued, %d running; want one that is being stored, one that runs", queued, running)
		}
		r.receive(1, nil)
		r.leave(w)
		w = r.worker("f")
		r.do(w, codec.GrabJob)
		r.want(w, "NO_JOB")
		if queued, running := r.s.Outstanding(); queued+running != 0 {
			t.Fatalf("%d queued, %d running; all are stored", queued, running)
		}
		r.cancel(r.handle("h1"))
		if n := len(r.store.living()); n != 2 {
			t.Fatalf("%d in the store, want 2", n)
		}
	})
}

// TestSettleSome: answers are handled in portions and in their order, by whoever comes, and a fault in one takes
// no other with it.
func TestSettleSome(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, w := stored(t, cfg)
		for _, argument := range []string{"a", "b", "c", "d"} {
			r.do(c, codec.SubmitJobBg, "f", argument, argument)
		}
		if p, n := r.s.Gather(); p != nil || n > 0 {
			t.Fatalf("%p waits for an answer that has not come, %d have", p, n)
		}
		for range 3 {
			r.store.answer(nil)
		}
		if p, n := r.s.Gather(); p != c || n != 3 {
			t.Fatalf("%p waits for %d answers, want the submitter %p and 3", p, n, c)
		}
		settle := func(most int, more bool) {
			t.Helper()
			var fx Effects
			if got := r.s.SettleSome(most, r.now, &fx); got != more {
				t.Errorf("more answers are left: %v", got)
			}
			r.carry(&fx)
		}
		settle(0, true)
		settle(2, true)
		r.store.answer(nil)
		sh := r.s.shardOf([]byte("f"))
		sh.lock()
		p, n := r.s.Gather()
		sh.mu.Unlock()
		if p != nil || n != 1 {
			t.Errorf("%p waits for %d answers; the lock was held, want nobody and 1", p, n)
		}
		r.s.received.settling.Lock()
		settle(2, false) // the other one looks once more
		r.s.received.settling.Unlock()
		taken := &r.s.received.taken
		taken.receipts = slices.Insert(taken.receipts, 2, receipt{job: &job{}})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no fault")
				}
			}()
			settle(1, true)
		}()
		settle(2, false)
		for _, argument := range []string{"a", "b", "c", "d"} {
			r.do(w, codec.GrabJobUniq)
			if got := r.got[w][0]; !strings.HasSuffix(got, "|f|"+argument+"|"+argument) {
				t.Errorf("%q, want the job %s", got, argument)
			}
			r.got[w] = nil
		}
	})
}

// An answer of the store costs no memory.
func TestSettleAllocates(t *testing.T) {
	bothDialects(t, func(t *testing.T, cfg Config) {
		r, c, _ := stored(t, cfg)
		const runs = 100
		for range runs + 1 {
			r.do(c, codec.SubmitJobBg, "f", "", "x")
		}
		fx := Effects{Packets: make([]Packet, 0, 1), args: make([]byte, 0, 64)}
		for range runs + 1 {
			r.store.answer(nil)
		}
		r.s.Gather()
		allocated := testing.AllocsPerRun(runs, func() {
			r.s.SettleSome(1, r.now, &fx)
			fx.Reset()
		})
		if allocated > 0 {
			t.Errorf("%v allocations for each", allocated)
		}
	})
}

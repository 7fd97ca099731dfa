package sched

import (
	"strings"
	"testing"

	"gearloop/codec"
)

// TestPush: after ALL_YOURS jobs arrive by themselves, one at a time, without NOOP.
func TestPush(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	r.submit(client, codec.SubmitJob, "f", "", "1")
	r.submit(client, codec.SubmitJob, "f", "", "2")
	worker := r.worker("f")
	r.do(worker, codec.AllYours)
	r.want(worker, "JOB_ASSIGN h1|f|1")
	r.do(worker, codec.WorkData, r.handle("h1"), "")
	r.do(worker, codec.WorkException, r.handle("h1"), "") // no end
	r.want(worker)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "")
	r.want(worker, "JOB_ASSIGN h2|f|2")
	r.do(worker, codec.WorkFail, r.handle("h2"))
	r.want(worker)
	r.submit(client, codec.SubmitJob, "f", "", "3")
	r.want(worker, "JOB_ASSIGN h3|f|3")
	r.submit(client, codec.SubmitJob, "f", "", "4")
	r.want(worker)
	r.do(worker, codec.WorkComplete, "H:t:77", "") // not its job
	r.want(worker, "ERROR not_worker|")
	r.do(worker, codec.WorkComplete, r.handle("h3"), "")
	r.want(worker, "JOB_ASSIGN h4|f|4")
	r.leave(worker)
	r.got[client] = r.got[client][len(r.got[client])-1:]
	r.want(client, "WORK_FAIL h4")
}

// TestPushRotates: it goes through its functions in turn like any other.
func TestPushRotates(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("a", "b")
	for range 2 {
		r.submit(client, codec.SubmitJobBg, "a", "", "")
		r.submit(client, codec.SubmitJobBg, "b", "", "")
	}
	r.do(worker, codec.AllYours)
	for _, h := range []string{"h2", "h1", "h4"} {
		r.do(worker, codec.WorkComplete, r.handle(h), "")
	}
	r.want(worker, "JOB_ASSIGN h2|b|", "JOB_ASSIGN h1|a|", "JOB_ASSIGN h4|b|", "JOB_ASSIGN h3|a|")
}

// TestPushAbilities: ALL_YOURS may come before CAN_DO, and abilities may change.
func TestPushAbilities(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.connect()
	r.do(worker, codec.AllYours)
	r.want(worker)
	r.do(worker, codec.CanDo, "f")
	r.submit(client, codec.SubmitJobBg, "f", "", "1")
	r.want(worker, "JOB_ASSIGN h1|f|1")
	r.submit(client, codec.SubmitJobBg, "g", "", "2")
	r.do(worker, codec.CanDo, "g") // it is busy
	r.want(worker)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "")
	r.want(worker, "JOB_ASSIGN h2|g|2")
	r.do(worker, codec.WorkComplete, r.handle("h2"), "")
	r.submit(client, codec.SubmitJobBg, "h", "", "3")
	r.do(worker, codec.CanDoTimeout, "h", "100") // one waits already
	r.want(worker, "JOB_ASSIGN h3|h|3")
	r.do(worker, codec.ResetAbilities)
	r.do(worker, codec.WorkComplete, r.handle("h3"), "")
	r.submit(client, codec.SubmitJobBg, "f", "", "4")
	r.want(worker)
	r.do(worker, codec.CanDo, "g")
	r.do(worker, codec.CanDo, "f")
	r.want(worker, "JOB_ASSIGN h4|f|4")
}

// TestPushAmongOthers: it is one of the sleepers; the fastest worker gets the job.
func TestPushAmongOthers(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	worker := r.worker("f", "g")
	r.do(worker, codec.AllYours)
	other := r.worker("f", "g")
	r.do(other, codec.PreSleep)
	r.submit(client, codec.SubmitJobBg, "f", "", "1") // it is asked first, and so the NOOP is for nothing
	r.want(worker, "JOB_ASSIGN h1|f|1")
	r.want(other, "NOOP")
	r.do(other, codec.GrabJob)
	r.do(other, codec.PreSleep)
	r.submit(client, codec.SubmitJobBg, "g", "", "2")
	r.want(other, "NO_JOB", "NOOP")
	r.do(other, codec.GrabJob)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "")
	r.want(worker)
	// Asleep again for both functions.
	r.submit(client, codec.SubmitJobBg, "g", "", "3")
	r.want(worker, "JOB_ASSIGN h3|g|3")

	// An unwanted job wakes it for nothing, and it stays asleep.
	r.do(worker, codec.WorkComplete, r.handle("h3"), "")
	r.submit(client, codec.SubmitJob, "f", "", "4")
	r.want(worker, "JOB_ASSIGN h4|f|4")
}

// TestPushTimeout: a worker that has not reported on its last job gets no other.
func TestPushTimeout(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.connect()
	r.do(worker, codec.CanDoTimeout, "f", "1")
	r.do(worker, codec.AllYours)
	r.submit(client, codec.SubmitJob, "f", "", "1")
	r.submit(client, codec.SubmitJob, "f", "", "2")
	r.at(second)
	r.want(client, "WORK_FAIL h1")
	r.want(worker, "JOB_ASSIGN h1|f|1")
	r.do(worker, codec.WorkComplete, r.handle("h1"), "late")
	r.want(worker, "JOB_ASSIGN h2|f|2")
	r.want(client)
	r.at(2 * second)
	r.do(worker, codec.WorkFail, r.handle("h2"))
	r.submit(client, codec.SubmitJob, "f", "", "3")
	r.want(worker, "JOB_ASSIGN h3|f|3")
}

// A worker gets its next job by itself even if that lies behind more jobs that nobody wants any more than one call
// passes, whatever has made it free.
func TestPushGoesOn(t *testing.T) {
	// bury puts a job behind many that nobody wants.
	bury := func(r *rig, function string) {
		c := r.connect()
		var fx Effects
		for range 3 * callJobs {
			handle(codec.SubmitJob, function, "", "x")(r, c, &fx)
			fx.Reset()
		}
		r.leave(c)
		r.do(r.connect(), codec.SubmitJob, function, "", "wanted")
	}
	for name, do := range map[string]func(r *rig, w *Peer){
		"WORK_COMPLETE": func(r *rig, w *Peer) {
			r.do(r.connect(), codec.SubmitJobBg, "f", "", "first")
			bury(r, "f")
			r.do(w, codec.WorkComplete, r.handle("h1"), "")
		},
		"the result of a job that was taken from it": func(r *rig, w *Peer) {
			r.do(w, codec.CanDoTimeout, "limited", "1")
			r.do(r.connect(), codec.SubmitJobBg, "limited", "", "first")
			r.at(second)
			bury(r, "f")
			r.do(w, codec.WorkComplete, r.handle("h1"), "")
		},
		"CAN_DO": func(r *rig, w *Peer) {
			bury(r, "g")
			r.do(w, codec.CanDo, "g")
		},
		"an argument that cannot be read": func(r *rig, w *Peer) {
			r.attach(newFakeStore())
			r.largeJob(r.connect(), "u")
			bury(r, "f")
			r.fetch(errDisk)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := perl()
			cfg.MaxMemory = 1 << 20
			r := newRig(t, cfg)
			w := r.worker("f")
			r.do(w, codec.AllYours)
			do(r, w)
			if got := r.got[w]; len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "|wanted") {
				t.Errorf("it was sent %q", got)
			}
			for _, p := range r.got[w] {
				if strings.HasPrefix(p, "ERROR") {
					t.Errorf("it was sent %q", p)
				}
			}
		})
	}
}

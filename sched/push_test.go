package sched

import (
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

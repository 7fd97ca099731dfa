package sched

import (
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// TestDialectRows goes through the rows of the table that no other test changes.
func TestDialectRows(t *testing.T) {
	changed := func(change func(d *dialect.Dialect)) *rig {
		cfg := perl()
		d := *dialect.Perl
		change(&d)
		cfg.Dialect = &d
		return newRig(t, cfg)
	}
	// First in, first out for high priority, too.
	r := changed(func(d *dialect.Dialect) { d.HighNewestFirst = false })
	client, worker := r.connect(), r.worker("f")
	r.submit(client, codec.SubmitJobHigh, "f", "", "1")
	r.submit(client, codec.SubmitJob, "f", "", "2")
	r.submit(client, codec.SubmitJobHigh, "f", "", "3")
	for range 3 {
		r.do(worker, codec.GrabJob)
	}
	r.want(worker, "JOB_ASSIGN h1|f|1", "JOB_ASSIGN h3|f|3", "JOB_ASSIGN h2|f|2")

	// A late result is one of an unknown job.
	r = changed(func(d *dialect.Dialect) { d.LateResult = false })
	client, worker = r.connect(), r.connect()
	r.do(worker, codec.CanDoTimeout, "f", "1")
	r.submit(client, codec.SubmitJob, "f", "", "")
	r.do(worker, codec.GrabJob)
	r.at(second)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "late")
	r.want(worker, "JOB_ASSIGN h1|f|", "ERROR not_worker|")
	r.want(client, "WORK_FAIL h1")

	// The texts of errors are the dialect's.
	r = changed(func(d *dialect.Dialect) {
		d.NotWorker = func(codec.Type) dialect.Error { return dialect.Error{Code: "A", Text: "a b"} }
		d.UnknownOption = dialect.Error{Code: "B"}
		d.InvalidArgs, d.ServerError, d.QueueFull = dialect.Error{Code: "C"}, dialect.Error{Code: "D"}, dialect.Error{Code: "E", Text: "e"}
	})
	client = r.connect()
	r.s.SetMaxQueue("f", bounds(0))
	r.do(client, codec.WorkFail, "x")
	r.do(client, codec.OptionReq, "x")
	r.do(client, codec.SubmitJob, "x")
	r.do(client, 99)
	r.do(client, codec.SubmitJob, "f", "", "")
	r.want(client, "ERROR A|a b", "ERROR B|", "ERROR C|No func/uniq header [x].", "ERROR D|Unknown packet type 99.", "ERROR E|e")
}

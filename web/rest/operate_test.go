package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// state returns a job's state; "" if it has ended.
func (r *rig) state(handle string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	var j api.Job
	if err := r.client.Get(ctx, api.Path("jobs", handle), nil, &j); err != nil {
		return ""
	}
	return j.State
}

// TestOperateOnJobs: give-up, take-back, front and priority have the documented effect on workers and
// clients, are refused with 409 in other states, and are in the audit log with who and why.
func TestOperateOnJobs(t *testing.T) {
	r := newRig(t)
	c, first, second := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	first.Send(codec.CanDo, "f")
	second.Send(codec.CanDo, "f")
	running := c.Submit(codec.SubmitJob, "f", "", "argument")
	first.Grab()
	c.Submit(codec.SubmitJobBg, "f", "", "2")
	c.Submit(codec.SubmitJobLowBg, "f", "", "3")
	low := c.Submit(codec.SubmitJobLowBg, "f", "", "4")

	if d := r.post(api.Path("jobs", running, "take-back"), api.Reason{Reason: "hangs"}); !d.Changed || d.Count != 1 {
		t.Errorf("taken back: %+v", d)
	}
	if s := r.state(running); s != api.JobWaiting {
		t.Errorf("the job is %q", s)
	}
	first.Send(codec.WorkComplete, running, "late")
	first.Send(codec.EchoReq, "still here")
	first.WantType(codec.EchoRes) // and no error before it
	second.Send(codec.GrabJob)
	if j := second.WantType(codec.JobAssign).Args(3); j[0] != running || j[2] != "argument" {
		t.Errorf("the second worker got %q", j)
	}
	r.post(api.Path("jobs", running, "give-up"), api.Reason{Reason: "hangs here, too"})
	if p := c.WantType(codec.WorkFail); string(p.Data) != running {
		t.Errorf("the client heard of %q", p.Data)
	}
	second.Send(codec.WorkComplete, running, "late")
	await.Until(t, "the worker is done with it", func() bool { return r.state(running) == "" })

	if d := r.post(api.Path("jobs", low, "front"), nil); !d.Changed {
		t.Errorf("front: %+v", d)
	}
	if d := r.post(api.Path("jobs", low, "front"), nil); d.Changed || d.Count != 0 {
		t.Errorf("front again: %+v", d)
	}
	r.post(api.Path("jobs", low, "priority"), api.SetPriority{Priority: "high"})
	second.Send(codec.GrabJob)
	if j := second.WantType(codec.JobAssign).Args(3); j[2] != "4" {
		t.Errorf("the next job is %q", j)
	}

	if p := r.fails("POST", api.Path("jobs", low, "priority"), nil, api.SetPriority{Priority: "low"}); p.Status != http.StatusConflict {
		t.Errorf("the priority of a running job: %+v", p)
	}
	if p := r.fails("POST", api.Path("jobs", low, "front"), nil, api.Reason{}); p.Status != http.StatusConflict {
		t.Errorf("a running job in front: %+v", p)
	}
	if p := r.fails("POST", api.Path("jobs", low, "priority"), nil, api.SetPriority{Priority: "urgent"}); p.Status != http.StatusBadRequest {
		t.Errorf("priority urgent: %+v", p)
	}
	for _, what := range []string{"give-up", "take-back", "front"} {
		if p := r.fails("POST", api.Path("jobs", "H:x:1", what), nil, api.Reason{}); p.Status != http.StatusNotFound {
			t.Errorf("%s of no job: %+v", what, p)
		}
	}
	audit := get[api.Page[api.AuditEntry]](r, "audit", nil)
	found := map[string]bool{}
	for _, e := range audit.Items {
		found[fmt.Sprint(e.Action, " ", e.Target == running || e.Target == low, " ", e.Reason, " ", e.Result, " ", e.By != "")] = true
	}
	for _, want := range []string{"take back true hangs ok true", "give up true hangs here, too ok true", "front true  ok true", "priority high true  ok true", "front true  Conflict true"} {
		if !found[want] {
			t.Errorf("not in the audit log: %q; there is %v", want, found)
		}
	}
}

// TestPurge: waiting jobs end. Jobs that arrived after the count stay, as do delayed and running ones.
func TestPurge(t *testing.T) {
	r := newRig(t, "--data-dir", t.TempDir())
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.CanDo, "f*")
	running := c.Submit(codec.SubmitJobBg, "f*", "", "x")
	w.Grab()
	other := c.Submit(codec.SubmitJobBg, "fg", "", "x")
	c.Send(codec.SubmitJobEpoch, "f*", "", fmt.Sprint(time.Now().Add(time.Hour).Unix()), "x")
	delayed := string(c.WantType(codec.JobCreated).Data)
	listened := c.Submit(codec.SubmitJobHigh, "f*", "", "x")
	const many = 300
	for range many {
		c.Submit(codec.SubmitJobBg, "f*", "", "x")
	}
	purge := func(in api.Purge) (p api.Purged) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
		defer cancel()
		if err := r.client.Post(ctx, api.Path("functions", "f*", "purge"), in, &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	counted := purge(api.Purge{DryRun: true})
	if counted.Count != many+1 || counted.Changed || counted.AsOf.IsZero() {
		t.Errorf("counted %+v", counted)
	}
	late := c.Submit(codec.SubmitJobBg, "f*", "", "x")
	if p := purge(api.Purge{AsOf: &counted.AsOf, Reason: "wrong"}); p.Count != many+1 || !p.Changed {
		t.Errorf("purged %+v", p)
	}
	if p := c.WantType(codec.WorkFail); string(p.Data) != listened {
		t.Errorf("the client heard of %q", p.Data)
	}
	for h, want := range map[string]string{running: api.JobRunning, other: api.JobWaiting, delayed: api.JobDelayed, late: api.JobWaiting} {
		if s := r.state(h); s != want {
			t.Errorf("%s is %q, want %s", h, s, want)
		}
	}
	audit := get[api.Page[api.AuditEntry]](r, "audit", nil)
	if len(audit.Items) != 1 || audit.Items[0].Action != "purge" || audit.Items[0].Count != many+1 || audit.Items[0].Reason != "wrong" || audit.Items[0].Target != "f*" {
		t.Errorf("audit %+v", audit.Items)
	}
	if p := purge(api.Purge{}); p.Count != 1 {
		t.Errorf("purged of the rest %+v", p)
	}
}

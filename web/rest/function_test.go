package rest_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// post performs an action, which must succeed.
func (r *rig) post(path string, in any) (done api.Done) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	if err := r.client.Post(ctx, path, in, &done); err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return done
}

// TestPauseAndClose: a paused function hands out no job until it is resumed or the time has passed. A closed
// one accepts no job. Both are shown with who, why and until when, and are in the audit log.
func TestPauseAndClose(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.CanDo, "f")
	r.post(api.Path("functions", "f", "pause"), api.Pause{Reason: "db down"})
	first := c.Submit(codec.SubmitJobBg, "f", "", "1")
	w.Send(codec.GrabJob)
	w.WantType(codec.NoJob)
	w.Send(codec.PreSleep)
	if e := get[api.Explanation](r, api.Path("jobs", first, "explain"), nil); len(e.Causes) == 0 || e.Causes[0].Kind != api.CausePaused {
		t.Errorf("why it waits: %+v", e.Causes)
	}
	f := get[api.Function](r, api.Path("functions", "f"), nil)
	if f.Paused == nil || f.Paused.By == "" || f.Paused.Reason != "db down" || f.Paused.Since.IsZero() || f.Paused.Until != nil {
		t.Errorf("paused %+v", f.Paused)
	}
	if f.HeldBack != 1 {
		t.Errorf("%d jobs were held back, want 1", f.HeldBack)
	}
	if d := r.post(api.Path("functions", "f", "resume"), nil); !d.Changed || d.Count != 1 {
		t.Errorf("resumed %+v", d)
	}
	w.WantType(codec.Noop)
	w.Grab()
	if d := r.post(api.Path("functions", "f", "resume"), nil); d.Changed {
		t.Errorf("resumed again %+v", d)
	}

	until := time.Now().Add(await.Scaled(3 * time.Second))
	r.post(api.Path("functions", "f", "pause"), api.Pause{Until: &until})
	c.Submit(codec.SubmitJobBg, "f", "", "2")
	w.Send(codec.PreSleep)
	w.WantType(codec.Noop) // when its time is over
	w.Grab()

	r.post(api.Path("functions", "f", "close"), api.Pause{})
	c.Send(codec.SubmitJobBg, "f", "", "3")
	c.WantType(codec.Error)
	if d := r.post(api.Path("functions", "f", "open"), nil); !d.Changed {
		t.Errorf("opened %+v", d)
	}
	c.Submit(codec.SubmitJobBg, "f", "", "4")

	past := time.Now().Add(-time.Hour)
	if p := r.fails("POST", api.Path("functions", "f", "pause"), nil, api.Pause{Until: &past}); p.Status != http.StatusBadRequest {
		t.Errorf("until an hour ago: %+v", p)
	}
	audit := get[api.Page[api.AuditEntry]](r, "audit", nil)
	want := []string{"pause", "open", "close", "pause", "resume", "resume", "pause"} // the newest first
	if len(audit.Items) != len(want) {
		t.Fatalf("audit %+v", audit.Items)
	}
	for i, e := range audit.Items {
		if e.Action != want[i] || e.Target != "f" || (e.Result == "ok") != (i > 0) {
			t.Errorf("audit %d: %+v", i, e)
		}
	}
}

// TestPauseOutlivesTheProcess: settings of functions survive restarts and kills, except those that have
// expired.
func TestPauseOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, "--data-dir", dir)
	until := time.Now().Add(time.Hour)
	odd := "größe \xff/x"
	r.post(api.Path("functions", odd, "pause"), api.Pause{Reason: "db down", Until: &until})
	r.post(api.Path("functions", "f", "close"), api.Pause{})
	r.post(api.Path("functions", "gone", "close"), api.Pause{})
	r.post(api.Path("functions", "gone", "open"), nil)
	r.server.Signal(syscall.SIGKILL)
	await.Until(t, "the broker is gone", func() bool { return !r.server.Alive() })
	r = newRig(t, "--data-dir", dir)
	f := get[api.Function](r, api.Path("functions", odd), nil)
	if p := f.Paused; p == nil || p.Reason != "db down" || p.By == "" || p.Until == nil || !p.Until.Equal(until) || f.Closed != nil {
		t.Errorf("paused %+v", p)
	}
	c := wire.Dial(t, r.server.Addr)
	c.Send(codec.SubmitJobBg, "f", "", "x")
	c.WantType(codec.Error)
	c.Submit(codec.SubmitJobBg, "gone", "", "x")
}

// TestIdleFunction: a function that nobody knows is 404, and all zeros for those that ask so.
func TestIdleFunction(t *testing.T) {
	r := newRig(t)
	at := api.Path("functions", "mail/send")
	if p := r.fails("GET", at, nil, nil); p.Status != http.StatusNotFound {
		t.Errorf("%+v", p)
	}
	zero := url.Values{"if_unknown": {"zero"}}
	if f := get[api.Function](r, at, zero); f.Name != "mail/send" || f.Total+f.Waiting+f.Workers != 0 || f.OldestWaiting != 0 {
		t.Errorf("%+v", f)
	}
	wire.Dial(t, r.server.Addr).Submit(codec.SubmitJobBg, "mail/send", "", "x")
	if f := get[api.Function](r, at, zero); f.Waiting != 1 {
		t.Errorf("with a job: %+v", f)
	}
	if p := r.fails("GET", at, url.Values{"if_unknown": {"one"}}, nil); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "must be zero") {
		t.Errorf("%+v", p)
	}
}

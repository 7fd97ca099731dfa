package view

import (
	"net/netip"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/sched"
)

// because compares what is told with what should be: kind and text, in order.
func (r *rig) because(e api.Explanation, ok bool, want ...string) {
	r.tb.Helper()
	if !ok {
		r.tb.Fatal("it is not known")
	}
	var got []string
	for _, c := range e.Causes {
		got = append(got, c.Kind+": "+c.Text)
	}
	if len(got) != len(want) {
		r.tb.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			r.tb.Errorf("\n got %q\nwant %q", got[i], want[i])
		}
	}
}

// Why jobs wait is said in a sentence, with who and since when.
func TestExplain(t *testing.T) {
	r := newRig(t)
	client, worker := r.connect(), r.connect()
	worker.Addr = netip.MustParseAddrPort("10.0.0.1:1000")
	h := r.submit(client, "f", "", "x")
	job := func(handle string, want ...string) {
		t.Helper()
		e, ok := r.source.ExplainJob(handle)
		r.because(e, ok, want...)
		if e.Function != "f" || e.Handle != handle || e.State == "" {
			t.Errorf("explained is %+v", e)
		}
	}
	job(h, "no_workers: No worker is connected that can do f.")
	r.do(worker, codec.CanDo, "f")
	r.do(worker, codec.SetClientID, "one")
	r.now = r.now.Add(1500 * time.Millisecond)
	job(h, `not_asking: 1 worker is awake without a job and does not ask for one; 10.0.0.1:1000 "one" asked last 1.5 s ago.`)
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkStatus, h, "1", "2")
	next := r.submit(client, "f", "", "x")
	behind := r.submit(client, "f", "", "x")
	r.now = r.now.Add(75 * time.Second)
	job(h, `running: Worker 10.0.0.1:1000 "one" has had it for 1 m 15 s. It said last: 1 of 2.`)
	busy := `all_busy: The only worker of f has a job; 10.0.0.1:1000 "one" has had ` + h + ` of f for 1 m 15 s.`
	job(next, busy)
	job(behind, "behind: 1 job of f comes first.", busy)
	e, ok := r.source.ExplainFunction("f")
	r.because(e, ok, busy, "running: 1 job is running.")
	if p := e.Causes[0].Peer; p == nil || p.ClientID != "one" || p.Address != "10.0.0.1:1000" {
		t.Errorf("the peer is %+v", p)
	}
	r.sched.Disconnect(worker, r.now, &r.fx)
	r.fx.Reset()
	r.now = r.now.Add(90 * time.Minute)
	job(next, `no_workers: No worker is connected that can do f. The last one (10.0.0.1:1000 "one") left 1 h 30 m ago with 1 job in hand.`)

	if e, ok := r.source.ExplainJob(h); ok || len(e.Causes) != 1 || e.Causes[0].Kind != api.CauseUnknownJob {
		t.Errorf("a job that has ended is explained by %+v", e)
	}
	if _, ok := r.source.ExplainFunction("none"); ok {
		t.Error("a function that nobody knows is explained")
	}
}

// Who paused or closed a function, why and until when is shown and found, and told as the reason.
func TestSettings(t *testing.T) {
	r := newRig(t)
	h := r.submit(r.connect(), "f", "", "x")
	set := sched.Setting{By: "anna", Reason: "db down", Since: r.now, Until: r.now.Add(time.Hour)}
	if err := r.sched.PauseFunction("f", set, r.now, &r.fx); err != nil {
		t.Fatal(err)
	}
	if err := r.sched.CloseFunction("g", sched.Setting{Since: r.now}, r.now, &r.fx); err != nil {
		t.Fatal(err)
	}
	r.fx.Reset()
	r.now = r.now.Add(2 * time.Minute)
	e, ok := r.source.ExplainJob(h)
	r.because(e, ok, "paused: f was paused by anna 2 m 00 s ago until 2030-01-02T04:04:05Z (db down): no job of it is handed out.",
		"no_workers: No worker is connected that can do f.")
	e, ok = r.source.ExplainFunction("g")
	r.because(e, ok, "closed: g was closed 2 m 00 s ago: no submission to it is taken.", "nothing: No job of g waits.")
	f, _ := r.source.Function("f")
	if p := f.Paused; p == nil || p.By != "anna" || p.Reason != "db down" || !p.Since.Equal(start) || p.Until == nil || f.Closed != nil {
		t.Errorf("shown is %+v", f.Paused)
	}
	for only, name := range map[string]string{"paused": "f", "closed": "g"} {
		page, err := r.source.Functions(FunctionQuery{Only: only})
		if err != nil || len(page.Items) != 1 || page.Items[0].Name != name {
			t.Errorf("only %s: %+v, %v", only, page.Items, err)
		}
	}
}

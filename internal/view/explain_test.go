package view

import (
	"net/netip"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/sched"
)

// because compares causes with the expected ones: kind and text, in order.
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

// A sentence says why jobs wait, with who and since when.
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
	r.because(e, ok, busy)
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

// Each cause has a text of its own for a job and, if it differs, for a function.
func TestCauseTexts(t *testing.T) {
	r := newRig(t)
	peer := r.connect()
	peer.Addr = netip.MustParseAddrPort("10.0.0.1:1000")
	since, until := r.now.Add(-90*time.Second), r.now.Add(time.Minute)
	of := func(c sched.Cause, n int) sched.Reason {
		return sched.Reason{Cause: c, Since: since, Count: n, Peer: peer, ClientID: "one"}
	}
	seen := map[sched.Cause]bool{}
	for _, test := range []struct {
		reason        sched.Reason
		job, function string // "": there is no such cause for it
	}{
		{sched.Reason{Cause: sched.CauseDraining, Count: 2}, "The server is ending and hands out no stored jobs; the next start will.",
			"The server is ending and hands out no stored jobs; the next start will."},
		{sched.Reason{Cause: sched.CausePaused, Since: since, Until: until, By: "anna", Text: "db down"},
			"f was paused by anna 1 m 30 s ago until 2030-01-02T03:05:05Z (db down): no job of it is handed out.",
			"f was paused by anna 1 m 30 s ago until 2030-01-02T03:05:05Z (db down): no job of it is handed out."},
		{sched.Reason{Cause: sched.CauseClosed, Since: since}, "", "f was closed 1 m 30 s ago: no submission to it is taken."},
		{sched.Reason{Cause: sched.CauseDelayed, Until: until, Count: 1}, "The job is delayed until 2030-01-02T03:05:05Z, in 1 m 00 s.", ""},
		{sched.Reason{Cause: sched.CauseDelayed, Count: 2}, "", "2 jobs are delayed: submitted for a later time."},
		{sched.Reason{Cause: sched.CauseStoring, Since: since, Count: 1}, "The job is being stored, for 1 m 30 s.", ""},
		{sched.Reason{Cause: sched.CauseStoring, Count: 1}, "", "1 job is being stored."},
		{sched.Reason{Cause: sched.CauseStoreFails, Text: "no room"}, "The store takes no jobs: no room.", "The store takes no jobs: no room."},
		{sched.Reason{Cause: sched.CauseShelved, Since: since, Count: 3},
			"The job is held back: the lease of stored jobs has ended, and the store has not renewed it.",
			"3 jobs are held back: the lease of stored jobs has ended, and the store has not renewed it."},
		{sched.Reason{Cause: sched.CauseBehind, Count: 1}, "1 job of f comes first.", ""},
		{sched.Reason{Cause: sched.CauseBehind, Count: 100, AtLeast: true}, "At least 100 jobs of f come first.", ""},
		{sched.Reason{Cause: sched.CauseNoWorkers}, "No worker is connected that can do f.", "No worker is connected that can do f."},
		{sched.Reason{Cause: sched.CauseNoWorkers, Since: since, Left: true, Count: 2},
			"No worker is connected that can do f. The last one (a unix socket) left 1 m 30 s ago with 2 jobs in hand.", ""},
		{of(sched.CauseAllBusy, 2), `All 2 workers of f have jobs.`, `All 2 workers of f have jobs.`},
		{of(sched.CauseWoken, 1), "1 worker was sent NOOP 1 m 30 s ago and has not asked for a job since.", ""},
		{of(sched.CauseWoken, 3), "", `3 workers were sent NOOP up to 1 m 30 s ago, 10.0.0.1:1000 "one" first, and have not asked for a job since.`},
		{sched.Reason{Cause: sched.CauseAsleep, Count: 1}, "1 worker sleeps and has not been sent NOOP yet.", ""},
		{sched.Reason{Cause: sched.CauseAsleep, Count: 2}, "", "2 workers sleep and have not been sent NOOP yet."},
		{of(sched.CauseNotAsking, 2), `2 workers are awake without a job and do not ask for one; 10.0.0.1:1000 "one" asked last 1 m 30 s ago.`, ""},
		{sched.Reason{Cause: sched.CauseUnwanted}, "All clients that waited for the job have gone: it will be dropped when its turn comes.", ""},
		{sched.Reason{Cause: sched.CauseRunning, Peer: peer, Since: since, Until: until, Numerator: "1", GivenUp: true},
			"Worker 10.0.0.1:1000 has had it for 1 m 30 s. It said last: 1 of ?. Its time is up in 1 m 00 s. " +
				"The job was given up: nobody hears of it any more, and the worker goes on.", ""},
		{sched.Reason{Cause: sched.CauseNothing}, "", "No job of f waits."},
		{sched.Reason{Cause: sched.CauseNothing, Count: 1}, "", "No job of f waits; 1 is running."},
		{sched.Reason{Cause: sched.CauseNothing, Count: 2}, "", "No job of f waits; 2 are running."},
	} {
		seen[test.reason.Cause] = true
		for ofJob, want := range map[bool]string{true: test.job, false: test.function} {
			if want == "" {
				continue
			}
			p := phrasing{function: "f", reason: &test.reason, now: r.now}
			if got := p.text(r.source, ofJob); got != want {
				t.Errorf("%v:\n got %q\nwant %q", test.reason.Cause, got, want)
			}
		}
	}
	odd := phrasing{function: "a\xff\n", reason: &sched.Reason{Cause: sched.CauseNothing}, now: r.now}
	if got, want := odd.text(r.source, false), `No job of a\xff\n waits.`; got != want {
		t.Errorf("a name that is no text: %q, want %q", got, want)
	}
	for c := sched.Cause(0); c <= sched.CauseNothing; c++ {
		if !seen[c] {
			t.Errorf("no test of %v", c)
		}
	}
}

// Who paused or closed a function, why and until when is shown, can be filtered by, and is given as the
// cause.
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

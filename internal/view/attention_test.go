package view

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
)

// Problems of the broker come before those of functions, and among these functions without workers come
// first.
func TestAttention(t *testing.T) {
	r := newRig(t)
	r.source.cfg.MemoryLimit = 1
	r.source.cfg.Certificates = func() map[string]time.Time {
		return map[string]time.Time{"a.pem": r.now.Add(-time.Hour), "b.pem": r.now.Add(3*24*time.Hour + 1), "c.pem": r.now.Add(365 * 24 * time.Hour)}
	}
	r.source.SetStore(fullDisk{})
	c, w := r.connect(), r.connect()
	r.do(w, codec.CanDo, "slow")
	r.do(w, codec.CanDo, "quick")
	r.submit(c, "slow", "", "x")
	r.submit(c, "orphan", "", "x")
	r.now = r.now.Add(10 * time.Minute)
	r.submit(c, "quick", "", "x")
	r.submit(c, "\xffyoung", "", "x")
	r.submit(c, "\xffyoung", "", "x")
	var fx sched.Effects
	held := sched.Setting{By: "anna", Reason: "why", Since: r.now.Add(-time.Minute), Until: r.now.Add(time.Hour)}
	r.submit(c, "held", "", "x")
	if err := errors.Join(r.source.cfg.Sched.PauseFunction("held", held, r.now, &fx),
		r.source.cfg.Sched.CloseFunction("shut", sched.Setting{Since: r.now.Add(-time.Hour)}, r.now, &fx)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.source.attention() {
		got = append(got, c.Kind+" "+c.Text)
	}
	want := []string{
		"store Background jobs can't be stored", "memory Jobs take ", "certificate A certificate in a.pem has expired",
		"certificate A certificate in b.pem expires in 3 days", "no_workers orphan: no worker is connected, and 1 job waits; the oldest for 10m0s",
		"no_workers �young: no worker is connected, and 2 jobs wait; the oldest for 0s", "oldest_waiting slow: the oldest job has waited for 10m0s; 1 job waits",
		"closed shut: closed for submissions by somebody 1h0m0s ago",
		"paused held: paused by anna 1m0s ago, until " + held.Until.UTC().Format(time.RFC3339) + "; 1 job waits (why)",
	}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	r = newRig(t)
	c = r.connect()
	for i := range 2 * mostConcerns {
		r.submit(c, fmt.Sprint("f", i), "", "x")
	}
	if n := len(r.source.attention()); n != mostConcerns {
		t.Errorf("%d concerns", n)
	}
}

// A function needs attention while many of its jobs fail: not for a few failures, and no longer some time
// after them.
func TestAttentionToFailures(t *testing.T) {
	r := newRig(t)
	r.source.cfg.Started = r.now
	c, w := r.connect(), r.connect()
	end := func(function string, complete, fail int) {
		t.Helper()
		r.do(w, codec.CanDo, function)
		for i := range complete + fail {
			h := r.submit(c, function, "", "x")
			r.do(w, codec.GrabJob)
			if i < complete {
				r.do(w, codec.WorkComplete, h, "")
			} else {
				r.do(w, codec.WorkFail, h)
			}
		}
	}
	wants := func(texts ...string) {
		t.Helper()
		r.now = r.now.Add(2 * freshFor)
		var got []string
		for _, c := range r.source.attention() {
			got = append(got, c.Kind+" "+c.Text)
		}
		if !slices.Equal(got, texts) {
			t.Errorf("got %q, want %q", got, texts)
		}
	}
	later := func() {
		r.now = r.now.Add(5 * time.Minute)
		r.source.look(failuresEvery)
	}
	r.source.look(0)
	r.now = r.now.Add(time.Minute)
	end("few", 0, fewFailures-1)
	end("bad", 31, 9)
	end("worse", 1, 9)
	end("mostly", 100, 10)
	wants("failing worse: 90 % of the jobs that ended in the last 1m2s failed (9 of 10)", "failing bad: 22 % of the jobs that ended in the last 1m2s failed (9 of 40)")
	later()
	end("bad", 80, 0)
	end("worse", 0, 1)
	wants("failing worse: 91 % of the jobs that ended in the last 6m4s failed (10 of 11)")
	later()
	wants()
	end("bad", 0, 20)
	wants("failing bad: 20 % of the jobs that ended in the last 5m6s failed (20 of 100)")
}

package sched

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store"
)

// told is a reason in a readable form without unset fields. Times are seconds since the beginning.
func (r *rig) told(x Reason) string {
	var b strings.Builder
	b.WriteString(x.Cause.String())
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			fmt.Fprintf(&b, " %s %v", name, t.Sub(start).Truncate(time.Millisecond).Seconds())
		}
	}
	at("since", x.Since)
	at("until", x.Until)
	if x.Count > 0 {
		fmt.Fprintf(&b, " count %d", x.Count)
	}
	if x.AtLeast {
		b.WriteString("+")
	}
	if x.Peer != nil {
		fmt.Fprintf(&b, " fd %d", x.Peer.FD)
	}
	if x.Left {
		fmt.Fprintf(&b, " left %v", x.Addr)
	}
	if x.ClientID != "" && x.ClientID != "-" {
		fmt.Fprintf(&b, " id %s", x.ClientID)
	}
	if x.Job > 0 {
		fmt.Fprintf(&b, " job %s of %s", r.names[string(r.s.AppendHandle(nil, x.Job))], x.Function)
	}
	if x.Numerator != "" {
		fmt.Fprintf(&b, " at %s/%s", x.Numerator, x.Denominator)
	}
	if x.GivenUp {
		b.WriteString(" given up")
	}
	for _, s := range []string{x.By, x.Text} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	return b.String()
}

// because compares the reasons for a job (by handle) or for a function.
func (r *rig) because(reasons []Reason, ok bool, want ...string) {
	r.Helper()
	var got []string
	for _, x := range reasons {
		got = append(got, r.told(x))
	}
	if !ok || !slices.Equal(got, want) {
		r.Fatalf("known: %v\n got %q\nwant %q", ok, got, want)
	}
}

func (r *rig) why(handle string, want ...string) {
	r.Helper()
	reasons, ok := r.s.ExplainJob(handle, r.now)
	r.because(reasons, ok, want...)
}

func (r *rig) whyOf(function string, want ...string) {
	r.Helper()
	reasons, ok := r.s.ExplainFunction(function, r.now)
	r.because(reasons, ok, want...)
}

// The worker that left last is named while there is none, even if the function was forgotten in between.
func TestExplainNoWorkers(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	h := r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.why(h, "no_workers")
	r.whyOf("f", "no_workers")

	first, second := r.worker("f", "other"), r.worker("f")
	first.Addr, second.Addr = netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:2000")
	r.do(first, codec.SetClientID, strings.Repeat("i", 100))
	r.do(second, codec.SetClientID, "two")
	r.at(time.Second)
	r.do(first, codec.GrabJob)
	r.at(2 * time.Second)
	r.do(second, codec.CantDo, "f")
	r.do(first, codec.GrabJob)
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.do(first, codec.GrabJob)
	h2 := r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.at(3 * time.Second)
	r.leave(first)
	r.why(h2, "no_workers since 3 count 2 left 10.0.0.1:1000 id "+strings.Repeat("i", departedClientID))

	// It is forgotten with its jobs, and comes back.
	r.s.Cancel(h2, r.now, &Effects{})
	if _, ok := r.s.ExplainFunction("f", r.now); ok {
		t.Fatal("the function is known without anybody who needs it")
	}
	h = r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.at(4 * time.Second)
	r.why(h, "no_workers since 3 count 2 left 10.0.0.1:1000 id "+strings.Repeat("i", departedClientID))
	r.do(second, codec.CanDo, "f")
	r.at(5 * time.Second)
	r.do(second, codec.ResetAbilities)
	r.why(h, "no_workers since 5 left 10.0.0.2:2000 id two")
}

// Of forgotten functions only those that workers left last are remembered.
func TestDeparturesAreBounded(t *testing.T) {
	r := newRig(t, perl())
	sh := r.s.shardOf([]byte("f0"))
	var names []string
	for i := 0; len(names) < 3*maxDepartures; i++ {
		if name := fmt.Sprint("f", i); r.s.shardOf([]byte(name)) == sh {
			names = append(names, name)
			r.until(r.now.Add(time.Second))
			r.leave(r.worker(name))
		}
	}
	if len(sh.departed) != maxDepartures {
		t.Fatalf("%d are remembered, should be %d", len(sh.departed), maxDepartures)
	}
	for _, name := range names[2*maxDepartures:] {
		if sh.leftBefore(name) == nil {
			t.Errorf("%s is not remembered", name)
		}
	}
}

// Workers of a function are distinguished: busy ones, those that were sent NOOP, sleeping ones, and those
// that are awake and do not ask.
func TestExplainWorkers(t *testing.T) {
	cfg := perl()
	cfg.Wakeup, cfg.WakeupDelay = 1, -1
	r := newRig(t, cfg)
	client := r.connect()
	one, two := r.worker("f", "g"), r.worker("f")
	r.do(two, codec.SetClientID, "two")
	r.at(time.Second)
	r.do(one, codec.PreSleep)
	r.do(two, codec.PreSleep)

	r.at(2 * time.Second)
	a := r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.at(3 * time.Second)
	r.why(a, "woken since 2 count 1 fd 4", "asleep count 1")
	if !one.ClaimNoop() { // as when it goes out
		t.Fatal("no NOOP is owed")
	}
	r.why(a, "woken since 2 count 1 fd 4", "asleep count 1")
	r.whyOf("f", "woken since 2 count 1 fd 4", "asleep count 1")
	r.whyOf("g", "nothing")

	// A worker asks for a job, gets none of another function's and does not ask again.
	r.do(one, codec.GrabJob)
	r.at(4 * time.Second)
	b := r.submit(client, codec.SubmitJobBg, "f", "", "")
	c := r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.at(5 * time.Second)
	r.why(b, "woken since 4 count 1 fd 5 id two")
	r.do(two, codec.GrabJob)
	r.at(6 * time.Second)
	d := r.submit(client, codec.SubmitJobHighBg, "g", "", "")
	r.why(c, "all_busy since 3 count 2 fd 4 job h1 of f")
	r.why(d, "all_busy since 3 count 1 fd 4 job h1 of f")
	r.do(one, codec.WorkComplete, a, "")
	r.at(7 * time.Second)
	r.why(c, "not_asking since 3 count 1 fd 4")

	// Of several jobs of a worker the oldest is named, as long as only the last one ended.
	r.do(one, codec.GrabJob)
	r.at(8 * time.Second)
	r.do(one, codec.GrabJob)
	e := r.submit(client, codec.SubmitJobBg, "g", "", "")
	r.why(e, "all_busy since 7 count 1 fd 4 job h3 of f")
	r.do(one, codec.WorkComplete, c, "")
	r.why(e, "all_busy since 8 count 1 fd 4 job h4 of g")
	r.do(one, codec.WorkComplete, d, "")
	r.why(e, "not_asking since 8 count 1 fd 4")
	r.leave(one)
	r.why(e, "no_workers since 8 left invalid AddrPort")
	r.whyOf("f", "nothing count 1")
}

// A worker that has asked and sleeps again does not count as woken, even at the same moment.
func TestExplainInOneMoment(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	for range 3 {
		r.do(worker, codec.PreSleep)
		h := r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.why(h, "woken since 0 count 1 fd 4")
		r.do(worker, codec.GrabJob)
		r.why(h, "running since 0 count 1 fd 4 job "+r.names[h]+" of f")
		next := r.submit(client, codec.SubmitJobBg, "f", "", "")
		r.do(worker, codec.WorkComplete, h, "")
		r.why(next, "not_asking since 0 count 1 fd 4")
		r.do(worker, codec.GrabJob)
		r.do(worker, codec.WorkComplete, next, "")
	}
}

// Jobs ahead of a job are counted, by priority, up to a bound.
func TestExplainBehind(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.submit(client, codec.SubmitJobHighBg, "f", "", "")
	h := r.submit(client, codec.SubmitJobLowBg, "f", "", "")
	r.why(h, "behind count 2", "no_workers")
	for range aheadMost {
		r.submit(client, codec.SubmitJobBg, "f", "", "")
	}
	h = r.submit(client, codec.SubmitJobBg, "f", "", "")
	r.why(h, fmt.Sprintf("behind count %d+", 1+aheadMost), "no_workers")
}

// A job whose clients have all gone is reported as unwanted.
func TestExplainUnwanted(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	h := r.submit(client, codec.SubmitJob, "f", "", "")
	r.why(h, "no_workers")
	r.leave(client)
	r.why(h, "no_workers", "unwanted")
}

// A running job is described with its worker, its limit and its last status; after a cancel it is still
// running.
func TestExplainRunning(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.connect()
	r.do(worker, codec.CanDoTimeout, "f", "10")
	r.do(worker, codec.SetClientID, "w")
	h := r.submit(client, codec.SubmitJob, "f", "", "")
	r.at(time.Second)
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkStatus, h, "1", "3")
	r.at(2 * time.Second)
	r.why(h, "running since 1 until 11 count 1 fd 4 id w job h1 of f at 1/3")
	r.whyOf("f", "nothing count 1")
	var fx Effects
	r.s.Cancel(h, r.now, &fx)
	r.carry(&fx)
	r.why(h, "running since 1 until 11 count 1 fd 4 id w job h1 of f at 1/3 given up")
	if _, ok := r.s.ExplainJob("H:t:77", r.now); ok {
		t.Error("a job that never was is explained")
	}
}

// Delayed, storing and shelved jobs wait for that, whatever workers do.
func TestExplainDelayedAndStored(t *testing.T) {
	r := newRig(t, perl())
	r.attach(newFakeStore())
	client := r.connect()
	r.at(time.Second)
	epoch := fmt.Sprint(start.Unix() + 60)
	r.do(client, codec.SubmitJobEpoch, "f", "", epoch, "")
	first := r.s.Jobs()[0]
	h := string(r.s.AppendHandle(nil, first.Number))
	r.why(h, "storing since 1 count 1")
	r.whyOf("f", "storing count 1")
	r.store.failed = errors.New("no room")
	r.why(h, "storing since 1 count 1", "store_fails no room")
	r.whyOf("f", "storing count 1", "store_fails no room")
	r.store.failed = nil
	r.receive(-1, nil)
	r.why(h, "delayed until 60 count 1")
	r.whyOf("f", "delayed count 1")

	r.at(time.Minute)
	r.why(h, "no_workers")
	var fx Effects
	r.s.Lease(r.now.Add(time.Second), r.now, &fx)
	r.carry(&fx)
	r.at(61 * time.Second)
	r.why(h, "shelved since 61 count 1", "no_workers")
	r.whyOf("f", "shelved since 61 count 1", "no_workers")
	worker := r.worker("f")
	r.do(worker, codec.GrabJob) // puts it on the shelf
	r.why(h, "shelved since 61 count 1")
	r.whyOf("f", "shelved since 61 count 1")
	r.s.Lease(store.Never, r.now, &fx)
	r.carry(&fx)
	r.why(h, "not_asking since 61 count 1 fd 4")
	r.s.Shelve()
	r.why(h, "draining count 1")
	r.whyOf("f", "draining count 1")
}

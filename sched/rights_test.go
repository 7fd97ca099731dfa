package sched

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// fakeRights gives rights by name; "*" stands for every function.
type fakeRights struct {
	to      map[string]Right
	version atomic.Uint64
	asked   int // how often Of was
	refused []string
}

func (f *fakeRights) Of(function string) Right {
	f.asked++
	return f.to[function] | f.to["*"]
}

func (f *fakeRights) Some() (some Right) {
	for _, r := range f.to {
		some |= r
	}
	return some
}

func (f *fakeRights) All() Right              { return f.to["*"] }
func (f *fakeRights) Version() *atomic.Uint64 { return &f.version }
func (f *fakeRights) Refused(want Right, function string) {
	f.refused = append(f.refused, fmt.Sprintf("%d %s", want, function))
}

// set replaces the rights, as a reload does.
func (f *fakeRights) set(to map[string]Right) {
	f.to = to
	f.version.Add(1)
}

// limited connects a peer with rights of its own.
func (r *rig) limited(to map[string]Right) (*Peer, *fakeRights) {
	f := &fakeRights{to: to}
	f.version.Store(1)
	p := &Peer{FD: len(r.got) + 3, Access: NewAccess(f)}
	r.s.Connect(p)
	r.got[p] = nil
	return p, f
}

func eachDialect(t *testing.T, f func(t *testing.T, d *dialect.Dialect, refused string)) {
	for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
		t.Run(d.Name, func(t *testing.T) { f(t, d, "ERROR "+d.Forbidden.Code+"|"+d.Forbidden.Text) })
	}
}

// Each packet that names a function requires the right to it, and gets ERROR without it. A refused request
// leaves nothing.
func TestRightsOfPackets(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *dialect.Dialect, refused string) {
		for _, c := range []struct {
			typ  codec.Type
			need Right
			args []string // after the function
		}{
			{codec.SubmitJob, MaySubmit, []string{"u", "x"}},
			{codec.SubmitJobBg, MaySubmit, []string{"u", "x"}},
			{codec.SubmitJobHigh, MaySubmit, []string{"u", "x"}},
			{codec.SubmitJobHighBg, MaySubmit, []string{"u", "x"}},
			{codec.SubmitJobLow, MaySubmit, []string{"u", "x"}},
			{codec.SubmitJobLowBg, MaySubmit, []string{"u", "x"}},
			{codec.SubmitJobSched, MaySubmit, []string{"u", "0", "0", "1", "1", "", "x"}},
			{codec.SubmitJobEpoch, MaySubmit, []string{"u", "9999999999", "x"}},
			{codec.SubmitReduceJob, MaySubmit, []string{"u", "f", "", "x"}},
			{codec.SubmitReduceJobBack, MaySubmit, []string{"u", "f", "", "x"}},
			{codec.SubmitJob, MaySubmit, []string{"-", "x"}},
			{codec.CanDo, MayWork, nil},
			{codec.CanDoTimeout, MayWork, []string{"5"}},
		} {
			r := newRig(t, Config{Dialect: d})
			args := append([]string{"f"}, c.args...)
			without, rights := r.limited(map[string]Right{"f": AllRights &^ c.need, "g": AllRights})
			r.do(without, c.typ, args...)
			r.want(without, refused)
			if want := fmt.Sprintf("[%d f]", c.need); fmt.Sprint(rights.refused) != want {
				t.Errorf("%v: refused %v, want %s", c.typ, rights.refused, want)
			}
			if fs := r.s.Functions(); len(fs) != 0 {
				t.Errorf("%v: the refusal left %v", c.typ, fs)
			}
			with, rights := r.limited(map[string]Right{"f": c.need})
			r.do(with, c.typ, args...)
			if got := strings.Join(r.got[with], " "); strings.Contains(got, "ERROR") || len(rights.refused) > 0 {
				t.Errorf("%v with the right to it: %q, refused %v", c.typ, got, rights.refused)
			}
			if fs := r.s.Functions(); len(fs) != 1 {
				t.Errorf("%v with the right to it: functions %v", c.typ, fs)
			}
		}
	})
}

// A worker without a right to work for any function gets an error instead of NO_JOB.
func TestRightsOfWorker(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *dialect.Dialect, refused string) {
		r := newRig(t, Config{Dialect: d})
		r.submit(r.connect(), codec.SubmitJobBg, "f", "", "x")
		client, _ := r.limited(map[string]Right{"*": AllRights &^ MayWork})
		for _, typ := range []codec.Type{codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll} {
			r.do(client, typ)
			r.want(client, refused)
		}
		if d.AllYours == dialect.Accept {
			r.do(client, codec.AllYours)
			r.want(client, refused)
			if client.Push() {
				t.Error("it is pushed jobs")
			}
		}
		worker, _ := r.limited(map[string]Right{"g": MayWork})
		r.do(worker, codec.CanDo, "f")
		r.do(worker, codec.CanDo, "g")
		r.do(worker, codec.GrabJob)
		r.want(worker, refused, "NO_JOB")
	})
}

// The right to submit to the reducer is required as well.
func TestRightsOfReducer(t *testing.T) {
	r := newRig(t, perl())
	client, rights := r.limited(map[string]Right{"f": MaySubmit})
	r.do(client, codec.SubmitReduceJob, "f", "", "g", "", "x")
	r.want(client, "ERROR not_allowed|You have no right to this function")
	if fmt.Sprint(rights.refused) != fmt.Sprintf("[%d g]", MaySubmit) {
		t.Errorf("refused %v", rights.refused)
	}
}

// A peer that may not use a function neither joins its jobs nor learns that they exist.
func TestRightsHideJobs(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *dialect.Dialect, refused string) {
		r := newRig(t, Config{Dialect: d})
		owner := r.connect()
		handle := r.submit(owner, codec.SubmitJob, "f", "same", "secret")
		unknown, unknownUnique := "STATUS_RES h1|0|0|"+d.NoNumber+"|"+d.NoNumber, "STATUS_RES_UNIQUE same|0|0|"+d.NoNumber+"|"+d.NoNumber+"|0"
		stranger, _ := r.limited(map[string]Right{"g": AllRights, "f": MayAdminister})
		r.do(stranger, codec.SubmitJob, "f", "same", "secret")
		r.do(stranger, codec.GetStatus, handle)
		r.do(stranger, codec.GetStatusUnique, "same")
		r.want(stranger, refused, unknown, unknownUnique)
		for _, right := range []Right{MaySubmit, MayWork, MayLook} {
			friend, _ := r.limited(map[string]Right{"f": right})
			r.do(friend, codec.GetStatus, handle)
			r.do(friend, codec.GetStatusUnique, "same")
			r.want(friend, strings.Replace(unknown, "|0|", "|1|", 1), strings.Replace(unknownUnique, "|0|0|"+d.NoNumber+"|"+d.NoNumber+"|0", "|1|0|"+d.NoNumber+"|"+d.NoNumber+"|1", 1))
		}
		// A hidden job does not hide one with the same unique id that the peer may see, whichever is found first:
		// functions of all shards have one.
		for i := range 200 {
			r.submit(owner, codec.SubmitJob, fmt.Sprint("hidden", i), "same", "x")
		}
		r.do(stranger, codec.SubmitJob, "g", "same", "x")
		for i := range 200 {
			r.submit(owner, codec.SubmitJob, fmt.Sprint("later", i), "same", "x")
		}
		r.got[stranger] = nil
		r.do(stranger, codec.GetStatusUnique, "same")
		if got := r.got[stranger][0]; !strings.HasPrefix(got, "STATUS_RES_UNIQUE same|1|") {
			t.Errorf("its own job is %q", got)
		}
	})
}

// Revoked rights take effect at once: for the next packet, and for a worker that is registered, asleep or
// pushed jobs. A worker finishes what it has in hand.
func TestRightsTakenAway(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *dialect.Dialect, refused string) {
		r := newRig(t, Config{Dialect: d, Wakeup: 1, WakeupDelay: -1})
		client, crights := r.limited(map[string]Right{"f": MaySubmit})
		worker, wrights := r.limited(map[string]Right{"f": MayWork, "g": MayWork})
		r.do(worker, codec.CanDo, "f")
		r.do(worker, codec.CanDo, "g")
		inHand := r.submit(client, codec.SubmitJob, "f", "", "x")
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN h1|f|x")
		r.submit(client, codec.SubmitJob, "f", "", "y")

		wrights.set(map[string]Right{"g": MayWork})
		r.do(worker, codec.GrabJob)
		r.want(worker, "NO_JOB")
		r.do(worker, codec.WorkComplete, inHand, "done")
		r.want(client, "WORK_COMPLETE h1|done")
		r.do(worker, codec.CanDo, "f")
		r.want(worker, refused)

		// A sleeper that may not have the job is not woken instead of one that may.
		wrights.set(map[string]Right{"h": MayWork, "g": MayWork})
		r.do(worker, codec.CanDo, "h")
		r.do(worker, codec.PreSleep)
		wrights.set(map[string]Right{"g": MayWork})
		if lost := r.s.Review(worker, r.now, &Effects{}); lost != 1 {
			t.Errorf("lost %d functions, want 1", lost)
		}
		if lost := r.s.Review(worker, r.now, &Effects{}); lost != 0 {
			t.Errorf("lost %d functions the second time", lost)
		}
		other := r.worker("h")
		r.do(other, codec.PreSleep)
		r.submit(r.connect(), codec.SubmitJob, "h", "", "z")
		r.want(worker)
		r.want(other, "NOOP")

		crights.set(nil)
		r.do(client, codec.SubmitJob, "f", "", "x")
		r.want(client, refused)
		crights.set(map[string]Right{"f": MaySubmit})
		r.submit(client, codec.SubmitJob, "f", "", "x")
	})
}

// A worker that is pushed jobs gets none of a function that was taken away.
func TestRightsTakenFromPushed(t *testing.T) {
	r := newRig(t, perl())
	worker, rights := r.limited(map[string]Right{"f": MayWork, "g": MayWork})
	r.do(worker, codec.CanDo, "f")
	r.do(worker, codec.CanDo, "g")
	r.do(worker, codec.AllYours)
	rights.set(map[string]Right{"g": MayWork})
	client := r.connect()
	r.submit(client, codec.SubmitJob, "f", "", "1")
	r.want(worker)
	r.submit(client, codec.SubmitJob, "g", "", "2")
	r.want(worker, "JOB_ASSIGN h2|g|2")
}

// Rights are looked up once for a connection and function while they do not change.
func TestRightsAreRemembered(t *testing.T) {
	r := newRig(t, perl())
	client, rights := r.limited(map[string]Right{"*": MaySubmit})
	many := func(n int) {
		for i := range n {
			r.submit(client, codec.SubmitJobBg, fmt.Sprint("f", i), "", "x")
		}
	}
	for range 5 {
		many(maxKnown)
	}
	if rights.asked != maxKnown {
		t.Errorf("asked %d times for %d functions", rights.asked, maxKnown)
	}
	rights.version.Add(1)
	many(3)
	if rights.asked != maxKnown+3 {
		t.Errorf("asked %d times after a change, want %d", rights.asked, maxKnown+3)
	}
	// However many functions a peer names, the cache stays small.
	many(10 * maxKnown)
	r.submit(client, codec.SubmitJobBg, strings.Repeat("f", maxKnownName+1), "", "x")
	if n := len(client.Access.known); n > maxKnown {
		t.Errorf("%d functions are remembered", n)
	}
	for name := range client.Access.known {
		if len(name) > maxKnownName {
			t.Errorf("a name of %d bytes is remembered", len(name))
		}
	}
}

// Other brokers' jobs are shown only to peers that may see all functions.
func TestRightsToForeignJobs(t *testing.T) {
	for _, c := range []struct {
		to   map[string]Right
		want string
	}{
		{map[string]Right{"f": AllRights}, "0"},
		{map[string]Right{"*": MayAdminister}, "0"},
		{map[string]Right{"*": MayLook}, "1"},
	} {
		p, _ := (&rig{TB: t, s: New(perl()), got: map[*Peer][]string{}}).limited(c.to)
		got := "0"
		if p.mayAskAll() {
			got = "1"
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.to, got, c.want)
		}
	}
}

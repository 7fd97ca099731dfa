package sched

import (
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// TestOrder: within a function high goes before normal before low; two high ones last in, first out.
func TestOrder(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	for _, j := range []struct {
		t   codec.Type
		arg string
	}{
		{codec.SubmitJobLow, "low1"}, {codec.SubmitJob, "normal1"}, {codec.SubmitJobHigh, "high1"},
		{codec.SubmitJobLowBg, "low2"}, {codec.SubmitJobBg, "normal2"}, {codec.SubmitJobHighBg, "high2"},
		{codec.SubmitReduceJob, "r\x00\x00normal3"}, {codec.SubmitReduceJobBack, "r\x00\x00normal4"}, {codec.SubmitJobHigh, "high3"},
	} {
		r.submit(client, j.t, "f", "", j.arg)
	}
	for _, want := range []string{
		"h9|f|high3", "h6|f|high2", "h3|f|high1", "h2|f|normal1", "h5|f|normal2", "h7|f|normal3", "h8|f|normal4", "h1|f|low1", "h4|f|low2",
	} {
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN "+want)
	}
	r.do(worker, codec.GrabJob)
	r.want(worker, "NO_JOB")
}

// TestRotation: each GRAB_JOB begins one function further.
func TestRotation(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("a", "b", "c")
	for range 3 {
		for _, f := range []string{"a", "b", "c"} {
			r.submit(client, codec.SubmitJobBg, f, "", "")
		}
	}
	for _, want := range []string{"h2|b|", "h3|c|", "h1|a|", "h5|b|", "h6|c|"} {
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN "+want)
	}
	r.do(worker, codec.CanDo, "b") // known already; the rotation begins anew
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h8|b|")
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h9|c|")
	r.do(worker, codec.CantDo, "b")
	r.do(worker, codec.GrabJob) // of a, c it begins with c, which is empty
	r.want(worker, "JOB_ASSIGN h4|a|")
	r.do(worker, codec.ResetAbilities)
	r.do(worker, codec.GrabJob)
	r.want(worker, "NO_JOB")
	r.do(worker, codec.CanDo, "a")
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h7|a|")
}

// TestJoining covers two submissions with one unique id.
func TestJoining(t *testing.T) {
	r := newRig(t, perl())
	one, two, worker := r.connect(), r.connect(), r.worker("f", "g")
	r.do(one, codec.SubmitJob, "f", "u", "first")
	r.do(two, codec.SubmitJob, "f", "u", "second")
	r.do(two, codec.SubmitJob, "f", "v", "other id")
	r.do(two, codec.SubmitJob, "g", "u", "other function")
	r.do(two, codec.SubmitJob, "f", "", "no id")
	r.do(two, codec.SubmitJob, "f", "", "no id")
	r.want(one, "JOB_CREATED h1")
	r.want(two, "JOB_CREATED h1", "JOB_CREATED h2", "JOB_CREATED h3", "JOB_CREATED h4", "JOB_CREATED h5")

	// While it runs, and twice by the same client, who hears everything twice.
	r.do(worker, codec.CantDo, "g")
	r.do(worker, codec.GrabJobUniq)
	r.want(worker, "JOB_ASSIGN_UNIQ h1|f|u|first")
	r.do(one, codec.SubmitJobHigh, "f", "u", "third")
	r.want(one, "JOB_CREATED h1")
	r.do(worker, codec.WorkData, r.handle("h1"), "some\x00data")
	r.want(one, "WORK_DATA h1|some|data", "WORK_DATA h1|some|data")
	r.want(two, "WORK_DATA h1|some|data")
	r.do(worker, codec.WorkComplete, r.handle("h1"), "")
	r.want(one, "WORK_COMPLETE h1|", "WORK_COMPLETE h1|")
	r.want(two, "WORK_COMPLETE h1|")

	// Then the id is free again.
	r.do(one, codec.SubmitJob, "f", "u", "fourth")
	r.want(one, "JOB_CREATED h6")
}

// TestArgumentAsUnique: with "-" the argument is the unique id.
func TestArgumentAsUnique(t *testing.T) {
	long, longer := strings.Repeat("a", maxPlainKey), strings.Repeat("a", maxPlainKey+1)
	shared := func(text string) payload.View {
		p := payload.New(len(text))
		p.Fill([]byte(text))
		return payload.Of(p)
	}
	args := []string{"x", "y", "", "\x00", "\x00x", "x\x00y", long, longer, longer + "b", "sha256:x"}
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	handles := map[string]string{}
	for _, arg := range args {
		h := r.submit(client, codec.SubmitJobBg, "f", "-", arg)
		for other, o := range handles {
			if o == h {
				t.Errorf("%.20q joined %.20q", arg, other)
			}
		}
		handles[arg] = h
		if again := r.submit(client, codec.SubmitJobBg, "f", "-", arg); again != h {
			t.Errorf("%.20q did not join itself", arg)
		}
		var fx Effects
		view := shared("f\x00-\x00" + arg)
		r.s.Handle(client, codec.SubmitJobBg, view, r.now, &fx)
		view.Release()
		if got := readPacket(&fx, 0).text; got != "JOB_CREATED "+h {
			t.Errorf("%.20q did not join itself as a payload: %s", arg, got)
		}
	}
	// The id itself joins it, too, as in the reference.
	if h := r.submit(client, codec.SubmitJobBg, "f", "x", "anything"); h != handles["x"] {
		t.Errorf("unique id x did not join argument x")
	}
	// An argument of a worker has exactly the fields it should, whatever the key.
	r.got[worker] = nil
	for _, arg := range args {
		r.do(worker, codec.GrabJobUniq)
		got := r.got[worker]
		r.got[worker] = nil
		fields := strings.Split(strings.TrimPrefix(got[0], "JOB_ASSIGN_UNIQ "), "|")
		if want := 4 + strings.Count(arg, "\x00"); len(fields) != want {
			t.Errorf("argument %.20q: %d fields, want %d: %.80q", arg, len(fields), want, got)
		} else if a := strings.Join(fields[3:], "\x00"); a != arg {
			t.Errorf("argument %.20q came as %.20q", arg, a)
		}
	}
}

// TestBackgroundDecides: a job that was ever submitted in the background is done, whoever stays.
func TestBackgroundDecides(t *testing.T) {
	for _, order := range [][2]codec.Type{{codec.SubmitJob, codec.SubmitJobBg}, {codec.SubmitJobBg, codec.SubmitJob}} {
		r := newRig(t, perl())
		one, two, worker := r.connect(), r.connect(), r.worker("f")
		r.do(one, order[0], "f", "u", "x")
		r.do(two, order[1], "f", "u", "x")
		r.leave(one)
		r.leave(two)
		r.do(worker, codec.GrabJob)
		r.want(worker, "JOB_ASSIGN h1|f|x")
	}
}

// TestVanishedClients: a job that nobody wants is not handed out; one client that stays is enough.
func TestVanishedClients(t *testing.T) {
	r := newRig(t, perl())
	one, two, three, worker := r.connect(), r.connect(), r.connect(), r.worker("f", "g")
	r.submit(one, codec.SubmitJob, "f", "", "gone")
	r.submit(one, codec.SubmitJob, "f", "u", "both")
	r.submit(two, codec.SubmitJob, "f", "u", "both")
	r.submit(one, codec.SubmitJobHigh, "g", "", "gone")
	r.submit(three, codec.SubmitJob, "g", "", "there")
	r.leave(one)
	r.leave(three)
	r.do(two, codec.GetStatus, r.handle("h1"))
	r.want(two, "STATUS_RES h1|1|0||") // it is still known
	r.do(worker, codec.GrabJob)        // g has nothing any more
	r.want(worker, "JOB_ASSIGN h2|f|both")
	r.do(worker, codec.GrabJob)
	r.want(worker, "NO_JOB")
	r.do(two, codec.GetStatus, r.handle("h1"))
	r.want(two, "STATUS_RES h1|0|0||")
	if c := r.s.Count(); c.Queued != 0 || c.Running != 1 {
		t.Errorf("%+v", c)
	}
	// A worker that goes to sleep beside such a job is woken: GRAB_JOB finds out whether anybody wants it.
	four := r.connect()
	r.submit(four, codec.SubmitJob, "f", "", "gone soon")
	r.leave(four)
	r.do(worker, codec.PreSleep)
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.PreSleep)
	r.want(worker, "NOOP", "NO_JOB")
}

// TestManyListeners: those that have gone make room.
func TestManyListeners(t *testing.T) {
	cfg := perl()
	cfg.MaxMemory = 1 << 20
	r := newRig(t, cfg)
	stays, worker := r.connect(), r.worker("f")
	r.submit(stays, codec.SubmitJob, "f", "u", "x")
	for range 1000 {
		p := r.connect()
		r.submit(p, codec.SubmitJob, "f", "u", "x")
		r.leave(p)
	}
	if c := r.s.Count(); c.Listeners > 16 {
		t.Errorf("%d listeners are kept, one is there", c.Listeners)
	}
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "y")
	r.want(stays, "WORK_COMPLETE h1|y")
}

// TestReduce: the reducer comes with JOB_ASSIGN_ALL only.
func TestReduce(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	for range 3 {
		r.submit(client, codec.SubmitReduceJob, "f", "", "sum", "", "x\x00y")
	}
	r.submit(client, codec.SubmitReduceJobBack, "f", "u", "sum", "unused", "")
	r.submit(client, codec.SubmitReduceJob, "f", "v", "", "", "z")
	r.submit(client, codec.SubmitJob, "f", "w", "z")
	for _, grab := range []codec.Type{codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.GrabJobAll, codec.GrabJobAll, codec.GrabJobAll} {
		r.do(worker, grab)
	}
	r.want(worker, "JOB_ASSIGN h1|f|x|y", "JOB_ASSIGN_UNIQ h2|f||x|y", "JOB_ASSIGN_ALL h3|f||sum|x|y",
		"JOB_ASSIGN_ALL h4|f|u|sum|", "JOB_ASSIGN_UNIQ h5|f|v|z", "JOB_ASSIGN_UNIQ h6|f|w|z")
}

// TestBorrowedArguments: nothing borrowed for a call is kept afterwards. (do overwrites it.)
func TestBorrowedArguments(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("function")
	r.do(worker, codec.SetClientID, "client-id")
	r.do(client, codec.SubmitReduceJob, "function", "unique", "reducer", "", "argument")
	r.do(worker, codec.GrabJobAll)
	r.want(worker, "JOB_ASSIGN_ALL h1|function|unique|reducer|argument")
	r.do(worker, codec.WorkStatus, r.handle("h1"), "1", "2")
	r.do(client, codec.GetStatusUnique, "unique")
	r.want(client, "JOB_CREATED h1", "WORK_STATUS h1|1|2", "STATUS_RES_UNIQUE unique|1|1|1|2|1")
	for _, p := range r.s.Peers() {
		if p.Peer == worker && (p.ClientID != "client-id" || p.Abilities.names()[0] != "function") {
			t.Errorf("%+v", p)
		}
	}
}

// TestPayloadReferences: every reference to a shared payload is released, for every end of a job.
func TestPayloadReferences(t *testing.T) {
	before, _ := payload.InUse()
	ends := map[string]func(r *rig, client, worker *Peer){
		"complete": func(r *rig, client, worker *Peer) {
			r.do(worker, codec.GrabJob)
			r.do(worker, codec.WorkComplete, r.handle("h1"), "")
		},
		"fail": func(r *rig, client, worker *Peer) {
			r.do(worker, codec.GrabJob)
			r.do(worker, codec.WorkFail, r.handle("h1"))
		},
		"worker lost": func(r *rig, client, worker *Peer) {
			r.do(worker, codec.GrabJob)
			r.leave(worker)
		},
		"client lost": func(r *rig, client, worker *Peer) {
			r.leave(client)
			r.do(worker, codec.GrabJob)
		},
		"time-out": func(r *rig, client, worker *Peer) {
			r.do(worker, codec.CanDoTimeout, "f", "1")
			r.do(worker, codec.GrabJob)
			r.at(2e9)
		},
		"evicted": func(r *rig, client, worker *Peer) {
			r.s.SetMaxQueue("f", bounds(1))
			r.do(client, codec.SubmitJob, "f", "", "small")
		},
		"joined": func(r *rig, client, worker *Peer) {
			submitShared(r, client)
			r.do(worker, codec.GrabJobUniq)
			r.do(worker, codec.WorkComplete, r.handle("h1"), "")
		},
		"refused": func(r *rig, client, worker *Peer) {
			r.s.SetMaxQueue("f", bounds(0))
			r.do(client, codec.SubmitJob, "f", "", "x")
			r.do(worker, codec.GrabJobAll)
			r.do(worker, codec.WorkComplete, r.handle("h1"), "")
			submitShared(r, client)
		},
	}
	for name, end := range ends {
		r := newRig(t, perl())
		client, worker := r.connect(), r.worker("f")
		submitShared(r, client)
		end(r, client, worker)
		if after, _ := payload.InUse(); after != before {
			t.Errorf("%s: %d payloads are still in use", name, after-before)
			before = after
		}
	}
}

// submitShared submits a job that comes as a payload.
func submitShared(r *rig, p *Peer) {
	text := "f\x00u\x00" + strings.Repeat("large", 1000)
	data := payload.New(len(text))
	data.Fill([]byte(text))
	var fx Effects
	r.s.Handle(p, codec.SubmitJob, payload.Of(data), r.now, &fx)
	data.Release()
	r.carry(&fx)
}

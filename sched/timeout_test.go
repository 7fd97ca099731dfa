package sched

import (
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

const second = time.Second

// TestTimeoutForms: the forms of CAN_DO_TIMEOUT, and which of several registrations counts.
func TestTimeoutForms(t *testing.T) {
	tests := []struct {
		declare [][]string
		fails   time.Duration // <0: never
	}{
		{[][]string{{"f"}}, -1},
		{[][]string{{"f", ""}}, -1},
		{[][]string{{"f", "0"}}, 0},
		{[][]string{{"f", "x"}}, 0},
		{[][]string{{"f", "-1"}}, 0},
		{[][]string{{"f", "0.25"}}, second / 4},
		{[][]string{{"f", "3"}, {"f", "5"}}, 5 * second},
		{[][]string{{"f", "3"}, {"f"}}, -1},
		{[][]string{{"f"}, {"f", "3"}}, 3 * second},
		{[][]string{{"f", "2", "junk"}}, 2 * second},
	}
	for _, tt := range tests {
		r := newRig(t, perl())
		client, worker := r.connect(), r.connect()
		for _, args := range tt.declare {
			r.do(worker, codec.CanDoTimeout, args...)
		}
		r.submit(client, codec.SubmitJob, "f", "", "")
		r.do(worker, codec.GrabJob)
		if tt.fails < 0 {
			r.at(1000 * time.Hour)
			r.want(client)
			continue
		}
		if tt.fails > 0 {
			r.at(tt.fails - 1)
			r.want(client)
		}
		r.at(tt.fails)
		if r.want(client, "WORK_FAIL h1"); t.Failed() {
			t.Fatalf("%q", tt.declare)
		}
	}
	// CAN_DO removes the limit for jobs handed out from then on.
	r := newRig(t, perl())
	client, worker := r.connect(), r.connect()
	r.do(worker, codec.CanDoTimeout, "f", "1")
	r.submit(client, codec.SubmitJob, "f", "", "")
	r.submit(client, codec.SubmitJob, "f", "", "")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.CanDo, "f")
	r.do(worker, codec.GrabJob)
	r.at(1000 * second)
	r.want(client, "WORK_FAIL h1")
}

// TestTimeoutCounts: a job that timed out counts as done, so that its worker is the first to be woken.
func TestTimeoutCounts(t *testing.T) {
	cfg := perl()
	cfg.Wakeup, cfg.WakeupDelay = 1, -1
	r := newRig(t, cfg)
	client := r.connect()
	others := r.sleepers(1, "f")
	w := r.connect()
	r.do(w, codec.CanDoTimeout, "f", "1")
	r.submit(client, codec.SubmitJob, "f", "", "")
	r.want(others[0], "NOOP")
	r.do(w, codec.GrabJob)
	r.do(others[0], codec.GrabJob)
	r.do(others[0], codec.PreSleep)
	r.at(second)
	r.do(w, codec.PreSleep)
	r.got[w], r.got[others[0]] = nil, nil
	r.submit(client, codec.SubmitJob, "f", "", "")
	r.want(w, "NOOP")
	r.want(others[0])
}

// TestLateBound: a worker is remembered to owe only so many results.
func TestLateBound(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.connect()
	r.do(worker, codec.CanDoTimeout, "f", "1")
	var handles []string
	for range maxLate + 1 {
		var fx Effects
		r.s.Handle(client, codec.SubmitJobBg, payload.Borrow([]byte("f\x00\x00")), r.now, &fx)
		handles = append(handles, string(fx.Args(&fx.Packets[0])))
		fx.Reset()
		r.s.Handle(worker, codec.GrabJob, payload.View{}, r.now, &fx)
		r.carry(&Effects{Timers: fx.Timers})
	}
	r.at(2 * second)
	if n := len(worker.late); n != maxLate {
		t.Fatalf("%d late results are remembered", n)
	}
	unknown := 0
	for _, h := range handles {
		r.do(worker, codec.WorkComplete, h, "")
		unknown += len(r.got[worker])
		r.got[worker] = nil
	}
	if unknown != 1 || len(worker.late) != 0 {
		t.Errorf("%d results are of unknown jobs, %d are still remembered", unknown, len(worker.late))
	}
}

// TestBinaryTimeout: some libraries send the seconds as a number of four bytes.
func TestBinaryTimeout(t *testing.T) {
	for limit, want := range map[string]time.Duration{
		"\x00\x00\x00\x05": 5 * second, "\x00\x00\x00\x00": 0, "\x00\x01\x00\x00": 65536 * second, "0005": 5 * second,
	} {
		r := newRig(t, perl())
		w := r.connect()
		r.do(w, codec.CanDoTimeout, "f", limit)
		if got := w.abilities[0].timeout; got != want {
			t.Errorf("%q: %v, want %v", limit, got, want)
		}
	}
}

// TestExceptionAlone: a worker that sent WORK_EXCEPTION and asks for more, or goes to sleep, has finished the
// job.
func TestExceptionAlone(t *testing.T) {
	for _, next := range []codec.Type{codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.PreSleep} {
		r := newRig(t, perl())
		client, worker := r.connect(), r.worker("f")
		r.do(client, codec.OptionReq, "exceptions")
		for range 3 {
			r.submit(client, codec.SubmitJob, "f", "", "")
			r.do(worker, codec.GrabJob)
		}
		r.got[client], r.got[worker] = nil, nil
		r.do(worker, codec.WorkException, r.handle("h1"), "a")
		r.do(worker, codec.WorkException, r.handle("h1"), "b")
		r.do(worker, codec.WorkException, r.handle("h3"), "c")
		r.do(worker, codec.WorkData, r.handle("h3"), "")
		r.want(client, "WORK_EXCEPTION h1|a", "WORK_EXCEPTION h1|b", "WORK_EXCEPTION h3|c", "WORK_DATA h3|")
		r.do(worker, codec.WorkFail, r.handle("h3")) // the word that was missing
		r.want(client, "WORK_FAIL h3")
		r.do(worker, next)
		r.want(client, "WORK_FAIL h1")
		r.got[worker] = nil
		r.do(worker, codec.WorkFail, r.handle("h1")) // late, and no harm
		r.do(worker, codec.WorkComplete, r.handle("h2"), "")
		r.want(worker)
		r.want(client, "WORK_COMPLETE h2|")
	}
}

// TestLimitOfC: what gearmand 1.1.20 does with CAN_DO_TIMEOUT: milliseconds, at least a second.
func TestLimitOfC(t *testing.T) {
	const ms, none, hangup = time.Millisecond, -1, -2
	for text, want := range map[string]time.Duration{
		"1": second, "5": second, "999": second, "1000": second, "1001": 1001 * ms, "1500": 1500 * ms, "2500": 2500 * ms,
		"1.5": second, "1500.9": 1500 * ms, "1e3": second, " 1500": 1500 * ms, "\n1500": 1500 * ms, "+1500": 1500 * ms,
		"1500x": 1500 * ms, "01500": 1500 * ms, "15\n00": second, "1500\x001": 1500 * ms, "00000000000000001500": 1500 * ms,
		"0": none, "-1": none, "-1500": none, "": none, "abc": none, "0x5dc": none, "x1500": none,
		"\x00\x00\x00\x05": none, "\x00\x00\x05\xdc": none, "\x00": none,
		"4294967296": 4294967296 * ms, "999999999999999": maxTimeout, "9223372036854775806": maxTimeout,
		"9223372036854775807": hangup, "9223372036854775808": hangup, "-9223372036854775808": hangup, "-9223372036854775807": none,
		"000000000000000001500": hangup, "99999999999999999999": hangup, "abcdefghijklmnopqrstu": hangup,
	} {
		r := newRig(t, Config{Dialect: dialect.C})
		w := r.connect()
		r.do(w, codec.CanDoTimeout, "f", text)
		if r.hangup != (want == hangup) {
			t.Errorf("%q: hangs up is %v", text, r.hangup)
		} else if !r.hangup && w.abilities[0].timeout != want {
			t.Errorf("%q: %v, want %v", text, w.abilities[0].timeout, want)
		}
	}
}

// TestSleepEndsLimits: in dialect c a worker that goes to sleep, and finds no job, may take any time for its
// jobs in hand; in perl the limit holds.
func TestSleepEndsLimits(t *testing.T) {
	for _, d := range []*dialect.Dialect{dialect.C, dialect.Perl} {
		for _, found := range []bool{false, true} {
			r := newRig(t, Config{Dialect: d, Wakeup: -1})
			client, worker := r.connect(), r.connect()
			for _, f := range []string{"f", "g"} {
				r.do(worker, codec.CanDoTimeout, f, "2")
				r.submit(client, codec.SubmitJobBg, f, "", "")
				r.do(worker, codec.GrabJob)
			}
			r.do(worker, codec.CanDo, "h")
			if found {
				r.submit(client, codec.SubmitJobBg, "h", "", "")
			}
			r.do(worker, codec.PreSleep)
			ends := d == dialect.C && !found
			if ends != (len(r.timers) == 0) {
				t.Errorf("%s, a job waits: %v: %d timers are set", d.Name, found, len(r.timers))
			}
			r.at(time.Minute)
			r.got[worker] = nil
			r.do(worker, codec.WorkComplete, r.handle("h1"), "")
			if answer := d == dialect.C && found; answer != (len(r.got[worker]) > 0) {
				t.Errorf("%s, a job waits: %v: the result was answered with %q", d.Name, found, r.got[worker])
			}
			// The next job has its limit again.
			if found {
				r.do(worker, codec.GrabJob)
			}
			r.submit(client, codec.SubmitJob, "f", "", "")
			r.got[worker] = nil
			r.do(worker, codec.GrabJob)
			if len(r.timers) == 0 {
				t.Errorf("%s, a job waits: %v: no timer for the next job", d.Name, found)
			}
		}
	}
}

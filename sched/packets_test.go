package sched

import (
	"fmt"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// submissions are all packets that submit a job, with the arguments between unique id and argument.
var submissions = map[codec.Type][]string{
	codec.SubmitJob: nil, codec.SubmitJobBg: nil, codec.SubmitJobHigh: nil, codec.SubmitJobHighBg: nil,
	codec.SubmitJobLow: nil, codec.SubmitJobLowBg: nil,
	codec.SubmitJobEpoch: {"4000000000"}, codec.SubmitJobSched: {"", "", "", "", ""},
	codec.SubmitReduceJob: {"r", ""}, codec.SubmitReduceJobBack: {"r", "unused"},
}

// TestMissingArguments: a submission with too few NULs is invalid; the error repeats its text.
func TestMissingArguments(t *testing.T) {
	for typ, more := range submissions {
		r := newRig(t, perl())
		p := r.connect()
		all := append(append([]string{"f", "u"}, more...), "argument")
		for n := 1; n < len(all); n++ {
			r.do(p, typ, all[:n]...)
			r.want(p, "ERROR invalid_args|No func/uniq header ["+strings.Join(all[:n], "|")+"].")
		}
		r.do(p, typ, "")
		r.want(p, "ERROR invalid_args|No func/uniq header [].")
		r.do(p, typ, append(append([]string{"", "u"}, more...), "argument")...)
		r.want(p, "ERROR invalid_args|No func/uniq header ["+strings.Join(append(append([]string{"", "u"}, more...), "argument"), "|")+"].")
		if c := r.s.Count(); c.Functions != 0 || c.Memory != 0 {
			t.Errorf("%v left %+v", typ, c)
		}
		r.do(p, typ, all...)
		r.want(p, "JOB_CREATED h1")
		r.do(p, typ, append(append([]string{"f", ""}, more...), "")...)
		r.want(p, "JOB_CREATED h2")
	}
}

// TestNewlines: the reference takes no line feed in a function or a unique id.
func TestNewlines(t *testing.T) {
	r := newRig(t, perl())
	p := r.connect()
	for _, args := range [][]string{{"f\n", "u", "x"}, {"f", "u\nv", "x"}, {"\n", "", ""}} {
		r.do(p, codec.SubmitJob, args...)
		r.want(p, "ERROR invalid_args|No func/uniq header ["+strings.Join(args, "|")+"].")
	}
	r.do(p, codec.SubmitJob, "f", "u", "a\nb\x00c\n")
	r.want(p, "JOB_CREATED h1")
}

// TestEchoedFault: an error repeats only the beginning of a long packet.
func TestEchoedFault(t *testing.T) {
	for _, n := range []int{MaxEcho - 1, MaxEcho, MaxEcho + 1, 100 * MaxEcho} {
		r := newRig(t, perl())
		p := r.connect()
		r.do(p, codec.SubmitJob, strings.Repeat("z", n))
		r.want(p, "ERROR invalid_args|No func/uniq header ["+strings.Repeat("z", min(n, MaxEcho))+"].")
	}
}

// TestLimits goes to each bound and one step over it.
func TestLimits(t *testing.T) {
	name := func(n int) string { return strings.Repeat("n", n) }
	tooLong := fmt.Sprintf("ERROR invalid_args|Function name is longer than %d bytes.", MaxFunction)
	r := newRig(t, perl())
	p := r.connect()
	for typ, more := range submissions {
		submit := func(function, unique string) {
			r.do(p, typ, append(append([]string{function, unique}, more...), "x")...)
		}
		submit(name(MaxFunction), "")
		submit("f", name(MaxUnique))
		if len(r.got[p]) != 2 || !strings.HasPrefix(r.got[p][0], "JOB_CREATED") || !strings.HasPrefix(r.got[p][1], "JOB_CREATED") {
			t.Errorf("%v: %.200q", typ, r.got[p])
		}
		r.got[p] = nil
		submit(name(MaxFunction+1), "")
		submit("f", name(MaxUnique+1))
		r.want(p, tooLong, fmt.Sprintf("ERROR invalid_args|Unique id is longer than %d bytes.", MaxUnique))
	}
	r.got[p] = nil
	r.do(p, codec.SubmitReduceJob, "f", "", name(MaxFunction), "", "x")
	r.do(p, codec.SubmitReduceJob, "f", "", name(MaxFunction+1), "", "x")
	if want := fmt.Sprintf("ERROR invalid_args|Name of the reducer is longer than %d bytes.", MaxFunction); len(r.got[p]) != 2 || r.got[p][1] != want {
		t.Errorf("%.200q", r.got[p])
	}
	r.got[p] = nil

	w := r.connect()
	r.do(w, codec.CanDo, name(MaxFunction))
	r.do(w, codec.CanDoTimeout, name(MaxFunction)[1:], "1")
	r.want(w)
	r.do(w, codec.CanDo, name(MaxFunction+1))
	r.do(w, codec.CanDoTimeout, name(MaxFunction+1), "1")
	r.want(w, tooLong, tooLong)
	r.do(w, codec.CantDo, name(MaxFunction+1)) // there is none
	r.want(w)
	if len(w.abilities) != 2 {
		t.Errorf("%d abilities", len(w.abilities))
	}

	// A worker can do so many functions.
	many := r.connect()
	for i := range MaxAbilities + 1 {
		var fx Effects
		r.s.Handle(many, codec.CanDo, payload.Borrow(fmt.Appendf(nil, "many%d", i)), r.now, &fx)
		if full := i == MaxAbilities; full != (len(fx.Packets) > 0) {
			t.Fatalf("ability %d: %d packets", i+1, len(fx.Packets))
		} else if full {
			r.carry(&fx)
		}
	}
	r.want(many, fmt.Sprintf("ERROR server_error|A worker can do %d functions at most.", MaxAbilities))
	r.do(many, codec.CanDoTimeout, "many0", "1") // it can do it already
	r.do(many, codec.CantDo, "many1")
	r.do(many, codec.CanDo, "another")
	r.want(many)
	r.leave(many)

	// Of a long number only so much is kept; what is relayed is not cut.
	r.do(w, codec.CanDo, "status")
	h := r.submit(p, codec.SubmitJob, "status", "", "x")
	r.do(w, codec.ResetAbilities)
	r.do(w, codec.CanDo, "status")
	r.do(w, codec.GrabJob)
	long := name(MaxStatusNumber + 1)
	r.do(w, codec.WorkStatus, h, long, long)
	r.do(p, codec.GetStatus, h)
	n := r.names[h]
	r.want(p, "WORK_STATUS "+n+"|"+long+"|"+long, "STATUS_RES "+n+"|1|1|"+long[1:]+"|"+long[1:])
}

// TestNoSuchTime: a delay that can't be understood.
func TestNoSuchTime(t *testing.T) {
	r := newRig(t, perl())
	p := r.connect()
	r.do(p, codec.SubmitJobEpoch, "f", "", "soon", "x")
	r.do(p, codec.SubmitJobSched, "f", "", "60", "", "", "", "", "x")
	r.do(p, codec.SubmitJobSched, "f", "", "", "", "31", "2", "", "x")
	for range 3 {
		r.got[p] = append(r.got[p][1:], r.got[p][0])
	}
	r.want(p, "ERROR invalid_args|No such time.", "ERROR invalid_args|No such time.", "ERROR invalid_args|No such time.")
}

// TestUnknownPackets: numbers that the protocol does not have, or has for the other direction.
func TestUnknownPackets(t *testing.T) {
	r := newRig(t, perl())
	p := r.connect()
	for _, typ := range []codec.Type{
		0, 5, 43, 99, 1 << 31, 1<<32 - 1, codec.Noop, codec.JobCreated, codec.NoJob, codec.JobAssign, codec.EchoRes, codec.Error,
		codec.StatusRes, codec.OptionRes, codec.JobAssignUniq, codec.JobAssignAll, codec.StatusResUnique,
	} {
		r.do(p, typ, "data")
		r.want(p, fmt.Sprintf("ERROR server_error|Unknown packet type %d.", uint32(typ)))
		if r.hangup {
			t.Errorf("%v: hung up", typ)
		}
	}
}

// TestHangup: where the dialect has it so, the connection is closed without an answer.
func TestHangup(t *testing.T) {
	cfg := perl()
	d := *dialect.Perl
	d.MissingArgs, d.UnknownPacket, d.EmptyFunction, d.NewlineInName = dialect.Hangup, dialect.Hangup, dialect.Accept, dialect.Accept
	cfg.Dialect = &d
	r := newRig(t, cfg)
	p := r.connect()
	for typ, args := range map[codec.Type][]string{codec.SubmitJob: {"f", "u"}, 99: {""}, codec.SubmitJobEpoch: {"f", "u", "1"}} {
		r.do(p, typ, args...)
		r.want(p)
		if !r.hangup {
			t.Errorf("%v: did not hang up", typ)
		}
	}
	r.do(p, codec.SubmitJob, "", "u", "x")
	r.do(p, codec.SubmitJob, "f\n", "u\n", "x")
	r.want(p, "JOB_CREATED h1", "JOB_CREATED h2")
	if r.hangup {
		t.Error("hung up")
	}
}

// TestOptions: there is one option, and only listeners with it get exceptions.
func TestOptions(t *testing.T) {
	r := newRig(t, perl())
	with, without, worker := r.connect(), r.connect(), r.worker("f")
	r.do(with, codec.OptionReq, "exceptions")
	r.want(with, "OPTION_RES exceptions")
	for _, other := range []string{"", "exception", "Exceptions", "exceptions\x00", "exceptions "} {
		r.do(without, codec.OptionReq, other)
		r.want(without, "ERROR unknown_option|")
	}
	h := r.submit(with, codec.SubmitJob, "f", "u", "x")
	r.submit(without, codec.SubmitJob, "f", "u", "x")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkException, h, "oh\x00no")
	r.do(worker, codec.WorkFail, h)
	r.want(with, "WORK_EXCEPTION h1|oh|no", "WORK_FAIL h1")
	r.want(without, "WORK_FAIL h1")

	cfg := perl()
	cfg.Exceptions = true
	r = newRig(t, cfg)
	client, worker := r.connect(), r.worker("f")
	r.submit(client, codec.SubmitJob, "f", "", "")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkException, r.handle("h1"), "")
	r.want(client, "WORK_EXCEPTION h1|")
}

// TestEcho: any data come back.
func TestEcho(t *testing.T) {
	r := newRig(t, perl())
	p := r.connect()
	for _, data := range []string{"", "x", "a\x00b", "\x00"} {
		r.do(p, codec.EchoReq, data)
		r.want(p, strings.TrimSuffix("ECHO_RES "+strings.ReplaceAll(data, "\x00", "|"), " "))
	}
	large := payload.New(1 << 20)
	large.Fill([]byte(strings.Repeat("e", 1<<20)))
	var fx Effects
	r.s.Handle(p, codec.EchoReq, payload.Of(large), r.now, &fx)
	large.Release()
	r.carry(&fx)
	if got := r.got[p]; len(got) != 1 || got[0] != "ECHO_RES "+strings.Repeat("e", 1<<20) {
		t.Error("a large echo did not come back")
	}
}

// TestRelay: every kind of news reaches every listener unchanged, and nobody for a background job.
func TestRelay(t *testing.T) {
	r := newRig(t, perl())
	one, two, worker := r.connect(), r.connect(), r.worker("f")
	h := r.submit(one, codec.SubmitJob, "f", "u", "x")
	r.submit(two, codec.SubmitJobBg, "f", "u", "x")
	r.do(worker, codec.GrabJob)
	large := strings.Repeat("large", 100_000)
	for _, typ := range []codec.Type{codec.WorkData, codec.WorkWarning, codec.WorkComplete} {
		data := h + "\x00" + large
		whole := payload.New(len(data))
		whole.Fill([]byte(data))
		var fx Effects
		r.s.Handle(worker, typ, payload.Of(whole), r.now, &fx)
		whole.Release()
		r.carry(&fx)
		r.want(one, typ.String()+" h1|"+large)
	}
	r.want(two)
}

// TestManyAbilities: many are looked up by name, without any other difference.
func TestManyAbilities(t *testing.T) {
	r := newRig(t, perl())
	client, w := r.connect(), r.connect()
	var all []string
	for i := range 3 * manyAbilities {
		all = append(all, fmt.Sprintf("f%d", i))
		r.do(w, codec.CanDo, all[i])
		r.do(w, codec.CanDo, all[i/2]) // again
	}
	for i := 0; i < len(all); i += 2 {
		r.do(w, codec.CantDo, all[i])
		r.do(w, codec.CantDo, all[i])
	}
	if got := r.s.Peers()[1].Abilities.names(); len(got) != len(all)/2 || got[0] != "f1" || got[1] != "f3" {
		t.Errorf("%q", got)
	}
	r.do(w, codec.PreSleep)
	r.submit(client, codec.SubmitJobBg, "f0", "", "")
	r.want(w)
	r.submit(client, codec.SubmitJobBg, "f47", "", "")
	r.want(w, "NOOP")
	r.do(w, codec.GrabJob)
	r.want(w, "JOB_ASSIGN h2|f47|")
	r.do(w, codec.ResetAbilities)
	r.do(w, codec.CanDo, "f0")
	r.do(w, codec.GrabJob)
	r.want(w, "JOB_ASSIGN h1|f0|")
}

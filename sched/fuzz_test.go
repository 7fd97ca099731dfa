package sched

import (
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// script is how FuzzHandle reads its bytes: one action of a peer after the other.
//
//	0-199    a packet of type n%44: peer, length, data (see word)
//	200-209  the connection ends, and another begins: peer
//	210-224  time passes: hundredths of a second
//	225-229  time passes, or, with a store, it stores some jobs (even number) or refuses them (odd number), or an
//	         argument is read
//	230-233  a command, or an operator's act on jobs: which, function or handle
//	234-239  maxqueue: function, bound+1
//	240-255  a timer fires too early
type script struct {
	bytes   []byte
	handles []string
}

func (s *script) next() byte {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return b
}

var words = []string{
	"f", "g", "\x00", "u", "-", "H:t:", "4000000000", "0", "0.05", "exceptions", strings.Repeat("n", MaxFunction), strings.Repeat("z", 2000),
}

// word is the meaning of a byte of data: some stand for a useful word, a few for an issued handle, the others
// for themselves.
func (s *script) word(b byte) string {
	switch {
	case int(b) < len(words):
		return words[b]
	case b < 32 && len(s.handles) > 0:
		return s.handles[max(len(s.handles)-1-int(b-16), 0)]
	}
	return string(rune(b))
}

// FuzzHandle lets four peers send whatever the bytes say. Nothing may panic, the invariants must hold, and
// nothing may be left when all have gone and everything is done.
func FuzzHandle(f *testing.F) {
	const f0, g0, nul, u, dash, h = 0, 1, 2, 3, 4, 16
	packet := func(t codec.Type, peer byte, data ...byte) []byte {
		return append([]byte{byte(t), peer, byte(len(data))}, data...)
	}
	leave := func(peer byte) []byte { return []byte{200, peer} }
	wait := func(hundredths byte) []byte { return []byte{210, hundredths} }
	add := func(parts ...[]byte) {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		f.Add(all)
	}
	job := []byte{f0, nul, u, nul, 'x'}
	add(packet(codec.SubmitJob, 0, job...), packet(codec.CanDo, 1, f0), packet(codec.GrabJob, 1), packet(codec.WorkComplete, 1, h, nul, 'y'))
	add(packet(codec.CanDoTimeout, 1, f0, nul, 8), packet(codec.PreSleep, 1), packet(codec.SubmitJobHigh, 0, job...), packet(codec.GrabJobUniq, 1),
		wait(10), packet(codec.WorkFail, 1, h), wait(100))
	add(packet(codec.AllYours, 2), packet(codec.CanDo, 2, g0), packet(codec.SubmitJobBg, 0, g0, nul, dash, nul, 'x'), leave(2), leave(0))
	add(packet(codec.SubmitJobEpoch, 0, f0, nul, nul, 6, nul, 'x'), packet(codec.CanDo, 1, f0), packet(codec.PreSleep, 1), []byte{240}, []byte{241, 0})
	add([]byte{230, f0, 2}, packet(codec.SubmitJobLow, 0, job...), packet(codec.SubmitReduceJob, 0, f0, nul, nul, 'r', nul, 'x'), packet(codec.GetStatus, 3, h),
		packet(codec.GetStatusUnique, 3, u), []byte{230, f0, 0})
	add(packet(codec.OptionReq, 0, 9), packet(codec.SubmitJob, 0, job...), packet(codec.SubmitJob, 3, job...), packet(codec.CanDo, 1, f0),
		packet(codec.GrabJobAll, 1),
		packet(codec.WorkStatus, 1, h, nul, '1', nul, '2'), packet(codec.WorkException, 1, h, nul, 'e'), packet(codec.ResetAbilities, 1), leave(1))
	add(packet(codec.SubmitJobSched, 0, f0, nul, nul, '3', nul, nul, nul, nul, nul, 'x'), packet(codec.CantDo, 1, f0), packet(codec.EchoReq, 1, 11),
		packet(codec.SetClientID, 1, ' ', 'w'), packet(43, 1), packet(codec.CanDo, 1, 10, 10))

	f.Fuzz(func(t *testing.T, data []byte) {
		before, _ := payload.InUse()
		in := script{bytes: data}
		cfg := perl()
		if len(data)%3 == 1 {
			cfg.MaxMemory = 20_000
		}
		cfg.Wakeup = len(data)%4 - 1
		if len(data)%5 > 2 {
			cfg.Dialect = dialect.C
			cfg.Assign = dialect.Assign(len(data) % 7 % 5)
		}
		r := newRig(t, cfg)
		if len(data)%7 > 3 {
			r.attach(newFakeStore())
		}
		var peers [4]*Peer
		for i := range peers {
			peers[i] = r.connect()
		}
		for steps := 0; len(in.bytes) > 0 && steps < 500; steps++ {
			switch op := in.next(); {
			case op < 200:
				p := peers[in.next()%4]
				n := min(int(in.next()), len(in.bytes))
				var text strings.Builder
				for range n {
					text.WriteString(in.word(in.next()))
				}
				r.sends(p, codec.Type(op%44), text.String(), op >= 100)
				in.remember(r, p)
			case op < 210:
				i := in.next() % 4
				r.leave(peers[i])
				peers[i] = r.connect()
			case op >= 225 && op < 230 && r.store != nil:
				r.storeDoes(in.next())
			case op < 230:
				r.at(r.now.Sub(start) + time.Duration(in.next())*10*time.Millisecond)
			case op < 234:
				r.command(in.next(), in.word(in.next()))
			case op < 240:
				r.s.SetMaxQueue(in.word(in.next()), bounds(int(in.next()%6)-1))
				r.check()
			default:
				if timer := r.nextTimer(); timer != nil {
					r.fire(timer)
				}
			}
		}
		for _, p := range peers {
			r.leave(p)
		}
		r.finish()
		if after, _ := payload.InUse(); after != before {
			t.Errorf("%d payloads were not released", after-before)
		}
	})
}

// sends is do for data that are what they are; shared says that they come as a payload.
func (r *rig) sends(p *Peer, t codec.Type, data string, shared bool) {
	if !shared {
		r.do(p, t, strings.Split(data, "\x00")...)
		return
	}
	r.noteDeaf(p, t, data)
	whole := payload.New(len(data))
	whole.Fill([]byte(data))
	var fx Effects
	r.s.Handle(p, t, payload.Of(whole), r.now, &fx)
	r.carry(&fx)
	whole.Release()
}

// storeDoes makes the store do one of its pending actions.
func (r *rig) storeDoes(b byte) {
	fault := error(nil)
	if b%2 == 1 {
		fault = errDisk
	}
	switch {
	case b < 20:
		r.store.refuse = fault
	case b < 60 && len(r.fetches) > 0:
		r.fetch(fault)
	default:
		r.receive(1+int(b)%5, fault)
	}
}

// drainStore makes the store do all of its pending actions.
func (r *rig) drainStore() {
	if r.store == nil {
		return
	}
	r.receive(-1, nil)
	for len(r.fetches) > 0 {
		r.fetch(nil)
	}
}

// command gives one of the commands that change functions or jobs.
func (r *rig) command(which byte, what string) {
	var fx Effects
	set := Setting{By: "x", Since: r.now}
	if which%2 == 1 {
		set.Until = r.now.Add(time.Duration(which) * 10 * time.Millisecond)
	}
	switch {
	case which >= 224:
		for walk := r.s.Bulk(Act(which%acts), Meant{Function: what}); walk.Next(r.now, &fx); {
			r.carry(&fx)
		}
	case which >= 160:
		r.s.Do(Act(which%acts), what, r.now, &fx)
	}
	switch which % 7 {
	case 3:
		r.s.PauseFunction(what, set, r.now, &fx)
	case 4:
		r.s.ResumeFunction(what, r.now, &fx)
	case 5:
		r.s.CloseFunction(what, set, r.now, &fx)
	case 6:
		r.s.OpenFunction(what, &fx)
	case 0:
		r.s.Cancel(what, r.now, &fx)
	case 1:
		r.s.CreateFunction(what)
	case 2:
		r.s.DropFunction(what, r.now, &fx)
	}
	r.carry(&fx)
	r.check()
}

// remember records the handles that a peer got.
func (s *script) remember(r *rig, p *Peer) {
	for _, text := range r.got[p] {
		if name, ok := strings.CutPrefix(text, "JOB_CREATED "); ok {
			s.handles = append(s.handles, r.handle(name))
		}
	}
	r.got[p] = nil
}

// finish does everything that is left after all peers have gone.
func (r *rig) finish() {
	r.Helper()
	for i := range r.s.shards {
		for name := range r.s.shards[i].functions {
			r.s.SetMaxQueue(name, bounds(-1))
		}
	}
	for _, f := range r.s.Settings() {
		r.command(4, f.Function)
		r.command(6, f.Function)
	}
	r.drainStore()
	r.until(time.Unix(1<<40+1, 0)) // when even the last delayed job is due
	r.s.policy.losses = 1          // a job that is lost now is not wanted back
	for len(r.s.Jobs()) > 0 {
		left := len(r.s.Jobs())
		w := r.worker()
		r.do(w, codec.CanDo, r.s.Jobs()[0].Function)
		for range left {
			r.do(w, codec.GrabJob)
		}
		r.drainStore()
		r.leave(w)
		if len(r.s.Jobs()) == left {
			r.Fatalf("%d jobs are left, and nobody can have them", left)
		}
	}
	for _, f := range r.s.Functions() {
		r.command(2, f.Name)
	}
	if r.store != nil && len(r.store.living()) > 0 {
		r.Fatalf("%d jobs stay in the store", len(r.store.living()))
	}
	if c := r.s.Count(); c != (Counts{}) {
		r.Fatalf("not all is gone: %+v", c)
	}
}

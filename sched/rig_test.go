package sched

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/test/sample"
)

// start is when the clock of a test begins.
var start = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// rig is a scheduler driven from one goroutine: it carries out Effects at once, keeps the time, and checks
// the invariants after each call; in a sample, after one of eight.
type rig struct {
	testing.TB
	s      *Sched
	now    time.Time
	timers map[*Timer]time.Time
	got    map[*Peer][]string
	names  map[string]string // of handles, as tests call them
	deaf   map[*Peer]map[string]bool
	hangup bool           // of the last call
	busy   map[*Peer]bool // in a call that has to be made again

	store   *fakeStore // nil: none
	fetches []Fetch    // to be carried out
	fans    []*Fan     // the same
	waits   int        // workers wait for so many of them
	// holdFans has fans wait for the test.
	holdFans bool
	owed     map[*Peer]map[uint32]bool // places that are still empty

	unchecked bool // the next effects are carried out without a check
	carried   int  // how often effects were carried out
}

// newRig returns a rig; what is not in cfg is as the dialect perl has it, but without a
// handle prefix worth reading.
func newRig(t testing.TB, cfg Config) *rig {
	if cfg.Dialect == nil {
		cfg.Dialect = dialect.Perl
	}
	if cfg.HandlePrefix == "" {
		cfg.HandlePrefix = "H:t"
	}
	cfg.Start = start
	r := &rig{
		TB: t, s: New(cfg), now: start, timers: map[*Timer]time.Time{},
		got: map[*Peer][]string{}, names: map[string]string{}, deaf: map[*Peer]map[string]bool{},
	}
	return r
}

// perl is a Config as the dialect perl is run.
func perl() Config {
	return Config{Dialect: dialect.Perl, HandlePrefix: "H:t", Wakeup: 3, WakeupDelay: 100 * time.Millisecond}
}

func (r *rig) connect() *Peer {
	p := &Peer{FD: len(r.got) + 3}
	r.s.Connect(p)
	r.got[p] = nil
	return p
}

// worker connects a peer that can do functions.
func (r *rig) worker(functions ...string) *Peer {
	p := r.connect()
	for _, f := range functions {
		r.do(p, codec.CanDo, f)
	}
	return p
}

// do has a peer send a packet.
func (r *rig) do(p *Peer, t codec.Type, args ...string) {
	r.Helper()
	data := strings.Join(args, "\x00")
	r.noteDeaf(p, t, data)
	b := []byte(data)
	var fx Effects
	for again, state := true, any(nil); again; {
		fx.State = state
		r.s.Handle(p, t, payload.Borrow(b), r.now, &fx)
		again, state = fx.Again, fx.State
		r.carry(&fx)
	}
	clear(b) // nothing may hold on to what was only borrowed
}

// noteDeaf records that a peer registers a function in its sleep, or goes to sleep again.
func (r *rig) noteDeaf(p *Peer, t codec.Type, data string) {
	if (t == codec.CanDo || t == codec.CanDoTimeout) && !r.s.dialect.AbilityHears {
		name := data
		if t == codec.CanDoTimeout {
			name, _, _ = strings.Cut(data, "\x00")
		}
		if p.state.Load() == sleeping && p.ability([]byte(name)) == nil {
			if r.deaf[p] == nil {
				r.deaf[p] = map[string]bool{}
			}
			r.deaf[p][name] = true
		}
	}
	if t == codec.PreSleep {
		r.deaf[p] = nil
	}
}

func (r *rig) leave(p *Peer) {
	r.Helper()
	var fx Effects
	for again, turn := true, 1; again; turn++ {
		r.s.Disconnect(p, r.now, &fx)
		if again = fx.Again; again {
			r.busy = map[*Peer]bool{p: true}
		} else {
			r.busy = nil
		}
		// A worker with 100,000 functions leaves in 1,600 turns, and a check of them all costs more than a turn.
		r.unchecked = again && turn&(turn-1) != 0
		r.carry(&fx)
	}
}

// carry carries out effects.
func (r *rig) carry(fx *Effects) {
	r.Helper()
	r.hangup = fx.Hangup
	if fx.Hurry {
		r.s.Hurry()
	}
	for _, arm := range fx.Timers {
		if arm.At.IsZero() {
			delete(r.timers, arm.Timer)
		} else if at, set := r.timers[arm.Timer]; !set || arm.At.Before(at) {
			r.timers[arm.Timer] = arm.At
		}
	}
	var push []*Peer
	for i := range fx.Packets {
		pk := &fx.Packets[i]
		if pk.Type == codec.Noop && pk.To.Push() {
			push = append(push, pk.To)
			continue
		}
		data := string(pk.Body.Append(append([]byte(nil), fx.Args(pk)...)))
		pk.Body.Release()
		r.arrive(pk, data)
	}
	r.fetches = append(r.fetches, fx.Fetches...)
	r.fans = append(r.fans, fx.Fans...)
	r.waits += fx.Waits - len(fx.Resume)
	fx.Reset()
	for !r.holdFans && len(r.fans) > 0 {
		r.fanOut()
	}
	for _, p := range push {
		for again := true; again; {
			r.s.Push(p, r.now, fx)
			again = fx.Again
			r.carry(fx)
		}
	}
	if r.carried++; !r.unchecked && r.carried%sample.Of(1, 8) == 0 {
		r.check()
	}
}

// fanOut has the first of the fans send to some.
func (r *rig) fanOut() {
	r.Helper()
	f := r.fans[0]
	r.fans = r.fans[1:]
	var fx Effects
	if r.s.FanOut(f, 20, &fx) {
		r.fans = append(r.fans, f)
	}
	r.carry(&fx)
}

// arrive puts a packet in its place; one that is still missing is shown by its ticket.
func (r *rig) arrive(pk *Packet, data string) {
	r.Helper()
	p, reserved := pk.To, "#"+strconv.Itoa(int(pk.Ticket))
	switch {
	case pk.Type == Reserve:
		if r.owed == nil {
			r.owed = map[*Peer]map[uint32]bool{}
		}
		if r.owed[p] == nil {
			r.owed[p] = map[uint32]bool{}
		}
		if pk.Ticket == 0 || r.owed[p][pk.Ticket] {
			r.Fatalf("ticket %d is given twice", pk.Ticket)
		}
		r.owed[p][pk.Ticket] = true
		r.got[p] = append(r.got[p], reserved)
		return
	case pk.Ticket == 0:
		r.got[p] = append(r.got[p], r.show(pk.Type, data))
		return
	case !r.owed[p][pk.Ticket]:
		r.Fatalf("place %d of fd %d is filled twice", pk.Ticket, p.FD)
	}
	delete(r.owed[p], pk.Ticket)
	if i := slices.Index(r.got[p], reserved); i >= 0 {
		r.got[p][i] = r.show(pk.Type, data)
	} else {
		r.got[p] = append(r.got[p], r.show(pk.Type, data))
	}
}

// check goes through the invariants.
func (r *rig) check() {
	r.Helper()
	deaf := func(p *Peer, fn string) bool { return r.deaf[p][fn] }
	if err := r.s.checkInvariants(view{busy: r.busy, deaf: deaf, store: r.store}); err != nil {
		r.Fatalf("invariants: %v", err)
	}
}

// show writes a packet as tests read it: "JOB_ASSIGN h1|f|argument". Handles are named h1, h2 …
// in the order they are seen.
func (r *rig) show(t codec.Type, data string) string {
	args := strings.Split(data, "\x00")
	for i, a := range args {
		if number, ok := strings.CutPrefix(a, r.s.cfg.HandlePrefix+":"); ok && number != "" {
			if r.names[a] == "" {
				r.names[a] = "h" + strconv.Itoa(len(r.names)+1)
			}
			args[i] = r.names[a]
		}
	}
	if data == "" {
		return t.String()
	}
	return t.String() + " " + strings.Join(args, "|")
}

// handle returns the handle that a test calls name.
func (r *rig) handle(name string) string {
	r.Helper()
	for h, n := range r.names {
		if n == name {
			return h
		}
	}
	r.Fatalf("no handle %s", name)
	return ""
}

// want compares everything that a peer was sent since the last call.
func (r *rig) want(p *Peer, packets ...string) {
	r.Helper()
	if !slices.Equal(r.got[p], packets) {
		r.Fatalf("sent to fd %d:\n got %q\nwant %q", p.FD, r.got[p], packets)
	}
	r.got[p] = nil
}

// submit submits a job and returns its handle.
func (r *rig) submit(p *Peer, t codec.Type, args ...string) string {
	r.Helper()
	before := len(r.got[p])
	r.do(p, t, args...)
	for _, g := range r.got[p][before:] {
		if name, ok := strings.CutPrefix(g, "JOB_CREATED "); ok {
			r.got[p] = slices.DeleteFunc(r.got[p], func(s string) bool { return s == g })
			return r.handle(name)
		}
	}
	r.Fatalf("no JOB_CREATED but %q", r.got[p][before:])
	return ""
}

// at moves the clock to a time after the beginning and fires what is due on the way, in order.
func (r *rig) at(after time.Duration) {
	r.Helper()
	r.until(start.Add(after))
}

// until moves the clock and fires what is due on the way, in order.
func (r *rig) until(end time.Time) {
	r.Helper()
	for range 10_000 {
		next := r.nextTimer()
		if next == nil || r.timers[next].After(end) {
			r.now = end
			return
		}
		if at := r.timers[next]; at.After(r.now) {
			r.now = at
		}
		delete(r.timers, next)
		r.fire(next)
	}
	r.Fatal("timers fire for ever")
}

// nextTimer returns the timer that is due first, nil if none is set.
func (r *rig) nextTimer() (next *Timer) {
	for t, at := range r.timers {
		if next == nil || at.Before(r.timers[next]) {
			next = t
		}
	}
	return next
}

func (r *rig) fire(t *Timer) {
	r.Helper()
	var fx Effects
	r.s.Fire(t, r.now, &fx)
	r.carry(&fx)
}

// bounds is the same maxqueue for every priority.
func bounds(n int) [Priorities]int32 {
	return [Priorities]int32{int32(n), int32(n), int32(n)}
}

// all iterates over the jobs in no particular order. Jobs already returned may be removed during the
// iteration.
func (t *jobTable) all() iter.Seq[*job] {
	return func(yield func(*job) bool) {
		for _, p := range t.pages {
			for _, j := range p.jobs {
				if j != nil && !yield(j) {
					return
				}
			}
		}
	}
}

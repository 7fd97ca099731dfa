package sched

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// TestMachine makes calls one after the other. So the model can predict everything: who is woken in which
// order, which job is handed out, whose limit expires when.
func TestMachine(t *testing.T) {
	flag.Set("rapid.nofailfile", "true") // the tree is no place for them; the seed is told
	rapid.Check(t, func(t *rapid.T) {
		defer func() {
			if r := recover(); r != nil {
				if w, ok := r.(wrong); ok {
					t.Fatal(w.text)
				}
				panic(r)
			}
		}()
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"":         m.check,
			"connect":  func(*rapid.T) { m.connect() },
			"leave":    m.leave,
			"ability":  m.ability,
			"grab":     m.grab,
			"sleep":    m.sleep,
			"submit":   m.submit,
			"submit2":  m.submit, // more often
			"tell":     m.speak,
			"tell2":    m.speak,
			"ask":      m.ask,
			"maxqueue": m.maxQueue,
			"wait":     m.wait,
			"act":      m.act,
			"drop": func(t *rapid.T) {
				m.calls(nil, &call{kind: callDrop}, func(*Effects) { m.s.DropUnwanted(m.now) })
			},
		})
		m.wind()
	})
}

// machine is a scheduler with its model, driven from one goroutine.
type machine struct {
	s         *Sched
	m         *model
	now       time.Time
	timers    []Arm
	peers     []*modelPeer
	functions []string
	t         *rapid.T
}

func newMachine(t *rapid.T) *machine {
	m := &machine{now: start, t: t, functions: []string{"a", "b", "c"}}
	d := *dialect.Perl
	d.AbilityHears = rapid.Bool().Draw(t, "ability hears")
	cfg := Config{
		Dialect: &d, HandlePrefix: "H:m", KeepArguments: rapid.Bool().Draw(t, "keeps arguments"),
		Wakeup:      rapid.SampledFrom([]int{3, 1, 2, 0, -1}).Draw(t, "wakeup"),
		WakeupDelay: rapid.SampledFrom([]time.Duration{100 * time.Millisecond, -1}).Draw(t, "delay"),
	}
	if cfg.Wakeup != 0 {
		cfg.Herd = rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "herd")
	}
	m.s = New(cfg)
	m.m = newModel(m.s)
	m.m.lines = newLines(m.m)
	if rapid.IntRange(0, 9).Draw(t, "wide") == 0 {
		for i := range manyAbilities {
			m.functions = append(m.functions, fmt.Sprintf("more%d", i))
		}
	}
	if cfg.Herd > 0 {
		m.sleepers()
	}
	for range 4 {
		p := m.connect()
		for _, f := range m.functions {
			if rapid.Bool().Draw(t, "can do") {
				m.send(p, codec.CanDo, f)
			}
		}
	}
	return m
}

// sleepers has as many workers asleep as make a herd.
func (m *machine) sleepers() {
	for range 6 {
		p := m.connect()
		for _, f := range m.functions[:2] {
			m.send(p, codec.CanDo, f)
		}
		m.send(p, codec.PreSleep)
	}
}

func (m *machine) connect() *modelPeer {
	p := &Peer{FD: len(m.m.peers) + 3}
	m.s.Connect(p)
	mp := m.m.connect(p, fmt.Sprintf("peer%d", len(m.m.peers)+1))
	m.peers = append(m.peers, mp)
	return mp
}

// calls makes a call, compares it with the model, and carries its effects out.
func (m *machine) calls(p *modelPeer, c *call, f func(fx *Effects)) {
	var fx Effects
	c.by, c.now, c.fx = p, m.now, &fx
	m.m.begin(c)
	f(&fx)
	m.m.segment(c, true)
	for _, arm := range fx.Timers {
		m.timers = armed(m.timers, arm)
	}
	for i := range fx.Packets {
		pk := &fx.Packets[i]
		pk.Body.Release()
		if pk.Type == codec.Noop && pk.To.Push() {
			c := &call{kind: callPush}
			m.calls(m.m.byPeer[pk.To], c, func(fx *Effects) { m.s.Push(pk.To, m.now, fx) })
		}
	}
}

func (m *machine) send(p *modelPeer, t codec.Type, args ...string) {
	data := []byte(strings.Join(args, "\x00"))
	m.calls(p, &call{typ: t, args: args}, func(fx *Effects) {
		m.s.Handle(p.real, t, payload.Borrow(data), m.now, fx)
	})
	clear(data)
}

func (m *machine) check(*rapid.T) {
	deaf := func(p *Peer, f string) bool {
		a := m.m.byPeer[p].ability(f)
		return a == nil || !a.hears
	}
	if err := m.s.checkInvariants(view{deaf: deaf}); err != nil {
		failf("invariants: %v", err)
	}
}

func (m *machine) peer(t *rapid.T) *modelPeer {
	if len(m.peers) == 0 {
		return m.connect()
	}
	return rapid.SampledFrom(m.peers).Draw(t, "peer")
}

func (m *machine) function(t *rapid.T) string {
	return rapid.SampledFrom(m.functions).Draw(t, "function")
}

func (m *machine) disconnect(p *modelPeer) {
	m.calls(p, &call{kind: callDisconnect}, func(fx *Effects) { m.s.Disconnect(p.real, m.now, fx) })
	m.peers = slices.DeleteFunc(m.peers, func(o *modelPeer) bool { return o == p })
}

func (m *machine) leave(t *rapid.T) {
	if p := m.peer(t); rapid.IntRange(0, 2).Draw(t, "really") == 0 {
		m.disconnect(p)
	}
}

func (m *machine) ability(t *rapid.T) {
	p := m.peer(t)
	switch rapid.IntRange(0, 9).Draw(t, "how") {
	case 0:
		m.send(p, codec.CantDo, m.function(t))
	case 1:
		m.send(p, codec.ResetAbilities)
	case 2, 3:
		seconds := rapid.SampledFrom([]string{"", "0", "0.25", "1"}).Draw(t, "seconds")
		m.send(p, codec.CanDoTimeout, m.function(t), seconds)
	case 4:
		if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
			m.send(p, codec.AllYours)
		}
	default:
		m.send(p, codec.CanDo, m.function(t))
	}
}

func (m *machine) grab(t *rapid.T) {
	p := m.peer(t)
	types := []codec.Type{codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll}
	if !p.push {
		m.send(p, rapid.SampledFrom(types).Draw(t, "type"))
	}
}

func (m *machine) sleep(t *rapid.T) {
	if p := m.peer(t); !p.push {
		m.send(p, codec.PreSleep)
	}
}

func (m *machine) submit(t *rapid.T) {
	kind := rapid.SampledFrom([]codec.Type{
		codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobHigh, codec.SubmitJobHighBg, codec.SubmitJobLow,
		codec.SubmitJobLowBg, codec.SubmitJobEpoch, codec.SubmitReduceJob, codec.SubmitReduceJobBack,
	}).Draw(t, "type")
	args := []string{m.function(t), rapid.SampledFrom([]string{"", "", "", "u", "v", "-"}).Draw(t, "unique")}
	switch kind {
	case codec.SubmitReduceJob, codec.SubmitReduceJobBack:
		args = append(args, rapid.SampledFrom([]string{"", "r"}).Draw(t, "reducer"), "")
	case codec.SubmitJobEpoch:
		args = append(args, strconv.FormatInt(m.now.Unix()+rapid.Int64Range(-1, 3).Draw(t, "seconds"), 10))
	}
	args = append(args, rapid.SampledFrom([]string{"", "x", "u", "\x00", "x\x00y", strings.Repeat("l", 300)}).Draw(t, "argument"))
	m.send(m.peer(t), kind, args...)
}

// handle returns a random handle, possibly of one of the peer's jobs.
func (m *machine) handle(t *rapid.T, p *modelPeer) string {
	all := []string{"H:m:1", "H:m", "other"}
	for _, j := range m.m.jobs {
		if p == nil || j.worker == p && j.state == running {
			all = append(all, j.handle, j.handle, j.handle)
		}
	}
	if p != nil {
		for _, h := range slices.Sorted(keys(p.late)) {
			all = append(all, h, h)
		}
	}
	return rapid.SampledFrom(all).Draw(t, "handle")
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (m *machine) speak(t *rapid.T) {
	p := m.peer(t)
	var whose *modelPeer
	if rapid.IntRange(0, 5).Draw(t, "own") > 0 {
		whose = p
	}
	h := m.handle(t, whose)
	switch kind := rapid.SampledFrom([]codec.Type{
		codec.WorkComplete, codec.WorkComplete, codec.WorkFail, codec.WorkStatus, codec.WorkData, codec.WorkWarning, codec.WorkException,
	}).Draw(t, "type"); kind {
	case codec.WorkFail:
		m.send(p, kind, h)
	case codec.WorkStatus:
		m.send(p, kind, h, strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "numerator")), "9")
	default:
		m.send(p, kind, h, rapid.SampledFrom([]string{"", "result"}).Draw(t, "result"))
	}
}

func (m *machine) ask(t *rapid.T) {
	p := m.peer(t)
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		m.send(p, codec.GetStatus, m.handle(t, nil))
	case 1:
		m.send(p, codec.GetStatusUnique, rapid.SampledFrom([]string{"u", "v", "x", ""}).Draw(t, "unique"))
	case 2:
		m.send(p, codec.OptionReq, rapid.SampledFrom([]string{"exceptions", "others"}).Draw(t, "option"))
	case 3:
		m.send(p, codec.EchoReq, "echo")
	}
}

func (m *machine) maxQueue(t *rapid.T) {
	f, bound := m.function(t), rapid.IntRange(-1, 3).Draw(t, "bound")
	m.s.SetMaxQueue(f, bounds(bound))
	if m.m.bound[f] = bound; bound < 0 {
		delete(m.m.bound, f)
	}
}

// act applies a random act to a job. What a worker's goroutine must do for it is done at once; the simulation
// covers the rest.
func (m *machine) act(t *rapid.T) {
	act := Act(rapid.IntRange(0, acts-1).Draw(t, "act"))
	h := m.handle(t, nil)
	c := &call{kind: callAct, act: act, args: []string{h, act.String()}}
	m.calls(nil, c, func(fx *Effects) {
		changed, err := m.s.Do(act, h, m.now, fx)
		m.m.expect(c, m.m.byHandle(h), changed, err)
	})
	m.until(m.now)
}

// wait moves the clock and fires the timers that are due on the way.
func (m *machine) wait(t *rapid.T) {
	m.until(m.now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond))
}

func (m *machine) until(end time.Time) {
	for range 10_000 {
		next := -1
		for i, a := range m.timers {
			if !a.At.After(end) && (next < 0 || a.At.Before(m.timers[next].At)) {
				next = i
			}
		}
		if next < 0 {
			m.now = end
			for _, j := range m.m.jobs {
				if j.state == delayed && !j.due.After(m.now) || j.state == running && !j.deadline.IsZero() && !j.deadline.After(m.now) {
					failf("%s: its time has passed, and no timer was set", j.handle)
				}
			}
			return
		}
		a := m.timers[next]
		m.timers = slices.Delete(m.timers, next, next+1)
		if a.At.After(m.now) {
			m.now = a.At
		}
		c := &call{kind: callRelease, shard: a.Timer.shard}
		var p *modelPeer
		switch {
		case a.Timer.peer != nil && a.Timer.recalls:
			c.kind, p = callTell, m.m.byPeer[a.Timer.peer]
		case a.Timer.peer != nil:
			c.kind, p = callLimit, m.m.byPeer[a.Timer.peer]
		case a.Timer.fn != nil:
			c.kind, c.args, c.fn = callWake, []string{a.Timer.fn.name}, a.Timer.fn
		}
		m.calls(p, c, func(fx *Effects) { m.s.Fire(a.Timer, m.now, fx) })
	}
	failf("timers fire for ever")
}

// wind disconnects everybody and does everything. Nothing may be left then.
func (m *machine) wind() {
	for len(m.peers) > 0 {
		m.disconnect(m.peers[0])
	}
	for _, f := range m.functions {
		m.s.SetMaxQueue(f, bounds(-1))
	}
	m.until(m.now.Add(time.Minute))
	p := m.connect()
	for _, f := range m.functions {
		m.send(p, codec.CanDo, f)
	}
	for range len(m.m.jobs) + len(m.functions) {
		m.send(p, codec.GrabJob)
	}
	m.disconnect(p)
	if c := m.s.Count(); c != (Counts{}) {
		failf("not all is gone: %+v", c)
	}
	m.check(nil)
}

package sched

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// connect begins a new connection.
func (a *actor) connect() {
	a.fds++
	a.peer = &Peer{FD: a.fds}
	a.s.Connect(a.peer)
	a.model = a.m.connect(a.peer, fmt.Sprintf("%s/%d", a.name, a.fds))
	a.open, a.known, a.noop, a.jobs, a.owes, a.mailbox = map[string]int{}, nil, false, nil, nil, nil
}

// send sends a packet. Some arrive as a payload, as large ones do.
func (a *actor) send(t codec.Type, args ...string) *call {
	c := &call{typ: t, args: args}
	data := []byte(strings.Join(args, "\x00"))
	view := payload.Borrow(data)
	if a.rng.IntN(4) == 0 {
		whole := payload.New(len(data))
		whole.Fill(data)
		view = payload.Of(whole)
		defer whole.Release()
	}
	return a.calls(c, func(fx *Effects) { a.s.Handle(a.peer, t, view, c.now, fx) })
}

// vanish ends the connection.
func (a *actor) vanish() {
	c := &call{kind: callDisconnect}
	a.calls(c, func(fx *Effects) { a.s.Disconnect(a.peer, c.now, fx) })
	a.peer, a.model, a.mailbox = nil, nil, nil
}

// read takes in what has come from elsewhere.
func (a *actor) read() {
	for len(a.mailbox) > 0 {
		m := a.mailbox[0]
		a.mailbox = a.mailbox[1:]
		if m.timer != nil {
			if a.trace {
				a.logf("%s is told of its timer", a.name)
			}
			c := &call{kind: callLimit}
			if m.timer.recalls {
				c.kind = callTell
			}
			a.calls(c, func(fx *Effects) { a.s.Fire(m.timer, c.now, fx) })
			a.jobs = slices.DeleteFunc(a.jobs, func(h string) bool {
				if a.model.late[h] {
					a.owes = append(a.owes, h)
				}
				return a.model.late[h]
			})
			continue
		}
		a.receive(m.packet)
	}
}

// receive records what a peer gets. The model has checked that it may be sent; here it is about the order in
// which it arrives.
func (a *actor) receive(pk packet) {
	if a.trace {
		a.logf("%s hears %s", a.name, pk.text)
	}
	kind, rest, _ := strings.Cut(pk.text, " ")
	handle, _, _ := strings.Cut(rest, "|")
	switch kind {
	case "JOB_CREATED":
		a.known = append(a.known, handle)
	case "WORK_COMPLETE", "WORK_FAIL":
		if a.open[handle]--; a.open[handle] < 0 {
			failf("%s heard of the end of %s once too often, or before JOB_CREATED", a.name, handle)
		}
	case "WORK_STATUS", "WORK_DATA", "WORK_WARNING", "WORK_EXCEPTION":
		if a.open[handle] <= 0 {
			failf("%s heard %q before JOB_CREATED or after the end", a.name, pk.text)
		}
	case "JOB_ASSIGN", "JOB_ASSIGN_UNIQ", "JOB_ASSIGN_ALL":
		a.jobs = append(a.jobs, handle)
	case "NOOP":
		if a.noop = true; a.peer.Push() {
			a.noop = false
			c := &call{kind: callPush}
			a.calls(c, func(fx *Effects) { a.s.Push(a.peer, c.now, fx) })
		}
	}
}

// part is what an actor does.
type part struct {
	*actor
	functions []string
	both      bool // a worker that is a client, too
}

// ask is the part of a client: in each round it submits some jobs and asks about some, and possibly
// disconnects.
func (p *part) ask() {
	for round := 1; ; round++ {
		p.rest(func() bool { return p.round >= round })
		if p.peer == nil {
			p.connect()
			if p.rng.IntN(3) == 0 {
				p.send(codec.OptionReq, pick(p.rng, "exceptions", "exceptions", "other"))
			}
		}
		for range 1 + p.rng.IntN(8) {
			if p.rng.IntN(3) > 0 { // else several packets come at once
				p.read()
			}
			p.clientAct()
			if p.rng.IntN(4) == 0 {
				p.rest(nil)
			}
			if p.rng.IntN(16) == 0 {
				p.vanish()
				p.connect()
			}
		}
		if p.rng.IntN(5) == 0 {
			p.vanish()
			continue
		}
		for !p.finish && p.round == round {
			p.read()
			p.rest(func() bool { return len(p.mailbox) > 0 || p.finish || p.round > round })
		}
		if p.finish {
			p.vanish()
			return
		}
	}
}

// clientAct is one thing that a client does.
func (p *part) clientAct() {
	switch p.rng.IntN(12) {
	case 0:
		p.send(codec.GetStatus, p.someHandle())
	case 1:
		p.send(codec.GetStatusUnique, pick(p.rng, "u", "v", "none", "x"))
	case 2:
		p.send(codec.EchoReq, "hello")
	default:
		p.submit()
	}
}

func (p *part) someHandle() string {
	if len(p.known) > 0 && p.rng.IntN(4) > 0 {
		return p.known[p.rng.IntN(len(p.known))]
	}
	return pick(p.rng, "H:s:1", "H:s:01", "H:other:1", "", "H:s:"+strconv.Itoa(1+p.rng.IntN(300)))
}

// submit submits a job of a random kind.
func (p *part) submit() {
	f := p.functions[p.rng.IntN(len(p.functions))]
	unique := pick(p.rng, "", "", "", "u", "v", "-")
	arg := pick(p.rng, "", "x", "u", "some\x00more", strings.Repeat("long", 40))
	t := pick(p.rng, codec.SubmitJob, codec.SubmitJob, codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobBg,
		codec.SubmitJobHigh, codec.SubmitJobHighBg, codec.SubmitJobLow, codec.SubmitJobLowBg, codec.SubmitJobEpoch,
		codec.SubmitReduceJob, codec.SubmitReduceJobBack)
	args := []string{f, unique}
	switch t {
	case codec.SubmitReduceJob, codec.SubmitReduceJobBack:
		args = append(args, pick(p.rng, "", "r"), "")
	case codec.SubmitJobEpoch:
		args = append(args, pick(p.rng, "0", "soon", strconv.FormatInt(p.now.Unix()+int64(p.rng.IntN(4)), 10)))
	}
	p.send(t, append(args, arg)...)
}

// steer pauses or closes a function, or ends that.
func (p *part) steer(f string) {
	set := Setting{By: "admin", Since: p.now}
	if p.rng.IntN(3) == 0 {
		set.Until = p.now.Add(time.Duration(p.rng.IntN(2000)) * time.Millisecond)
	}
	c := &call{kind: callSet, args: []string{f}}
	put := func(how func(string, Setting, time.Time, *Effects) error, into map[string]time.Time) {
		p.calls(c, func(fx *Effects) {
			switch err := how(f, set, c.now, fx); {
			case err == nil:
				into[f] = set.Until
			case err == ErrPast && !set.Until.IsZero() && !set.Until.After(c.now):
			case err != errSettings || !p.m.mayRefuse(costFunction+len(f)):
				failf("%s: a setting was refused: %v", f, err)
			}
		})
	}
	switch p.rng.IntN(6) {
	case 0, 1:
		put(p.s.PauseFunction, p.m.paused)
	case 2:
		put(p.s.CloseFunction, p.m.closed)
	case 3:
		p.calls(c, func(fx *Effects) {
			if changed := p.s.OpenFunction(f, fx); changed != p.m.isClosed(f) {
				failf("%s: opened: %v, was closed: %v", f, changed, !changed)
			}
			delete(p.m.closed, f)
		})
	default:
		p.resume(f)
	}
}

func (a *actor) resume(f string) {
	c := &call{kind: callResume, args: []string{f}}
	a.calls(c, func(fx *Effects) {
		changed := a.s.ResumeFunction(f, c.now, fx)
		if changed != a.m.isPaused(f) {
			failf("%s: resumed: %v, was paused: %v", f, changed, !changed)
		}
		if changed {
			a.m.resumed(c, f)
		}
	})
}

// endSettings fires the timer of a function's settings.
func (a *actor) endSettings(t *Timer) {
	f := t.fn.name
	c := &call{kind: callEnd, args: []string{f}}
	over := func(until time.Time) bool { return !until.IsZero() && !until.After(c.now) }
	a.calls(c, func(fx *Effects) {
		a.s.Fire(t, c.now, fx)
		if a.m.isPaused(f) && over(a.m.paused[f]) {
			a.m.resumed(c, f)
		}
		if a.m.isClosed(f) && over(a.m.closed[f]) {
			delete(a.m.closed, f)
		}
		fn := a.s.shardOf([]byte(f)).functions[f]
		if paused, closed := fn != nil && fn.isPaused(), fn != nil && fn.isClosed(); paused != a.m.isPaused(f) || closed != a.m.isClosed(f) {
			failf("%s: paused: %v, closed: %v when the timer has fired", f, paused, closed)
		}
	})
}

// act does something with a job, rather with one for which that can be done.
func (p *part) act(act Act) {
	h := p.someHandle()
	for range 4 {
		if n := len(p.m.jobs); n > 0 {
			j := p.m.jobs[p.rng.IntN(n)]
			if h = j.handle; actStates[act].has(j.state) {
				break
			}
		}
	}
	c := &call{kind: callAct, act: act, args: []string{h, act.String()}}
	p.calls(c, func(fx *Effects) {
		changed, err := p.s.Do(act, h, c.now, fx)
		p.m.expect(c, p.m.byHandle(h), changed, err)
	})
}

// bulk does something with all jobs of a function, others in between.
func (p *part) bulk(f string, act Act) {
	c := &call{kind: callBulk, act: act, args: []string{f, act.String()}}
	walk := p.s.Bulk(act, Meant{AsOf: p.now, Function: f})
	p.calls(c, func(fx *Effects) {
		for more := true; more; {
			more = walk.Next(c.now, fx)
		}
	})
	if walk.Changed() > walk.Matched() {
		failf("%d were meant, %d changed", walk.Matched(), walk.Changed())
	}
}

// administrate is the part of somebody who looks around and changes bounds.
func (p *part) administrate() {
	for round := 1; ; round++ {
		for range 1 + p.rng.IntN(6) {
			p.rest(nil)
			f := p.functions[p.rng.IntN(len(p.functions))]
			switch p.rng.IntN(16) {
			case 12, 13, 14:
				p.act(Act(p.rng.IntN(acts)))
			case 15:
				p.bulk(f, pick(p.rng, CancelJob, ToHigh, ToNormal, ToLow))
			case 9, 10, 11:
				p.steer(f)
			case 0, 1:
				bound := p.rng.IntN(5) - 1
				c := &call{kind: callBound, args: []string{f, strconv.Itoa(bound)}}
				p.calls(c, func(*Effects) {
					if ok := p.s.SetMaxQueue(f, bounds(bound)); !ok && !p.m.mayRefuse(costFunction+len(f)) {
						failf("maxqueue was refused for no reason")
					} else if ok && bound >= 0 {
						p.m.bound[f] = bound
					} else if ok {
						delete(p.m.bound, f)
					}
				})
			case 5:
				p.calls(&call{kind: callDrop}, func(*Effects) { p.s.DropUnwanted(p.now) })
			case 2:
				p.calls(&call{kind: callLook}, func(*Effects) { p.s.Functions(); p.s.Jobs() })
			case 3:
				p.calls(&call{kind: callLook}, func(*Effects) { p.s.Peers(); p.s.Count() })
			case 4:
				p.calls(&call{kind: callLook}, func(*Effects) { p.s.Outstanding() })
			case 6, 7:
				if n := len(p.m.jobs); n > 0 {
					j := p.m.jobs[p.rng.IntN(n)]
					for range 4 { // rather one that runs
						if j.state != running {
							j = p.m.jobs[p.rng.IntN(n)]
						}
					}
					h := j.handle
					p.calls(&call{kind: callCancel, args: []string{h}}, func(fx *Effects) { p.s.Cancel(h, p.now, fx) })
				}
			case 8:
				c := &call{kind: callForget, args: []string{f}}
				p.calls(c, func(fx *Effects) {
					known, inUse := p.s.DropFunction(f, p.now, fx)
					if c.answered = known && !inUse; c.answered {
						delete(p.m.bound, f) // which goes with it
					}
				})
			}
		}
		p.rest(func() bool { return p.round > round && !p.finish })
	}
}

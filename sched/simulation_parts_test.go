package sched

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gearloop/codec"
	"gearloop/payload"
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
				a.logf("%s is told of its limit", a.name)
			}
			c := &call{kind: callLimit}
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

// receive keeps book of what a peer hears. That it is right to be sent the model has seen; here it is
// about the order in which it arrives.
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

// ask is the part of a client: in each round it submits some jobs and asks for some, and perhaps vanishes.
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
			p.read()
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
		args = append(args, pick(p.rng, "", "r"))
	case codec.SubmitJobEpoch:
		args = append(args, pick(p.rng, "0", "soon", strconv.FormatInt(p.now.Unix()+int64(p.rng.IntN(4)), 10)))
	}
	p.send(t, append(args, arg)...)
}

// work is the part of a worker.
func (p *part) work() {
	for {
		p.connect()
		again := p.serve(2 + p.rng.IntN(12))
		if p.peer != nil {
			p.vanish()
		}
		if !again {
			return
		}
	}
}

// serve is one connection of a worker. It does so many odd things and from then on nothing but its
// duty. It returns whether the worker comes again.
func (p *part) serve(oddities int) bool {
	push := p.rng.IntN(6) == 0
	if push && p.rng.IntN(2) == 0 {
		p.send(codec.AllYours)
	}
	if p.rng.IntN(2) == 0 && len(p.functions) > manyAbilities {
		for _, f := range p.functions {
			p.send(codec.CanDo, f)
		}
	}
	for range 1 + p.rng.IntN(4) {
		p.declare()
	}
	if push && !p.peer.Push() {
		p.send(codec.AllYours)
	}
	for {
		p.read()
		if p.finish && p.rng.IntN(3) == 0 {
			return false
		}
		if oddities > 0 && p.rng.IntN(2) == 0 {
			oddities--
			if p.odd() {
				return p.rng.IntN(2) == 0
			}
		}
		if p.perform(&oddities) {
			return p.rng.IntN(2) == 0
		}
		if p.finish {
			return false
		}
		if p.peer.Push() {
			p.rest(func() bool { return len(p.mailbox) > 0 || p.finish })
			continue
		}
		p.noop = false
		p.send(codec.PreSleep)
		for !p.noop && !p.finish {
			p.rest(func() bool { return len(p.mailbox) > 0 || p.finish })
			p.read()
			if oddities > 0 && p.rng.IntN(4) == 0 {
				oddities--
				break // some do not wait for the NOOP
			}
		}
	}
}

func (p *part) declare() {
	f := p.functions[p.rng.IntN(len(p.functions))]
	if p.rng.IntN(3) == 0 {
		p.send(codec.CanDoTimeout, f, pick(p.rng, "", "0", "0.05", "1", "2.5"))
		return
	}
	p.send(codec.CanDo, f)
}

// odd is one of the things that workers do now and then. It returns whether the connection has ended.
func (p *part) odd() bool {
	switch p.rng.IntN(10) {
	case 0:
		p.vanish()
		return true
	case 1:
		p.send(codec.ResetAbilities)
		for range 1 + p.rng.IntN(3) {
			p.declare()
		}
	case 2:
		p.send(codec.CantDo, p.functions[p.rng.IntN(len(p.functions))])
	case 3:
		p.declare()
	case 4:
		t := pick(p.rng, codec.WorkComplete, codec.WorkFail, codec.WorkData)
		args := []string{p.someHandle(), "stray"}
		if n := len(p.m.jobs); n > 0 && p.rng.IntN(2) == 0 {
			args[0] = p.m.jobs[p.rng.IntN(n)].handle // somebody else's, perhaps
		}
		if len(p.jobs) > 0 && slices.Contains(p.jobs, args[0]) {
			return false
		}
		if t == codec.WorkFail {
			args = args[:1]
		}
		if args[0] != "" {
			p.send(t, args...)
		}
	case 5:
		p.send(codec.SetClientID, "w")
	case 6:
		if !p.peer.Push() {
			p.send(codec.PreSleep)
		}
	case 7:
		p.rest(nil)
	default:
		if p.both {
			p.clientAct()
		}
	}
	return false
}

// perform asks for jobs until there are none and does them. It returns whether the connection has ended.
func (p *part) perform(oddities *int) bool {
	for {
		if !p.peer.Push() {
			before := len(p.jobs)
			p.send(pick(p.rng, codec.GrabJob, codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll))
			if len(p.jobs) <= before && len(p.jobs) == 0 && len(p.owes) == 0 {
				return false
			}
			if len(p.jobs) > before && *oddities > 0 && p.rng.IntN(3) == 0 {
				*oddities--
				continue // takes another one before it begins
			}
		}
		if len(p.jobs) == 0 && len(p.owes) == 0 {
			return false
		}
		for len(p.jobs) > 0 || len(p.owes) > 0 {
			if *oddities > 0 && p.rng.IntN(12) == 0 {
				*oddities--
				p.vanish()
				return true
			}
			p.tell(oddities)
		}
	}
}

// tell says something of one of the jobs that are being done, in the end that it is done.
func (p *part) tell(oddities *int) {
	h := ""
	if n := len(p.jobs) + len(p.owes); n > 0 {
		h = append(slices.Clone(p.jobs), p.owes...)[p.rng.IntN(n)]
	}
	limited := slices.ContainsFunc(p.m.jobs, func(j *modelJob) bool { return j.handle == h && !j.deadline.IsZero() })
	switch p.rng.IntN(10) {
	case 0:
		p.send(codec.WorkStatus, h, strconv.Itoa(p.rng.IntN(9)), "9")
	case 1:
		p.send(pick(p.rng, codec.WorkData, codec.WorkWarning), h, "news")
	case 2:
		p.send(codec.WorkException, h, "oh")
		if !p.peer.Push() && p.rng.IntN(2) == 0 {
			p.ends(h) // and no word more, as some libraries do it
		}
	case 3:
		if limited && *oddities > 0 {
			*oddities--
			p.rest(func() bool { return len(p.mailbox) > 0 }) // until its time is up
		}
	case 4, 5:
		p.ends(h)
		p.send(codec.WorkFail, h)
	default:
		p.ends(h)
		p.send(codec.WorkComplete, h, "done")
	}
	p.read()
}

// ends takes a job off the worker's own list; it may be among those it was just too late for.
func (p *part) ends(handle string) {
	is := func(h string) bool { return h == handle }
	p.jobs, p.owes = slices.DeleteFunc(p.jobs, is), slices.DeleteFunc(p.owes, is)
}

// administrate is the part of somebody who looks around and changes bounds.
func (p *part) administrate() {
	for round := 1; ; round++ {
		for range 1 + p.rng.IntN(6) {
			p.rest(nil)
			f := p.functions[p.rng.IntN(len(p.functions))]
			switch p.rng.IntN(5) {
			case 0, 1:
				bound := p.rng.IntN(5) - 1
				c := &call{kind: callBound, args: []string{f, strconv.Itoa(bound)}}
				p.calls(c, func(*Effects) {
					if ok := p.s.SetMaxQueue(f, bound); !ok && !p.m.mayRefuse(costFunction+len(f)) {
						failf("maxqueue was refused for no reason")
					} else if ok && bound >= 0 {
						p.m.bound[f] = bound
					} else if ok {
						delete(p.m.bound, f)
					}
				})
			case 2:
				p.calls(&call{kind: callLook}, func(*Effects) { p.s.Functions(); p.s.Jobs() })
			case 3:
				p.calls(&call{kind: callLook}, func(*Effects) { p.s.Peers(); p.s.Count() })
			case 4:
				p.calls(&call{kind: callLook}, func(*Effects) { p.s.Outstanding() })
			}
		}
		p.rest(func() bool { return p.round > round && !p.finish })
	}
}

// atRest is called when nobody has anything to do: nothing may be left undone.
func (m *sim) atRest() {
	m.checkNow(1)
	cfg := &m.s.cfg
	for _, j := range m.m.jobs {
		switch {
		case j.state == queued && j.wanted() && cfg.Wakeup != 0 && cfg.WakeupDelay >= 0:
			if all := m.m.asleep(j.function); len(all) > 0 {
				failf("%s of %s waits, and %s sleeps", j.handle, j.function, all[0].name)
			}
		case j.state == running && !j.deadline.IsZero(), j.state == delayed:
			failf("%s was to be ended or queued by a timer, and none is set", j.handle)
		}
	}
	for i := range m.s.shards {
		for _, fn := range m.s.shards[i].functions {
			if fn.wakeArmed {
				failf("%s: more are to be woken, and no timer is set", fn.name)
			}
		}
	}
	for _, a := range m.actors {
		if a.peer == nil {
			continue
		}
		left := map[string]int{}
		for _, j := range m.m.jobs {
			for _, p := range j.listeners {
				if p == a.model {
					left[j.handle]++
				}
			}
		}
		for h, n := range a.open {
			if left[h] != n {
				failf("%s waits for %d ends of %s, there are %d to come", a.name, n, h, left[h])
			}
		}
	}
}

// drain has everything done that is left, and then nothing may be left.
func (m *sim) drain() {
	for _, a := range m.actors {
		if a.peer != nil {
			failf("%s is still there", a.name)
		}
	}
	a := &actor{sim: m, name: "last"}
	a.run = func() {
		for _, f := range slices.Sorted(maps.Keys(m.m.bound)) {
			a.calls(&call{kind: callBound}, func(*Effects) { m.s.SetMaxQueue(f, -1) })
			delete(m.m.bound, f)
		}
		for len(m.m.jobs) > 0 {
			a.connect()
			a.send(codec.CanDo, m.m.jobs[0].function)
			if len(a.model.abilities) == 0 {
				failf("no memory is left, and no worker is let in to empty the queues")
			}
			for len(m.m.jobs) > 0 {
				a.send(codec.GrabJob)
				if len(a.jobs) == 0 {
					break
				}
				a.send(codec.WorkComplete, a.jobs[0], "")
				a.jobs = nil
			}
			a.vanish()
			if i := m.nextTimer(); i >= 0 && m.timers[i].At.After(m.now) {
				m.now = m.timers[i].At
				a.rest(nil)
			}
		}
	}
	m.start(a)
	m.play()
	if c := m.s.Count(); c != (Counts{}) {
		failf("not all is gone: %+v", c)
	}
	credit := int64(0)
	for i := range m.s.shards {
		sh := &m.s.shards[i]
		credit += sh.credit
		if n := len(sh.jobs) + len(sh.uniques) + len(sh.sameUnique) + len(sh.functions); n > 0 {
			failf("shard %d is not empty", i)
		}
	}
	if used := m.s.budget.used.Load(); m.s.budget.max > 0 && used != credit || used > m.s.budget.max/4 {
		failf("nothing is left, and %d of the budget are in use", used)
	}
	m.checkNow(1)
}

package sched

import (
	"slices"
	"strconv"

	"gearloop/codec"
)

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

// serve is one connection of a worker. It does some odd things and then only its duty. It returns whether the
// worker comes again.
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
			odds := 12
			if p.s.dialect.DropRequeues {
				odds = 4 // another worker will have it
			}
			if *oddities > 0 && p.rng.IntN(odds) == 0 {
				*oddities--
				p.vanish()
				return true
			}
			p.report(oddities)
		}
	}
}

// report reports on one of the jobs in hand, finally its end.
func (p *part) report(oddities *int) {
	h := ""
	if n := len(p.jobs) + len(p.owes); n > 0 {
		h = append(slices.Clone(p.jobs), p.owes...)[p.rng.IntN(n)]
	}
	limited := slices.ContainsFunc(p.m.jobs, func(j *modelJob) bool { return j.handle == h && j.onWorker(p.model) && !j.deadline.IsZero() })
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

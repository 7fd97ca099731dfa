package sched

import (
	"sync/atomic"
	"time"
)

// Right is a right to a function. A sum of rights is a set of them.
type Right uint8

// The rights.
const (
	MaySubmit     Right = 1 << iota // submit jobs, and ask for their status
	MayWork                         // register for the function and get its jobs
	MayLook                         // see it in answers to text commands
	MayAdminister                   // change it and its jobs with text commands
	AllRights     Right = 1<<iota - 1
)

// Rights are the rights of a peer. Any goroutine may call the methods.
type Rights interface {
	// Of returns the rights to a function.
	Of(function string) Right
	// Some returns the rights that the peer has to at least one function.
	Some() Right
	// All returns the rights that the peer has to every function, whatever its name.
	All() Right
	// Version returns a counter, always the same one, that goes up as soon as another method's answer changes:
	// an answer is valid while the counter is what it was before the question.
	Version() *atomic.Uint64
	// Refused is called for a request that lacked a right. function is "" if the request names none.
	Refused(want Right, function string)
}

// Access caches a peer's rights to the functions that it named recently. Only the peer's own goroutine uses
// it.
type Access struct {
	Rights
	current *atomic.Uint64 // what Version returned: one load for each job
	version uint64         // the version for which some, last and known are valid
	some    Right
	last    grant // for the function named last
	known   map[string]grant

	reviewed uint64 // the version for which the peer's registrations were reviewed
}

// grant is the rights to a function.
type grant struct {
	name   string
	rights Right
	valid  bool
}

// NewAccess returns the access of a peer with these rights.
func NewAccess(r Rights) *Access {
	a := &Access{Rights: r, current: r.Version()}
	a.version = a.current.Load()
	a.some = r.Some()
	return a
}

const (
	// maxKnown is the number of functions in the cache: peers choose the names, and a connection must not hold
	// more than a few KiB of them.
	maxKnown = 32
	// maxKnownName is the longest name in the cache, in bytes.
	maxKnownName = 128
)

// refresh forgets what is remembered if it may have changed.
func (a *Access) refresh() {
	if v := a.current.Load(); v != a.version {
		a.version, a.last = v, grant{}
		clear(a.known)
		a.some = a.Some()
	}
}

// to returns the rights to a function.
func (a *Access) to(function []byte) Right {
	a.refresh()
	if a.last.valid && string(function) == a.last.name {
		return a.last.rights
	}
	g, ok := a.known[string(function)]
	if !ok {
		name := string(function)
		g = grant{name, a.Of(name), true}
		if len(name) > maxKnownName {
			return g.rights
		}
		if a.known == nil {
			a.known = map[string]grant{}
		} else if len(a.known) >= maxKnown {
			clear(a.known)
		}
		a.known[name] = g
	}
	a.last = g
	return g.rights
}

// may reports whether the peer has a right to a function.
func (p *Peer) may(do Right, function []byte) bool {
	return p.Access == nil || p.Access.to(function)&do != 0
}

// refuse answers a request for which the peer lacks the right.
func (s *Sched) refuse(p *Peer, want Right, function []byte, fx *Effects) {
	p.Access.Refused(want, string(function))
	fx.sendError(p, s.dialect.Forbidden)
}

// refusesWorker answers a worker that may not work for any function; false if it may.
func (s *Sched) refusesWorker(p *Peer, fx *Effects) bool {
	if p.Access == nil {
		return false
	}
	if p.Access.refresh(); p.Access.some&MayWork != 0 {
		return false
	}
	s.refuse(p, MayWork, nil, fx)
	return true
}

// Review unregisters a worker from the functions that it may no longer work for, and returns their number.
// Jobs of them that it has in hand stay with it. The peer's own goroutine calls it when rights have changed;
// it also happens before a worker gets its next job.
func (s *Sched) Review(p *Peer, now time.Time, fx *Effects) (lost int) {
	if p.Access == nil {
		return 0
	}
	v := p.Access.current.Load() // before the answers: a later version causes another review
	if p.Access.reviewed == v {
		return 0
	}
	p.Access.reviewed = v
	fx.Work += len(p.abilities) / workLocks
	remaining := make([]*ability, 0, len(p.abilities))
	var left *departure
	for _, a := range p.abilities {
		if p.Access.Of(a.fn.name)&MayWork != 0 {
			remaining = append(remaining, a)
			continue
		}
		if left == nil {
			left = s.departs(p, now)
		}
		s.dropAbility(a, left, now, fx)
		delete(p.byName, a.fn.name)
		lost++
		s.step()
	}
	if lost > 0 {
		p.mu.Lock()
		p.abilities = remaining
		p.mu.Unlock()
		p.turn = 0
	}
	return lost
}

package sched

import "time"

// Right is what a peer may do with a function. A sum of rights is a set of them.
type Right uint8

// The rights.
const (
	MaySubmit     Right = 1 << iota // submit jobs, and ask for their status
	MayWork                         // register for the function and get its jobs
	MayLook                         // see it in the answers to text commands
	MayAdminister                   // change it and its jobs with text commands
	AllRights     Right = 1<<iota - 1
)

// Rights says what a peer may do. Any goroutine may call its methods.
type Rights interface {
	// Of returns the rights to the function of that name.
	Of(function string) Right
	// Some returns the rights that the peer has to at least one function.
	Some() Right
	// All returns the rights that the peer has to every function, whatever its name.
	All() Right
	// Version changes before the other methods answer something else: an answer is good as long as the version
	// is the one from before it was asked for.
	Version() uint64
	// Refused is told of a request that was refused for want of a right. function is "" when the request names none.
	Refused(want Right, function string)
}

// Access is what a peer may do, with its rights to the functions that it named lately. Only the peer's own
// goroutine touches it.
type Access struct {
	Rights
	version uint64 // for which last and known are good
	last    grant  // of the function named last
	known   map[string]grant

	reviewed uint64 // the version for which the peer may work at all functions that it is registered for
}

// grant is the rights to a function.
type grant struct {
	name   string
	rights Right
	valid  bool
}

// NewAccess returns the access of a peer with these rights.
func NewAccess(r Rights) *Access { return &Access{Rights: r} }

const (
	// maxKnown is to how many functions the rights of a peer are remembered: names come from peers, and a
	// connection must not keep more than a few KiB of them.
	maxKnown = 32
	// maxKnownName is the longest name among them, in bytes.
	maxKnownName = 128
)

// to returns the rights to a function.
func (a *Access) to(function []byte) Right {
	if v := a.Version(); v != a.version {
		a.version, a.last = v, grant{}
		clear(a.known)
	}
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

// refuse answers a request of a peer that has not the right to it.
func (s *Sched) refuse(p *Peer, want Right, function []byte, fx *Effects) {
	p.Access.Refused(want, string(function))
	fx.sendError(p, s.dialect.Forbidden)
}

// refusesWorker answers a worker that has no right to work at any function; false: it has one.
func (s *Sched) refusesWorker(p *Peer, fx *Effects) bool {
	if p.Access == nil || p.Access.Some()&MayWork != 0 {
		return false
	}
	s.refuse(p, MayWork, nil, fx)
	return true
}

// Review takes functions away from a worker that it may not work any more, and returns how many. Jobs of them that it
// has in hand stay with it. The peer's own goroutine calls it when rights have changed; before a worker gets its next
// job it is done in any case.
func (s *Sched) Review(p *Peer, now time.Time, fx *Effects) (lost int) {
	if p.Access == nil || p.Access.reviewed == p.Access.Version() {
		return 0
	}
	p.Access.reviewed = p.Access.Version() // before the answers: what a later version says is reviewed again
	fx.Work += len(p.abilities) / workLocks
	kept := make([]*ability, 0, len(p.abilities))
	var left *departure
	for _, a := range p.abilities {
		if p.Access.Of(a.fn.name)&MayWork != 0 {
			kept = append(kept, a)
			continue
		}
		if left == nil {
			left = s.departs(p, now)
		}
		s.dropAbility(a, left)
		delete(p.byName, a.fn.name)
		lost++
		s.step()
	}
	if lost > 0 {
		p.mu.Lock()
		p.abilities = kept
		p.mu.Unlock()
		p.turn = 0
	}
	return lost
}

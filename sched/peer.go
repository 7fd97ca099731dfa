package sched

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The states of a peer.
const (
	awake    uint32 = iota
	sleeping        // PRE_SLEEP was received; a NOOP is owed when a job comes
	woken           // a NOOP is on its way
	gone            // the connection has ended
)

// Peer is one connection: a client, a worker or both. See the package comment for who may touch it.
type Peer struct {
	User any            // whose connection this is; the scheduler does not look at it
	FD   int            // descriptor, for the text command "workers"
	Addr netip.AddrPort // of the other end; invalid for a unix socket

	Access *Access // what it may do; nil: everything. Set before Connect.

	state      atomic.Uint32
	exceptions atomic.Bool // OPTION_REQ exceptions
	left       atomic.Bool // gone, and counted out of all jobs that it had joined

	// For those who explain. Only the peer's own goroutine changes the first two.
	asked   atomic.Int64  // moment of the last GRAB_JOB or PRE_SLEEP, at first of CAN_DO
	hand    atomic.Uint64 // number of one of the jobs in doing, the oldest if none but the last ended; 0 = none
	wokenAt atomic.Int64  // moment when it was sent NOOP last; later than asked until it asks

	// Of the peer's own goroutine.
	byName   map[string]*ability // only with more than a few abilities
	turn     int                 // which ability GRAB_JOB begins with
	doing    []*job              // running here; the order is of no importance
	late     map[uint64]struct{} // numbers of jobs that timed out or were taken back and whose result is awaited
	jobsDone int                 // since the last sleep
	done     uint64              // jobs of which it said WORK_COMPLETE
	failed   uint64              // jobs that it failed, or did not finish in time
	submits  uint64              // foreground submissions of it that were taken in
	leftWith int                 // jobs that it had when its connection ended
	excepted int                 // jobs in doing for which WORK_EXCEPTION came
	thrown   uint64              // number of the job that its last WORK_EXCEPTION ended, until WORK_FAIL; 0 = none
	push     bool                // ALL_YOURS: jobs are sent without being asked for
	limit    Timer               // the earliest limit of the jobs in doing
	limitAt  time.Time           // what limit is set to; zero when it is not set
	limits   deadlines           // of the jobs in doing
	tickets  uint32              // the last one issued
	// The numbers of jobs that it joined and listens to, once for each time; some of them may have ended.
	joined     []uint64
	joinedLook int // from how many on those that have ended are looked for

	// Changed by the peer's own goroutine under mu, read there without it.
	mu        sync.Mutex
	clientID  string
	abilities []*ability // in the order of CAN_DO

	recall *recall // under mu; nil before the first
}

// recall holds the jobs of a worker that others have ended, of which those who listen have not been told, and those that
// others want back.
type recall struct {
	timer Timer // has the worker's goroutine deal with them
	jobs  []*job
}

// ability is that a peer can do a function.
type ability struct {
	peer    *Peer
	fn      *function
	timeout time.Duration // limit for a job of this function; <0 = none

	// The place among the function's sleepers, under the shard's lock. listed is also read without
	// it, by the peer.
	listed     atomic.Bool
	prev, next *ability
}

// Connect registers a new connection.
func (s *Sched) Connect(p *Peer) {
	p.clientID = "-"
	p.limit.peer = p
	p.exceptions.Store(s.cfg.Exceptions)
	s.peersMu.Lock()
	s.peers[p] = struct{}{}
	s.peersMu.Unlock()
}

// Gone reports whether Disconnect was called for the peer.
func (p *Peer) Gone() bool { return p.state.Load() == gone }

// Push reports whether the peer gets its jobs without asking (ALL_YOURS). Only the peer's own
// goroutine may ask.
func (p *Peer) Push() bool { return p.push }

// wake claims the one NOOP that a sleeping peer is owed.
func (p *Peer) wake(at moment) bool {
	if p.state.Load() != sleeping {
		return false
	}
	// Before it is woken, so that nobody takes the time of an earlier sleep for it.
	p.wokenAt.Store(max(int64(at), p.asked.Load()+1))
	return p.state.CompareAndSwap(sleeping, woken)
}

// asks notes that the peer asks for a job or goes to sleep. Only its own goroutine may do so.
func (p *Peer) asks(at moment) { p.asked.Store(max(int64(at), p.wokenAt.Load()+1)) }

// ClaimNoop reports whether a NOOP that has come to the peer's own goroutine is still to be sent: the
// peer may have asked for a job meanwhile.
func (p *Peer) ClaimNoop() bool { return p.state.CompareAndSwap(woken, awake) }

// rouse notes that the peer is awake of its own accord. Only its own goroutine may do so.
func (p *Peer) rouse() {
	if p.state.Load() == awake {
		return // the usual case; and nobody else takes a peer out of it
	}
	if !p.state.CompareAndSwap(sleeping, awake) {
		p.state.CompareAndSwap(woken, awake)
	}
}

// manyAbilities is from where on a worker's abilities are looked up in a map.
const manyAbilities = 16

// ability returns what the peer declared for a function, nil if nothing.
func (p *Peer) ability(name []byte) *ability {
	if p.byName != nil {
		return p.byName[string(name)]
	}
	for _, a := range p.abilities {
		if a.fn.name == string(name) {
			return a
		}
	}
	return nil
}

// addAbility puts an ability at the end.
func (p *Peer) addAbility(a *ability) {
	p.mu.Lock()
	p.abilities = append(p.abilities, a)
	p.mu.Unlock()
	if p.byName == nil && len(p.abilities) > manyAbilities {
		p.byName = make(map[string]*ability, 2*manyAbilities)
		for _, b := range p.abilities {
			p.byName[b.fn.name] = b
		}
	} else if p.byName != nil {
		p.byName[a.fn.name] = a
	}
}

// putLast moves an ability to the end of the order of CAN_DO.
func (p *Peer) putLast(a *ability) {
	i := slices.Index(p.abilities, a)
	if i == len(p.abilities)-1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	copy(p.abilities[i:], p.abilities[i+1:])
	p.abilities[len(p.abilities)-1] = a
}

// removeAbility takes an ability out, keeping the order of the others.
func (p *Peer) removeAbility(a *ability) {
	delete(p.byName, a.fn.name)
	for i, b := range p.abilities {
		if a == b {
			p.mu.Lock()
			p.abilities = append(p.abilities[:i:i], p.abilities[i+1:]...)
			p.mu.Unlock()
			return
		}
	}
}

// putBehind makes the ability at i the one that is asked last: the first of the list, which is gone
// through from its end.
func (p *Peer) putBehind(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.abilities[i]
	copy(p.abilities[1:], p.abilities[:i])
	p.abilities[0] = a
}

// stopDoing takes a job out of those that run here.
func (p *Peer) stopDoing(j *job) {
	p.unlimit(j)
	if j.excepted {
		p.excepted--
	}
	last := len(p.doing) - 1
	p.doing[j.position] = p.doing[last]
	p.doing[j.position].position = j.position
	p.doing[last] = nil
	p.doing = p.doing[:last]
	switch {
	case last == 0:
		p.hand.Store(0)
	case j.position == 0:
		p.hand.Store(p.doing[0].number)
	}
}

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
	sleeping        // PRE_SLEEP was received; the next job owes it a NOOP
	woken           // a NOOP is on its way
	gone            // the connection has ended
)

// Peer is one connection: a client, a worker or both. The package comment says who may use which fields.
type Peer struct {
	User any            // for the owner of the connection; the scheduler ignores it
	FD   int            // descriptor, for the text command "workers"
	Addr netip.AddrPort // remote address; invalid for a unix socket

	Access *Access // its rights; nil: all. Set before Connect.
	Broker bool    // another broker of the same store, as it has proven; for the peer's own goroutine

	state      atomic.Uint32
	exceptions atomic.Bool // OPTION_REQ exceptions
	left       atomic.Bool // gone, and counted out of all jobs that it joined

	// caller is the function that woke it and counts on it (herd.go), until it comes. Set under the lock of that
	// function's shard, cleared by the peer's own goroutine.
	caller atomic.Pointer[function]

	// For explain.go. Only the peer's own goroutine changes the first two.
	asked   atomic.Int64  // moment of the last GRAB_JOB or PRE_SLEEP, to askedExact; before the first one, of CAN_DO
	hand    atomic.Uint64 // number of one of the jobs in doing: the oldest, provided that jobs end in order; of an ended job if none
	wokenAt atomic.Int64  // moment of the last NOOP; later than asked until it asks again

	// For the peer's own goroutine only.
	byName   map[string]*ability // only with many abilities
	turn     int                 // the ability at which GRAB_JOB begins
	doing    []*job              // the jobs it has, in no particular order
	late     map[uint64]struct{} // numbers of jobs that timed out or were taken back and whose result may still arrive
	jobsDone int                 // since it last slept
	last     *function           // of its last job; nil if it gave that up
	sleeps   bool                // it has said PRE_SLEEP
	drowsy   *function           // counts on it to sleep (expectSleep), as caller counts on it to come; nil: none
	done     uint64              // jobs of which it said WORK_COMPLETE
	failed   uint64              // jobs that it failed, or did not finish in time
	submits  uint64              // foreground submissions of it that were taken in
	leftWith int                 // jobs it had when its connection ended
	excepted int                 // jobs in doing for which WORK_EXCEPTION arrived
	thrown   uint64              // number of the job that its last WORK_EXCEPTION ended, until WORK_FAIL; 0 = none
	push     bool                // ALL_YOURS: it gets jobs without asking
	limit    Timer               // set to the earliest limit of the jobs in doing
	limitAt  time.Time           // the moment limit is set to; zero = not set
	limits   deadlines           // the jobs in doing that have a limit
	tickets  uint32              // the last ticket issued
	// The jobs that it joined and listens to, once for each time; some may have ended.
	joined     []joined
	joinedLook int // length of joined at which ended jobs are removed
	joinedAt   int // where in it ended jobs were looked for last, when it is full

	// The peer's own goroutine changes these under mu, and reads them without it.
	mu        sync.Mutex
	clientID  string
	abilities []*ability // in the order of CAN_DO

	recall *recall // under mu; nil before the first
}

// recall holds the jobs of a worker that were ended by others and whose listeners have not been informed yet,
// and those that operators take back.
type recall struct {
	timer Timer // makes the worker's goroutine handle them
	jobs  []*job
}

// ability is a peer's registration for a function.
type ability struct {
	peer    *Peer
	fn      *function
	timeout time.Duration // limit for each job of the function; <0 = none

	// The entry in the function's sleepers, under the shard's lock. The peer also reads listed without it.
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

// Push reports whether the peer gets jobs without asking (ALL_YOURS). Only the peer's own goroutine may call
// it.
func (p *Peer) Push() bool { return p.push }

// wake claims the NOOP that a sleeping peer is owed.
func (p *Peer) wake(at moment) bool {
	if p.state.Load() != sleeping {
		return false
	}
	// Set before the state changes, so that nobody sees the time of an earlier sleep.
	p.wokenAt.Store(max(int64(at), p.asked.Load()+1))
	return p.state.CompareAndSwap(sleeping, woken)
}

// asks records that the peer asks for a job or goes to sleep. Only its own goroutine may call it. It stores
// nothing for a worker that asks all the time: an atomic store is a memory barrier, a load is not.
func (p *Peer) asks(at moment) {
	last, woken := p.asked.Load(), p.wokenAt.Load()
	if last > woken && int64(at)-last < int64(askedExact) {
		return
	}
	p.asked.Store(max(int64(at), woken+1))
}

// ClaimNoop reports whether a NOOP that reached the peer's own goroutine must still be sent: the peer may
// have asked for a job meanwhile.
func (p *Peer) ClaimNoop() bool { return p.state.CompareAndSwap(woken, awake) }

// rouse records that the peer is awake by itself. Only its own goroutine may call it.
func (p *Peer) rouse() {
	if p.state.Load() == awake {
		return // the usual case; no other goroutine changes this state
	}
	if !p.state.CompareAndSwap(sleeping, awake) {
		p.state.CompareAndSwap(woken, awake)
	}
}

// manyAbilities is the number from which on a worker's abilities are in a map.
const manyAbilities = 16

// ability returns the peer's registration for a function, or nil.
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

// addAbility appends an ability.
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

// putBehind makes the ability at i the last to be asked: the first of the list, because GRAB_JOB goes through
// it from the end.
func (p *Peer) putBehind(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.abilities[i]
	copy(p.abilities[1:], p.abilities[:i])
	p.abilities[0] = a
}

// stopDoing removes a job from doing.
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
	if last > 0 && j.position == 0 {
		p.hand.Store(p.doing[0].number)
	}
}

package sched

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Cause is a reason why a job, or the jobs of a function, are not handed out.
type Cause uint8

// The causes, in the order in which ExplainJob lists them.
const (
	CauseDraining   Cause = iota // the server is shutting down and hands out no stored jobs
	CausePaused                  // an operator paused the function; By, Since, Until and Text are from the setting
	CauseClosed                  // an operator closed the function; fields as for CausePaused
	CauseDelayed                 // the job is not due before Until; of a function: Count such jobs
	CauseStoring                 // the job has not been written yet, since Since; of a function: Count such jobs
	CauseStoreFails              // the store accepts no jobs; Text is its error
	CauseShelved                 // the lease of stored jobs has expired; of a function: Count such jobs
	CauseBehind                  // Count jobs of the function, or more (AtLeast), come first
	CauseNoWorkers               // no worker is registered for the function. Since, Addr and ClientID: the last that left, with Count jobs in hand
	CauseAllBusy                 // all Count workers are busy; Peer has had Job for the longest time, since Since
	CauseWoken                   // Count workers were sent NOOP and have not asked for a job since; Peer for the longest time, since Since
	CauseAsleep                  // Count workers sleep and were not sent NOOP, because other workers were or will be
	CauseNotAsking               // Count workers are awake, have no job and do not ask; Peer asked last at Since
	CauseUnwanted                // all clients of the job have gone: it will be dropped
	CauseRunning                 // Peer has had the job since Since and may keep it until Until
	CauseNothing                 // no job of the function is waiting; Count are running
	causes          = iota
)

var causeNames = [causes]string{
	"draining", "paused", "closed", "delayed", "storing", "store_fails", "shelved", "behind", "no_workers", "all_busy", "woken", "asleep",
	"not_asking", "unwanted", "running", "nothing",
}

// String returns the name that the API uses.
func (c Cause) String() string { return causeNames[c] }

// Reason is a cause that applies. Which other fields are set depends on the cause.
type Reason struct {
	Cause Cause
	Since time.Time // zero: unknown
	Until time.Time // zero: no end
	Count int
	// AtLeast says that Count is a lower bound, because the rest was not counted.
	AtLeast bool

	Peer     *Peer          // nil: none, or it has left
	Addr     netip.AddrPort // of a worker that has left; invalid for a unix socket
	ClientID string         // of Peer, or of a worker that has left
	Left     bool           // Addr and ClientID are known

	Job         uint64 // number of a job that a worker has; 0: none
	Function    string // of that job
	Numerator   string // of the last WORK_STATUS
	Denominator string
	GivenUp     bool // of a running job: it was cancelled, and its worker continues

	By, Text string
}

// ExplainJob returns why the job is not handed out, or which worker has it. There is at least one reason. ok
// is false if there is no such job. It looks at every connection and must not be called from an event loop.
func (s *Sched) ExplainJob(handle string, now time.Time) (reasons []Reason, ok bool) {
	j, sh := s.lockJob(handle)
	if j == nil {
		return nil, false
	}
	state, fn := j.state, j.fn
	isPaused := fn.isPaused()
	unwanted := state != abandoned && !j.wanted()
	if j.onWorker() {
		x := j.rest()
		r := Reason{
			Cause: CauseRunning, Since: s.time(j.since), Until: x.deadline, Count: 1, Peer: j.worker, Job: j.number, Function: fn.name,
			Numerator: x.numerator, Denominator: x.denominator, GivenUp: state == abandoned,
		}
		sh.mu.Unlock()
		r.ClientID = r.Peer.id()
		return []Reason{r}, true
	}
	if isPaused {
		reasons = append(reasons, fn.steer.paused.reason(CausePaused))
	}
	switch state {
	case delayed:
		reasons = append(reasons, Reason{Cause: CauseDelayed, Until: j.rest().due, Count: 1})
	case storing:
		reasons = append(reasons, Reason{Cause: CauseStoring, Since: s.time(j.created), Count: 1})
	case shelved:
		reasons = append(reasons, sh.whyShelved(1))
	case queued:
		if j.keeping == kept && !now.Before(sh.lease) {
			reasons = append(reasons, sh.whyShelved(1))
		}
		if n, all := j.ahead(); n > 0 {
			reasons = append(reasons, Reason{Cause: CauseBehind, Count: n, AtLeast: !all})
		}
	}
	workers := fn.whyNoWorkers()
	sh.mu.Unlock()
	switch state {
	case storing:
		reasons = s.appendStoreFails(reasons)
	case queued:
		if !isPaused || workers.able == 0 { // otherwise it does not matter what workers do
			reasons = s.appendWorkers(reasons, fn, workers)
		}
	}
	if unwanted {
		reasons = append(reasons, Reason{Cause: CauseUnwanted})
	}
	slices.SortStableFunc(reasons, func(a, b Reason) int { return cmp.Compare(a.Cause, b.Cause) })
	return reasons, true
}

// ExplainFunction returns why jobs of a function are not handed out. There is at least one reason. Reasons
// for queued jobs come first, then those for delayed, storing and shelved jobs. ok is false if the function
// is unknown. It looks at every connection and must not be called from an event loop.
func (s *Sched) ExplainFunction(name string, now time.Time) (reasons []Reason, ok bool) {
	sh := s.shardOf([]byte(name))
	sh.lock()
	fn := sh.functions[name]
	if fn == nil || !fn.shown() {
		sh.mu.Unlock()
		return nil, false
	}
	isPaused := fn.isPaused()
	if isPaused {
		reasons = append(reasons, fn.steer.paused.reason(CausePaused))
	}
	if fn.isClosed() {
		reasons = append(reasons, fn.steer.closed.reason(CauseClosed))
	}
	queuing, later, aside := fn.queued(), 0, 0
	for p := range Priorities {
		later += int(fn.later[p])
		aside += int(fn.aside[p])
	}
	beingStored := fn.jobs - queuing - later - aside - fn.running
	if first := fn.first(); first != nil && first.keeping == kept && !now.Before(sh.lease) {
		reasons = append(reasons, sh.whyShelved(queuing))
	}
	workers, onWorkers := fn.whyNoWorkers(), fn.running
	shelf := sh.whyShelved(aside)
	sh.mu.Unlock()

	if queuing > 0 && (!isPaused || workers.able == 0) {
		reasons = s.appendWorkers(reasons, fn, workers)
	}
	if later > 0 {
		reasons = append(reasons, Reason{Cause: CauseDelayed, Count: later})
	}
	if beingStored > 0 {
		reasons = s.appendStoreFails(append(reasons, Reason{Cause: CauseStoring, Count: beingStored}))
	}
	if aside > 0 {
		reasons = append(reasons, shelf)
	}
	if queuing+later+beingStored+aside == 0 {
		reasons = append(reasons, Reason{Cause: CauseNothing, Count: onWorkers})
	}
	return reasons, true
}

// whyShelved returns why n stored jobs are not handed out. The shard is locked.
func (sh *shard) whyShelved(n int) Reason {
	if sh.sched.ending.Load() {
		return Reason{Cause: CauseDraining, Count: n}
	}
	return Reason{Cause: CauseShelved, Since: sh.lease, Count: n}
}

// appendStoreFails appends a reason if the store accepts no jobs.
func (s *Sched) appendStoreFails(reasons []Reason) []Reason {
	if s.store == nil {
		return reasons
	}
	if err := s.store.Stats().Failed; err != nil {
		reasons = append(reasons, Reason{Cause: CauseStoreFails, Text: err.Error()})
	}
	return reasons
}

// whyNoWorkers returns the number of workers and, if there are none, a description of the last one. The shard
// is locked.
func (fn *function) whyNoWorkers() (w workers) {
	w.able = fn.abilities
	w.none.Cause = CauseNoWorkers
	if l := fn.left; l != nil {
		w.none.Since, w.none.Addr, w.none.ClientID, w.none.Count = fn.shard.sched.time(l.at), l.addr, l.clientID, l.jobs
		w.none.Left = true
	}
	return w
}

// workers is what a function's shard knows about its workers.
type workers struct {
	able int    // registered workers
	none Reason // the reason if able is 0
}

// appendWorkers appends why no worker takes the jobs of a function: at least one reason.
func (s *Sched) appendWorkers(reasons []Reason, fn *function, w workers) []Reason {
	if w.able == 0 {
		return append(reasons, w.none)
	}
	var busy, woke, idle, silent Reason
	walk := mapSteps{}
	for seen, more := 0, true; more && seen < w.able; {
		var some [walkPeers]*Peer
		n := s.somePeers(&walk, func(i int, p *Peer) { some[i] = p })
		more = n == len(some)
		for _, p := range some[:n] {
			if !p.can(fn) {
				continue
			}
			seen++
			switch state := p.state.Load(); {
			case state == gone:
			case state == sleeping:
				idle.Count++
			case state == awake && s.isBusy(p, &busy):
				busy.Count++
			case p.wokenAt.Load() > p.asked.Load():
				woke.count(p, s.time(moment(p.wokenAt.Load())))
			default:
				silent.count(p, s.time(moment(p.asked.Load())))
			}
		}
	}
	busy.Cause, woke.Cause, idle.Cause, silent.Cause = CauseAllBusy, CauseWoken, CauseAsleep, CauseNotAsking
	before := len(reasons)
	if busy.Count > 0 && woke.Count+idle.Count+silent.Count == 0 {
		busy.ClientID = busy.Peer.id()
		reasons = append(reasons, busy)
	}
	for _, r := range []*Reason{&woke, &idle, &silent} {
		if r.Count > 0 {
			if r.Peer != nil {
				r.ClientID = r.Peer.id()
			}
			reasons = append(reasons, *r)
		}
	}
	if len(reasons) == before { // the registered workers are leaving right now
		reasons = append(reasons, w.none)
	}
	return reasons
}

// count counts a worker, and remembers the one with the earliest since.
func (r *Reason) count(p *Peer, since time.Time) {
	if r.Count++; r.Count == 1 || since.Before(r.Since) {
		r.Peer, r.Since = p, since
	}
}

// isBusy reports whether a worker has a job, and keeps it in r if its worker has had it for longest.
func (s *Sched) isBusy(p *Peer, r *Reason) bool {
	j, unlock := s.inHand(p)
	if j == nil {
		return false
	}
	defer unlock()
	if since := s.time(j.since); r.Peer == nil || since.Before(r.Since) {
		r.Peer, r.Since, r.Job, r.Function = p, since, j.number, j.fn.name
	}
	return true
}

// inHand returns a job that a peer has, the oldest if none but the last ended, with its shard locked, or nil.
func (s *Sched) inHand(p *Peer) (j *job, unlock func()) {
	number := p.hand.Load()
	if number == 0 {
		return nil, nil
	}
	sh := s.shardOfJob(number)
	sh.lock()
	if j = sh.jobs.get(number); j == nil || !j.onWorker() || j.worker != p {
		sh.mu.Unlock()
		return nil, nil
	}
	return j, sh.mu.Unlock
}

// can reports whether the peer is registered for a function. Any goroutine may call it.
func (p *Peer) can(fn *function) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.abilities {
		if a.fn == fn {
			return true
		}
	}
	return false
}

// id returns the peer's client id. Any goroutine may call it.
func (p *Peer) id() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clientID
}

// departure describes a worker that has left. The functions that it left share one.
type departure struct {
	addr     netip.AddrPort
	clientID string // truncated
	at       moment
	jobs     int // jobs it had when its connection ended
}

// departs returns the departure of a worker that is leaving functions now.
func (s *Sched) departs(p *Peer, now time.Time) *departure {
	return &departure{
		addr: p.Addr, clientID: strings.Clone(p.clientID[:min(len(p.clientID), departedClientID)]), at: s.moment(now), jobs: p.leftWith,
	}
}

// forgotten is a function that exists no more, and its last departure.
type forgotten struct {
	name string
	left *departure
}

// rememberLeft keeps the last departure of a function that is being forgotten, so that later jobs which find
// no worker can be explained. Only the latest maxDepartures are kept. The shard is locked.
func (sh *shard) rememberLeft(fn *function) {
	if fn.left == nil {
		return
	}
	place := -1 // of the function's earlier departure, or of the oldest one
	for i := range sh.departed {
		f := &sh.departed[i]
		if f.name == fn.name {
			place = i
			break
		}
		if place < 0 || f.left.at < sh.departed[place].left.at {
			place = i
		}
	}
	if len(sh.departed) < maxDepartures && (place < 0 || sh.departed[place].name != fn.name) {
		sh.departed = append(sh.departed, forgotten{})
		place = len(sh.departed) - 1
	}
	sh.departed[place] = forgotten{fn.name, fn.left}
}

// leftBefore returns the last departure of a function that was forgotten, or nil. The shard is locked.
func (sh *shard) leftBefore(name string) *departure {
	for i := range sh.departed {
		if f := &sh.departed[i]; f.name == name {
			return f.left
		}
	}
	return nil
}

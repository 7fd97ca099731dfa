package sched

import (
	"slices"

	"gearloop/codec"
	"gearloop/internal/payload"
)

// The listeners of a job: the first foreground submission is in job.listener, all that joined it are in
// extra.listeners, which is only appended to. Where entries are removed the list is replaced, so that a part
// of it may be read without the lock (fan.go, walk_clients.go).
//
// A connection that joined jobs has their numbers in Peer.joined. When it ends it is counted out of each
// (extra.gone), so the number of listeners is always known, however many there are. A number is not enough to find
// a job again: one that was disowned and ended here comes back with the same number when this broker adopts it.

// joined is a job that a connection listens to.
type joined struct {
	number uint64
	serial uint32 // extra.serial
}

// find returns the job, nil if it has ended. Its shard is locked.
func (a joined) find(sh *shard) *job {
	if j := sh.jobs.get(a.number); j != nil && j.state != abandoned && j.rest().serial == a.serial {
		return j
	}
	return nil
}

// listeners returns the number of listeners in the lists.
func (j *job) listeners() int {
	n := len(j.rest().listeners)
	if j.listener != nil {
		n++
	}
	return n
}

// listening returns how many of them still have a connection. Connections that are ending right now may still
// count.
func (j *job) listening() int {
	x := j.rest()
	if len(x.listeners) > wideJob {
		n := len(x.listeners) - x.gone
		if !j.listener.Gone() {
			n++
		}
		return n
	}
	n := 0
	j.eachListener(func(*Peer) { n++ })
	return n
}

// eachListener calls f for each connected listener.
func (j *job) eachListener(f func(*Peer)) {
	if j.listener == nil {
		return
	}
	if !j.listener.Gone() {
		f(j.listener)
	}
	for _, p := range j.rest().listeners {
		if !p.Gone() {
			f(p)
		}
	}
}

// wanted reports whether anybody still wants the job done.
func (j *job) wanted() bool { return j.background || j.listening() > 0 }

// listen adds a foreground submission to an existing job.
func (j *job) listen(p *Peer, fx *Effects) Refusal {
	sh := j.fn.shard
	first := j.listener == nil
	if x := j.rest(); x.gone > 0 && (len(x.listeners) == cap(x.listeners) || len(x.listeners) >= MaxListeners) {
		fx.Work += len(x.listeners) / workDoing
		j.dropGone() // before it grows: the list stays within twice the number of the living
	}
	switch {
	case !first && (len(j.rest().listeners) >= MaxListeners || len(p.joined) >= MaxJoins):
		return TooMany
	case !sh.charge(costListener):
		return NoMemory
	}
	sh.listeners++
	if first {
		j.listener = p
		return admitted
	}
	x := j.more()
	if x.serial == 0 {
		sh.joined++
		x.serial = sh.joined
	}
	x.listeners = append(x.listeners, p)
	p.joined = append(p.joined, joined{j.number, x.serial})
	return admitted
}

// dropGone removes the listeners that have been counted out.
func (j *job) dropGone() {
	x := j.extra
	living := len(x.listeners) - x.gone
	left := make([]*Peer, 0, max(2*living, 4))
	for _, l := range x.listeners {
		if !l.left.Load() { // one that will be counted out stays
			left = append(left, l)
		}
	}
	dropped := len(x.listeners) - len(left)
	x.gone -= dropped
	x.listeners = left
	j.refund(dropped * costListener)
	j.fn.shard.listeners -= dropped
}

// leaveJobs counts a departed peer out of the jobs that it joined. It returns true if there are so many that
// the call must be repeated.
func (s *Sched) leaveJobs(p *Peer, fx *Effects) (again bool) {
	for n := 0; len(p.joined) > 0; n++ {
		if n == callJobs {
			return true
		}
		last := len(p.joined) - 1
		a := p.joined[last]
		p.joined = p.joined[:last]
		sh := s.shardOfJob(a.number)
		s.step()
		sh.lock()
		if j := a.find(sh); j != nil {
			j.extra.gone++
		}
		sh.mu.Unlock()
		fx.Work++
	}
	p.joined = nil
	p.left.Store(true)
	return false
}

// forgetJoined removes ended jobs from what a peer joined, if there may be many: all of them each time that twice as
// many are there as were left, and with MaxJoins some of them each time, for a submission that is refused
// must not cost more than others.
func (s *Sched) forgetJoined(p *Peer, fx *Effects) {
	switch n := len(p.joined); {
	case n < min(max(p.joinedLook, 2*callJobs), MaxJoins):
	case p.joinedLook <= MaxJoins:
		p.joined = s.livingJobs(p.joined, fx)
		p.joinedLook = 2 * len(p.joined)
	default:
		p.joinedAt = (p.joinedAt + joinedTurn) % (n - joinedTurn)
		part := p.joined[p.joinedAt:][:joinedTurn]
		kept := p.joinedAt + len(s.livingJobs(part, fx))
		p.joined = slices.Delete(p.joined, kept, p.joinedAt+joinedTurn)
	}
}

// livingJobs moves the jobs that have not ended to the front of a list, and returns them.
func (s *Sched) livingJobs(all []joined, fx *Effects) []joined {
	fx.Work += len(all) / workLocks
	left := all[:0]
	for _, a := range all {
		sh := s.shardOfJob(a.number)
		sh.lock()
		if a.find(sh) != nil {
			left = append(left, a)
		}
		sh.mu.Unlock()
	}
	return left
}

// stopListening removes all listeners of a job that has ended. The caller refunds their memory.
func (j *job) stopListening() {
	j.fn.shard.listeners -= j.listeners()
	j.listener = nil
	if x := j.extra; x != nil {
		x.listeners, x.gone = nil, 0
	}
}

// relay sends a packet with these data to all listeners. The worker that sent it waits if that takes more
// than one turn.
func (j *job) relay(p *Peer, n news, fx *Effects) {
	if j.isWide() {
		j.spread(p, n, fx)
		return
	}
	fx.Work += j.listeners() / workPackets
	j.eachListener(func(l *Peer) {
		if n.to(l, fx) {
			fx.keepBehind(j)
		}
	})
}

// fail sends WORK_FAIL to all listeners.
func (j *job) fail(fx *Effects) {
	switch {
	case j.listener == nil:
	case j.isWide():
		j.spread(nil, news{typ: codec.WorkFail, body: payload.Borrow(j.fn.shard.sched.AppendHandle(nil, j.number))}, fx)
	default:
		fx.Work += j.listeners() / workPackets
		j.eachListener(func(l *Peer) {
			fx.sendHandle(l, codec.WorkFail, j)
			fx.keepBehind(j)
		})
	}
}

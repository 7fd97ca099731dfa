package sched

import (
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// grab handles GRAB_JOB, GRAB_JOB_UNIQ and GRAB_JOB_ALL.
func (s *Sched) grab(p *Peer, t codec.Type, now time.Time, fx *Effects) {
	if s.refusesWorker(p, fx) {
		return
	}
	p.asks(s.moment(now))
	s.endExcepted(p, now, fx)
	if s.dialect.GrabWakes {
		p.rouse()
	}
	if len(p.doing) >= MaxDoing {
		fx.sendError(p, s.dialect.ServerError.With("A worker can have %d jobs at most.", MaxDoing))
		return
	}
	assigned := s.assign(p, t, now, fx)
	if fx.Again {
		return
	}
	s.comes(p, now, fx)
	if !assigned {
		s.expectSleep(p)
		fx.send(p, codec.NoJob)
	}
}

// Idle reports whether no job waits in any of the peer's functions. It takes no locks, and looks at one counter for
// each function. Only the peer's own goroutine may call it.
func (p *Peer) Idle() bool {
	for _, a := range p.abilities {
		if a.fn.isReady() {
			return false
		}
	}
	return true
}

// Functions returns the number of functions that the peer does. Only its own goroutine may call it.
func (p *Peer) Functions() int { return len(p.abilities) }

// assign gives a worker the next job that it is registered for. It returns false if there is none or, with
// Effects.Again, if it must be called again to find out.
//
// A job that arrives in a function after assign has passed it is not missed: the worker sees it when it goes
// to sleep.
func (s *Sched) assign(p *Peer, t codec.Type, now time.Time, fx *Effects) bool {
	s.Review(p, now, fx)
	n := len(p.abilities)
	if n == 0 {
		return false
	}
	fx.Work += n / workAbilities
	switch s.cfg.Assign {
	case dialect.Rotate:
		// Start one further each time, so that no function starves.
		turn := (p.turn + 1) % n
		for i := range n {
			switch {
			case s.grabFrom(p, p.abilities[(turn+i)%n], t, now, fx):
				p.turn = turn
				return true
			case fx.Again:
				return false
			}
		}
		p.turn = turn
	default:
		for i := n - 1; i >= 0; i-- {
			switch {
			case s.grabFrom(p, p.abilities[i], t, now, fx):
				if s.cfg.Assign == dialect.RoundRobin {
					p.putBehind(i)
				}
				return true
			case fx.Again:
				return false
			}
		}
	}
	return false
}

// grabFrom gives a worker the next job of one function. It returns false if there is none or, with
// Effects.Again, if too many had to be dropped or shelved to find out.
func (s *Sched) grabFrom(p *Peer, a *ability, t codec.Type, now time.Time, fx *Effects) bool {
	fn := a.fn
	if fn.ready.Load() == 0 {
		return false
	}
	s.step()
	sh := fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	if !fn.isReady() { // paused, or other workers were faster
		return false
	}
	j := fn.first()
	for passed := 0; j != nil; j = fn.first() {
		leaseOver := j.keeping == kept && !now.Before(sh.lease)
		if !leaseOver && j.wanted() {
			break
		}
		if leaseOver && sh.returning {
			return false
		}
		if passed == callJobs {
			fx.Again = true
			return false
		}
		passed++
		fx.Work++
		if leaseOver {
			sh.move(j, shelved)
		} else {
			sh.end(j, Unwanted, now) // all its clients have gone
		}
	}
	if j == nil {
		return false
	}
	sh.run(j, p, now)
	fn.came(p)
	// A worker that asks for work on its own is awake: another worker needs the NOOP more.
	p.rouse()
	if j.where == onDisk {
		s.fetch(p, t, j, a.timeout, fx)
		return true
	}
	if a.timeout >= 0 {
		p.limitJob(j, now.Add(a.timeout), fx)
	}
	s.sendJob(p, t, j, j.handOut(), fx)
	return true
}

// sendJob sends the JOB_ASSIGN packet that answers packet t. It takes over the reference in argument.
func (s *Sched) sendJob(p *Peer, t codec.Type, j *job, argument payload.View, fx *Effects) {
	start := len(fx.args)
	b := s.AppendHandle(fx.args, j.number)
	b = append(append(b, 0), j.fn.name...)
	answer := codec.JobAssign
	reducer := j.rest().reducer
	switch {
	case t == codec.GrabJobAll && reducer != "":
		answer = codec.JobAssignAll
	case t == codec.GrabJobAll, t == codec.GrabJobUniq:
		answer = codec.JobAssignUniq
	}
	if answer != codec.JobAssign {
		b = append(append(b, 0), j.shownUnique()...)
	}
	if answer == codec.JobAssignAll {
		b = append(append(b, 0), reducer...)
	}
	b = append(b, 0)
	fx.args = b
	fx.add(p, answer, start).Body = argument
}

// handOut returns the job's argument with a reference for the worker. If the job can be handed out only once,
// it frees the scheduler's own reference, so that a large argument does not occupy memory while the job runs.
func (j *job) handOut() payload.View {
	argument := j.argument()
	if !j.fn.policy().once(j) {
		return argument.Retain()
	}
	where := inRoom
	if argument.Len() > 0 {
		where = spent
	}
	j.dropArgument(where)
	j.refund(argument.Footprint())
	return argument
}

// allYours handles ALL_YOURS: from now on the worker gets jobs without NOOP and GRAB_JOB, one at a time.
func (s *Sched) allYours(p *Peer, now time.Time, fx *Effects) {
	if s.refusesWorker(p, fx) {
		return
	}
	p.push = true
	s.Push(p, now, fx)
}

// pushOn is Push at the end of a call that must not be repeated. If Push asks for that (Effects.Again), the
// worker goes to sleep instead. The jobs that are left wake it, and the caller then calls Push.
func (s *Sched) pushOn(p *Peer, now time.Time, fx *Effects) {
	if s.Push(p, now, fx); fx.Again {
		fx.Again = false
		s.sleep(p, now, fx)
	}
}

// Push sends a job to a worker that sent ALL_YOURS, or puts it to sleep until there is one. The caller calls
// it instead of sending NOOP to such a worker. A worker that has not finished its last job gets none.
func (s *Sched) Push(p *Peer, now time.Time, fx *Effects) {
	switch {
	case p.Gone():
	case len(p.doing) > 0 || len(p.late) > 0:
		s.comes(p, now, fx) // if it was called for a job, that needs another worker
	case s.assign(p, codec.GrabJob, now, fx):
		s.comes(p, now, fx)
	case !fx.Again:
		s.sleep(p, now, fx)
	}
}

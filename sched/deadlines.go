package sched

import (
	"container/heap"
	"time"

	"gearloop/codec"
)

// deadlines is a heap of a worker's jobs with a limit (CAN_DO_TIMEOUT), earliest first. It belongs to the
// worker's goroutine, as do the fields deadline and limitIndex of these jobs.
type deadlines = jobHeap[byDeadline]

type byDeadline struct{}

func (byDeadline) less(a, b *job) bool { return a.extra.deadline.Before(b.extra.deadline) }
func (byDeadline) index(j *job) *int   { return &j.extra.limitIndex }

// limitJob sets the limit of a job that was sent to the worker. The job's shard is locked.
func (p *Peer) limitJob(j *job, deadline time.Time, fx *Effects) {
	j.more().deadline = deadline
	heap.Push(&p.limits, j)
	p.armLimit(deadline, fx)
}

// unlimit removes a job's limit, if it has one.
func (p *Peer) unlimit(j *job) {
	if x := j.extra; x != nil && !x.deadline.IsZero() {
		heap.Remove(&p.limits, x.limitIndex)
		x.deadline = time.Time{}
	}
}

// armLimit sets the worker's timer to a moment, unless it fires earlier anyway.
func (p *Peer) armLimit(at time.Time, fx *Effects) {
	if p.limitAt.IsZero() || at.Before(p.limitAt) {
		p.limitAt = at
		fx.arm(&p.limit, at)
	}
}

// endLimits removes the limits of all jobs of a worker.
func (p *Peer) endLimits(fx *Effects) {
	fx.Work += len(p.limits) / workDoing
	for _, j := range p.limits {
		j.extra.deadline = time.Time{}
	}
	p.limits, p.limitAt = nil, time.Time{}
	fx.arm(&p.limit, time.Time{})
}

// expire ends the jobs of a worker whose limit (CAN_DO_TIMEOUT) has passed, and sets the timer for the next
// one.
func (s *Sched) expire(p *Peer, now time.Time, fx *Effects) {
	p.limitAt = time.Time{}
	for limit := fx.Work + callJobs; fx.Work < limit; fx.Work++ {
		if len(p.limits) == 0 || p.limits[0].extra.deadline.After(now) {
			break
		}
		s.timeOut(p, p.limits[0], Timeout, now, fx)
	}
	if len(p.limits) > 0 {
		p.armLimit(p.limits[0].extra.deadline, fx)
	}
}

// timeOut takes a job from its worker, which has not reported the end, and notes that the worker may still do
// so.
func (s *Sched) timeOut(p *Peer, j *job, why Outcome, now time.Time, fx *Effects) {
	number := j.number
	p.jobsDone++
	p.failed++
	s.lose(p, j, why, now, fx)
	if s.dialect.LateResult {
		p.owes(number)
	}
}

// owes notes that the peer may still send the result of a job that it no longer has.
func (p *Peer) owes(number uint64) {
	if len(p.late) >= maxLate {
		return
	}
	if p.late == nil {
		p.late = map[uint64]struct{}{}
	}
	p.late[number] = struct{}{}
}

// endExcepted fails the jobs for which a worker has sent only WORK_EXCEPTION. Workers built on libgearman
// consider a job finished with that, and ask for the next one.
func (s *Sched) endExcepted(p *Peer, now time.Time, fx *Effects) {
	if p.excepted == 0 {
		return
	}
	fx.Work += len(p.doing)/workDoing + p.excepted
	for i := 0; p.excepted > 0 && i < len(p.doing); {
		if j := p.doing[i]; j.excepted {
			s.step()
			s.timeOut(p, j, Exception, now, fx) // removes it from doing and moves another into its place
		} else {
			i++
		}
	}
}

// tooManyExcepted reports whether endExcepted must run before one more exception is accepted, because it ends
// all of those jobs in one call.
func (p *Peer) tooManyExcepted(t codec.Type) bool {
	return t == codec.WorkException && p.excepted >= callJobs
}

package sched

import "time"

// Counters count what happened to jobs. They only go up. Those of a function begin when it becomes known and
// end when it is forgotten, unless they outlive it (own.go). Sched.Counters has the sums of all functions since
// the scheduler was made.
//
// Foreground + Background + Adopted - Coalesced is the number of jobs ever made: those that ended and those that
// exist.
type Counters struct {
	Foreground uint64 // submissions taken in with somebody who listens
	Background uint64 // the others
	Coalesced  uint64 // of both, those that joined a job that was there
	Adopted    uint64 // jobs that were stored earlier (Sched.Adopt); their times begin there
	HandedOut  uint64 // JOB_ASSIGN and its like; a job counts each time
	PutBack    uint64 // jobs taken from a worker, for another

	Refused [Refusals]uint64 // submissions, by Refusal
	Ended   [Outcomes]uint64 // jobs, by Outcome
}

// subtract takes other, which is a part of c, from it.
func (c *Counters) subtract(other *Counters) {
	c.Foreground -= other.Foreground
	c.Background -= other.Background
	c.Coalesced -= other.Coalesced
	c.Adopted -= other.Adopted
	c.HandedOut -= other.HandedOut
	c.PutBack -= other.PutBack
	for i, n := range other.Refused {
		c.Refused[i] -= n
	}
	for i, n := range other.Ended {
		c.Ended[i] -= n
	}
}

// Refusal says why a submission was not taken in.
type Refusal uint8

const (
	NoMemory   Refusal     = iota // --max-memory
	QueueFull                     // maxqueue
	StoreFails                    // the store takes no job now
	TooMany                       // MaxListeners, MaxJoins, MaxWaiters
	Closed                        // somebody has closed the function
	Refusals   = int(iota)        // how many there are

	admitted = Refusal(Refusals) // it was not refused
)

var refusalNames = [Refusals]string{"memory", "maxqueue", "store", "listeners", "closed"}

// String returns the refusal as a metric's label has it.
func (r Refusal) String() string { return refusalNames[r] }

// counted returns the function's counters, to be changed.
func (fn *function) counted() *Counters {
	if fn.counters == nil {
		fn.counters = &Counters{}
		if fn.own != nil {
			fn.own.counters = fn.counters
		}
	}
	return fn.counters
}

// submitted counts a submission that was taken in.
func (c *Counters) submitted(background, joins bool) {
	if background {
		c.Background++
	} else {
		c.Foreground++
	}
	if joins {
		c.Coalesced++
	}
}

// Add adds other to c.
func (c *Counters) Add(other *Counters) {
	c.Foreground += other.Foreground
	c.Background += other.Background
	c.Coalesced += other.Coalesced
	c.Adopted += other.Adopted
	c.HandedOut += other.HandedOut
	c.PutBack += other.PutBack
	for i, n := range other.Refused {
		c.Refused[i] += n
	}
	for i, n := range other.Ended {
		c.Ended[i] += n
	}
}

// moment is a point in time: nanoseconds since Config.Start. It takes a third of a time.Time, and where the
// clock has a monotonic reading it does not go back when the clock is set.
type moment int64

// moment returns when now is.
func (s *Sched) moment(now time.Time) moment { return moment(now.Sub(s.cfg.Start)) }

// time returns a moment as a time.
func (s *Sched) time(m moment) time.Time { return s.cfg.Start.Add(time.Duration(m)) }

// until returns how long it is to a later moment; 0 where turns of different loops overlap and it is earlier.
func (m moment) until(later moment) time.Duration { return max(0, time.Duration(later-m)) }

// waitsSince returns since when a job that is queued could have been done: a job that was put back, since it
// was ready for the first time.
func (j *job) waitsSince() moment {
	if due := j.rest().due; !due.IsZero() {
		return max(j.created, j.fn.shard.sched.moment(due))
	}
	return j.created
}

// oldest returns since when the job has waited that has waited longest, as far as the ends of queues tell: a
// job that was put back stands behind younger ones until they are gone. false: none waits.
func (fn *function) oldest() (since moment, ok bool) {
	for i := range fn.queues {
		q := &fn.queues[i]
		for _, j := range [...]*job{q.head, q.tail} {
			if j == nil {
				continue
			}
			if at := j.waitsSince(); !ok || at < since {
				since, ok = at, true
			}
		}
	}
	return since, ok
}

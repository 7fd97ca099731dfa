package sched

import "time"

// Counters count events of jobs. They only increase. Those of a function begin when it becomes known and end
// when it is forgotten, unless it has numbers of its own (own.go). Sched.Counters sums them over all
// functions since the scheduler was made.
//
// Foreground + Background + Adopted - Coalesced is the number of jobs ever made: those that have ended plus
// those that exist.
type Counters struct {
	Foreground uint64 // accepted submissions with a listener
	Background uint64 // accepted submissions without
	Coalesced  uint64 // the part of both that joined an existing job
	Adopted    uint64 // jobs stored by an earlier run (Sched.Adopt); their times begin there
	HandedOut  uint64 // JOB_ASSIGN and its variants; a job counts each time
	PutBack    uint64 // jobs taken from a worker for another one
	// HeldBack counts jobs that a pause keeps from workers: those that wait when their function is paused, and
	// those that become ready while it is. A job counts once for each pause.
	HeldBack uint64

	Refused [Refusals]uint64 // submissions, by Refusal
	Ended   [Outcomes]uint64 // jobs, by Outcome
}

// Refusal is the reason why a submission was refused.
type Refusal uint8

const (
	NoMemory   Refusal     = iota // --max-memory
	QueueFull                     // maxqueue
	StoreFails                    // the store accepts no jobs
	TooMany                       // MaxListeners, MaxJoins, MaxWaiters
	Closed                        // an operator closed the function
	Refusals   = int(iota)        // number of reasons

	admitted = Refusal(Refusals) // not refused
)

var refusalNames = [Refusals]string{"memory", "maxqueue", "store", "listeners", "closed"}

// String returns the value of the metric's label.
func (r Refusal) String() string { return refusalNames[r] }

// counted returns the function's counters for writing.
func (fn *function) counted() *Counters {
	if fn.counters == nil {
		fn.counters = &Counters{}
		if fn.own != nil {
			fn.own.counters = fn.counters
		}
	}
	return fn.counters
}

// sums returns the shard's counters of which those of the function are a part.
func (sh *shard) sums(fn *function) *Counters {
	if fn.own != nil {
		return &sh.owned
	}
	return &sh.others
}

// addTo adds the counters of all functions of the shard to c. The shard is locked.
func (sh *shard) addTo(c *Counters) {
	c.Add(&sh.others)
	c.Add(&sh.owned)
}

// holdBack counts jobs that wait because the function is paused. The shard is locked.
func (fn *function) holdBack(jobs int) {
	if jobs > 0 {
		fn.counted().HeldBack += uint64(jobs)
		fn.shard.sums(fn).HeldBack += uint64(jobs)
	}
}

// submitted counts an accepted submission.
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
	c.HeldBack += other.HeldBack
	for i, n := range other.Refused {
		c.Refused[i] += n
	}
	for i, n := range other.Ended {
		c.Ended[i] += n
	}
}

// moment is a point in time: nanoseconds since Config.Start. It needs a third of the space of a time.Time.
// With a monotonic clock reading it does not jump when the clock is set.
type moment int64

// moment converts now.
func (s *Sched) moment(now time.Time) moment { return moment(now.Sub(s.cfg.Start)) }

// time converts a moment to a time.
func (s *Sched) time(m moment) time.Time { return s.cfg.Start.Add(time.Duration(m)) }

// until returns the time to a later moment. It is 0 where later is earlier, which happens between loops whose
// turns overlap.
func (m moment) until(later moment) time.Duration { return max(0, time.Duration(later-m)) }

// waitsSince returns since when a queued job could have run; for a job that was put back, since it was first
// ready.
func (j *job) waitsSince() moment {
	if due := j.rest().due; !due.IsZero() {
		return max(j.created, j.fn.shard.sched.moment(due))
	}
	return j.created
}

// oldest returns since when the longest-waiting job has waited, judged by the ends of the queues: a job that
// was put back may stand behind younger ones. It returns false if no job waits.
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

package sched

import "gearloop/internal/dialect"

// policy is what the protocol leaves to the server about the life of a job. It is consulted when a decision
// is made and never copied into a job.
type policy struct {
	lost     dialect.Lost // when the connection of a job's worker ends
	timedOut dialect.Lost // when a job's worker runs out of time, or asks for a job after a bare WORK_EXCEPTION
	// losses is how many workers may lose a job before it fails; <= 0 means no bound.
	losses int
	// evicts says that a new job which finds maxqueue jobs queued evicts the newest of them. Otherwise the new
	// job is refused, and running and delayed jobs count as well.
	evicts bool
	// keepsArguments keeps the argument of every job until its end.
	keepsArguments bool
	// highNewestFirst hands out jobs of high priority newest first.
	highNewestFirst bool
}

// defaultPolicy returns the dialect's policy for all functions.
func defaultPolicy(cfg *Config) policy {
	d := cfg.Dialect
	return policy{
		lost: d.LostJob, timedOut: d.TimedOut, losses: cfg.JobRetries,
		evicts: d.QueueEvicts, highNewestFirst: d.HighNewestFirst, keepsArguments: cfg.KeepArguments,
	}
}

// policy returns the function's policy.
func (fn *function) policy() *policy { return &fn.shard.sched.policy }

// again reports whether another worker gets a job that its worker will not finish. o is the reason:
// WorkerLost, Timeout or Exception. j.retries already counts this loss.
func (p *policy) again(j *job, o Outcome) bool {
	how := p.timedOut
	if o == WorkerLost {
		how = p.whenLost(j)
	}
	return how == dialect.LostRequeues && j.wanted() && !j.isBare() && (p.losses <= 0 || int(j.retries) < p.losses)
}

// whenLost returns what happens to a job whose worker's connection ends. A stored job was promised to be
// done.
func (p *policy) whenLost(j *job) dialect.Lost {
	if j.keeping != notKept {
		return dialect.LostRequeues
	}
	return p.lost
}

// once reports whether a job is handed out only once, so that its argument is not needed afterwards.
func (p *policy) once(j *job) bool {
	return !p.keepsArguments && p.timedOut == dialect.LostFails && p.whenLost(j) == dialect.LostFails
}

// room reports whether a new job of a priority may be queued under the function's maxqueue, and how many
// queued jobs it evicts.
func (p *policy) room(fn *function, pr priority) (evict int, ok bool) {
	bound := int(fn.maxQueue[pr])
	switch {
	case bound < 0:
		return 0, true
	case bound == 0: // nothing may be queued; jobs queued already were accepted earlier
		return 0, false
	case p.evicts:
		return max(fn.queued()+1-bound, 0), true
	}
	return 0, fn.jobs < bound
}

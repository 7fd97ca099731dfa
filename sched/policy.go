package sched

import "gearloop/internal/dialect"

// policy is what the protocol leaves to the server about the life of a job. It is looked at when a decision
// is made and never copied into a job.
type policy struct {
	lost     dialect.Lost // the connection of a job's worker ends
	timedOut dialect.Lost // a job's worker runs out of time, or asks for more after WORK_EXCEPTION alone
	// losses is how many workers may lose a job until it fails; <= 0 is no bound.
	losses int
	// evicts has the newest queued job go when a new one finds maxqueue jobs queued. Otherwise the new one is
	// refused, and jobs that run or are delayed count, too.
	evicts bool
	// keepsArguments keeps the arguments of all jobs that workers have.
	keepsArguments bool
	// highNewestFirst hands out the newest of the jobs of high priority first.
	highNewestFirst bool
}

// defaultPolicy returns what the dialect has for all functions.
func defaultPolicy(cfg *Config) policy {
	d := cfg.Dialect
	return policy{
		lost: d.LostJob, timedOut: d.TimedOut, losses: cfg.JobRetries,
		evicts: d.QueueEvicts, highNewestFirst: d.HighNewestFirst, keepsArguments: cfg.KeepArguments,
	}
}

// policy returns what holds for the function.
func (fn *function) policy() *policy { return &fn.shard.sched.policy }

// again reports whether another worker gets a job that its worker will not finish. o is why: WorkerLost,
// Timeout or Exception. j.retries has been counted up for it.
func (p *policy) again(j *job, o Outcome) bool {
	how := p.timedOut
	if o == WorkerLost {
		how = p.whenLost(j)
	}
	return how == dialect.LostRequeues && j.wanted() && !j.isBare() && (p.losses <= 0 || int(j.retries) < p.losses)
}

// whenLost returns what becomes of a job whose worker's connection ends. One that is stored was promised to
// be done.
func (p *policy) whenLost(j *job) dialect.Lost {
	if j.keeping != notKept {
		return dialect.LostRequeues
	}
	return p.lost
}

// once reports whether a job is handed out only once, so that its argument is not needed after that.
func (p *policy) once(j *job) bool {
	return !p.keepsArguments && p.timedOut == dialect.LostFails && p.whenLost(j) == dialect.LostFails
}

// room reports whether a new job of a priority may be queued under the function's maxqueue, and how many
// queued jobs have to go for it.
func (p *policy) room(fn *function, pr priority) (evict int, ok bool) {
	bound := int(fn.maxQueue[pr])
	switch {
	case bound < 0:
		return 0, true
	case bound == 0: // nothing may be queued, but what is queued already was taken in earlier
		return 0, false
	case p.evicts:
		return max(fn.queued()+1-bound, 0), true
	}
	return 0, fn.jobs < bound
}

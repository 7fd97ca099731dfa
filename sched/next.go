package sched

// NextJobs returns the jobs of a function that wait, in the order in which workers get them: most of them at
// most, from the first one on, or those behind the job with a number. Where that job has gone, so have those
// before it in general: the list begins anew. more: others follow.
func (s *Sched) NextJobs(function string, behind uint64, most int) (found []JobDetail, more bool) {
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	fn := sh.functions[function]
	if fn == nil {
		return nil, false
	}
	from := fn.first()
	if behind != 0 && s.shardOfJob(behind) == sh {
		if j := sh.jobs.get(behind); j != nil && j.fn == fn && j.state == queued {
			from = fn.after(j)
		}
	}
	for ; from != nil; from = fn.after(from) {
		if len(found) == most {
			return found, true
		}
		found = append(found, from.detail())
	}
	return found, false
}

// after returns the job that is handed out after a queued one, or nil. The shard is locked.
func (fn *function) after(j *job) *job {
	if j.next != nil {
		return j.next
	}
	for p := int(j.priority) + 1; p < Priorities; p++ {
		if next := fn.queues[p].head; next != nil {
			return next
		}
	}
	return nil
}

// FunctionTimes returns the times of a function's jobs since the start; false if it has no histograms of its
// own.
func (s *Sched) FunctionTimes(function string) (t Times, ok bool) {
	sh := s.shardOf([]byte(function))
	sh.lock()
	defer sh.mu.Unlock()
	if o := sh.own[function]; o != nil && o.times != nil {
		return *o.times, true
	}
	return t, false
}

// Submitters returns the connections that wait for a job, the first to submit it first: most of them at most.
// Who submitted a background job is not kept.
func (s *Sched) Submitters(handle string, most int) (all []*Peer) {
	j, sh := s.lockJob(handle)
	if j == nil {
		return nil
	}
	defer sh.mu.Unlock()
	if j.listener == nil {
		return nil
	}
	if !j.listener.Gone() {
		all = append(all, j.listener)
	}
	for i, p := range j.rest().listeners {
		if len(all) == most || i == aheadMost { // many may have gone
			break
		}
		if !p.Gone() {
			all = append(all, p)
		}
	}
	return all
}

package sched

import "time"

// Meant selects jobs for a BulkWalk. A job must match every field that is set.
type Meant struct {
	// AsOf excludes jobs submitted after it, so that jobs which arrive during the walk are not touched; zero
	// excludes none. The time of a job that was stored before this process began is when it was adopted.
	AsOf time.Time
	// Function selects the jobs of one function; "" selects all functions.
	Function string
	// Quick filters jobs. It runs with a lock held: it must be fast and must not call the scheduler. state is as
	// in JobInfo. nil selects all.
	Quick func(function string, priority int, state string) bool
	// Whole filters the jobs that Quick selected. It runs without a lock. nil selects all.
	Whole func(*JobDetail) bool
}

// TimeOfJobs converts now to the clock that jobs use, which does not jump when the system's clock is set. The
// result can be stored and used as Meant.AsOf.
func (s *Sched) TimeOfJobs(now time.Time) time.Time { return s.time(s.moment(now)) }

// BulkWalk applies an act to all selected jobs, for each function in the order of submission. It works in
// steps; other calls are served in between, and no lock is held for longer than one job takes. A caller that
// stops calling Next pauses it, and may continue later. A job is changed only if it is still in the state in
// which it was found. See the package comment on walks.
type BulkWalk struct {
	sched *Sched
	scan  *JobScan
	act   Act
	count bool // count only, change nothing
	meant Meant
	part  []JobDetail
	// fronts holds, for each queue, the number of the job moved to the front last: the next one goes behind it,
	// which keeps their order. Only queues of the current shard are in it.
	fronts map[queueOf]uint64
	shard  int

	matched, changed, looked int
}

// queueOf identifies a queue.
type queueOf struct {
	function string
	priority int
}

// CountJobs returns a walk that counts the jobs that an act would change.
func (s *Sched) CountJobs(act Act, meant Meant) *BulkWalk {
	w := s.Bulk(act, meant)
	w.count = true
	return w
}

// Bulk returns a walk that applies an act to all selected jobs whose state allows it. It has done nothing
// yet.
func (s *Sched) Bulk(act Act, meant Meant) *BulkWalk {
	return &BulkWalk{sched: s, scan: s.ScanJobs(0, meant.Function), act: act, meant: meant}
}

// Next takes a step of at most a few hundred microseconds.
func (w *BulkWalk) Next(now time.Time, fx *Effects) (more bool) {
	if w.scan.shard != w.shard {
		w.shard, w.fronts = w.scan.shard, nil
	}
	w.part, more = w.scan.Next(w.part[:0], w.mayMean)
	w.looked += w.scan.Jobs()
	for i := range w.part {
		d := &w.part[i]
		if !w.meant.AsOf.IsZero() && d.Submitted.After(w.meant.AsOf) || w.meant.Whole != nil && !w.meant.Whole(d) {
			continue
		}
		w.matched++
		if !w.count && w.do(d, now, fx) {
			w.changed++
		}
	}
	return more
}

// mayMean applies the filters that need no detail of the job.
func (w *BulkWalk) mayMean(function string, priority int, state string) bool {
	return w.act.For(state) && (w.meant.Function == "" || function == w.meant.Function) &&
		(w.meant.Quick == nil || w.meant.Quick(function, priority, state))
}

// do applies the act to a job, if the job is still as it was found.
func (w *BulkWalk) do(d *JobDetail, now time.Time, fx *Effects) (changed bool) {
	sh := w.sched.shardOfJob(d.Number)
	w.sched.step()
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(d.Number)
	if j == nil || j.state.String() != d.State || int(j.priority) != d.Priority || j.onWorker() && j.worker != d.Worker {
		return false
	}
	fx.Work++
	if w.act != MoveToFront {
		changed, _ = sh.do(w.act, j, nil, now, fx)
		return changed
	}
	at := queueOf{d.Function, d.Priority}
	before := sh.jobs.get(w.fronts[at])
	if before != nil && (before.fn != j.fn || before.state != j.state || before.priority != j.priority) {
		before = nil // it was handed out, and so were those in front of it
	}
	changed, _ = sh.do(w.act, j, before, now, fx)
	if w.fronts == nil {
		w.fronts = map[queueOf]uint64{}
	}
	w.fronts[at] = d.Number
	return changed
}

// Matched returns the number of jobs selected so far.
func (w *BulkWalk) Matched() int { return w.matched }

// Changed returns the number of jobs changed so far. Jobs that already were as wanted, or had changed their
// state meanwhile, do not count.
func (w *BulkWalk) Changed() int { return w.changed }

// Looked returns the number of jobs examined so far.
func (w *BulkWalk) Looked() int { return w.looked }

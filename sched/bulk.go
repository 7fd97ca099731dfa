package sched

import "time"

// Meant says which jobs a BulkWalk is for: those for which all that is set holds.
type Meant struct {
	// AsOf leaves out jobs that were submitted later, so that what comes while the walk is under way is not touched; zero:
	// none are. Jobs that were stored earlier count from when they were adopted.
	AsOf time.Time
	// Function is the one function whose jobs are meant, "" for those of all.
	Function string
	// Quick is called with a lock held: it must be quick and call nothing of the scheduler. State is as in JobInfo. nil is
	// all.
	Quick func(function string, priority int, state string) bool
	// Whole is called without a lock for those for which Quick holds. nil is all.
	Whole func(*JobDetail) bool
}

// TimeOfJobs returns a moment as the times of jobs tell it, which the system's clock does not change when it is set: to be
// sent somewhere and to come back as Meant.AsOf.
func (s *Sched) TimeOfJobs(now time.Time) time.Time { return s.time(s.moment(now)) }

// BulkWalk does something with all jobs that are meant, in the order of submission for each function, a step at a time;
// other calls are served between steps, and no lock is held for longer than one job takes. Who stops calling Next stops
// it, and may go on later. A job is done something with only if it is still in the state in which it was found. Of walks
// see the package comment.
type BulkWalk struct {
	sched *Sched
	scan  *JobScan
	act   Act
	count bool // nothing is done
	meant Meant
	part  []JobDetail
	// fronts are the numbers of the jobs that were put in front last, by queue, so that those that come after them keep
	// their order. Only those of the shard that is walked through are kept.
	fronts map[queueOf]uint64
	shard  int

	matched, changed, looked int
}

// queueOf names a queue.
type queueOf struct {
	function string
	priority int
}

// CountJobs begins to count the jobs that an act would be done with.
func (s *Sched) CountJobs(act Act, meant Meant) *BulkWalk {
	w := s.Bulk(act, meant)
	w.count = true
	return w
}

// Bulk begins to do something with all jobs that are meant and in a state for it. The walk has done nothing yet.
func (s *Sched) Bulk(act Act, meant Meant) *BulkWalk {
	return &BulkWalk{sched: s, scan: s.ScanJobs(0, meant.Function), act: act, meant: meant}
}

// Next takes a step, of some hundred microseconds at most.
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

// mayMean is what can be said of a job quickly.
func (w *BulkWalk) mayMean(function string, priority int, state string) bool {
	return w.act.For(state) && (w.meant.Function == "" || function == w.meant.Function) &&
		(w.meant.Quick == nil || w.meant.Quick(function, priority, state))
}

// do does with a job what is to be done, if it is as it was found.
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
		before = nil // it was handed out, and with it those in front of it
	}
	changed, _ = sh.do(w.act, j, before, now, fx)
	if w.fronts == nil {
		w.fronts = map[queueOf]uint64{}
	}
	w.fronts[at] = d.Number
	return changed
}

// Matched returns how many jobs were meant until now.
func (w *BulkWalk) Matched() int { return w.matched }

// Changed returns how many of these something was done with: not those that were so already, or had gone on meanwhile.
func (w *BulkWalk) Changed() int { return w.changed }

// Looked returns how many jobs were looked at until now.
func (w *BulkWalk) Looked() int { return w.looked }

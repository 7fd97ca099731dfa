package sched

import (
	"slices"

	"gearloop/store"
)

// JobScan goes through jobs in an order that stays: by shard, and in a shard by number, which is the order of
// submission. It can be left and begun again where it was (At) or behind a job (Behind), so a list can be read in pages;
// jobs that are there all the time come exactly once. Of walks see the package comment.
type JobScan struct {
	effort
	sched *Sched
	shard int
	last  int    // the last shard to look at
	from  uint64 // the first number that is meant in this shard; 0: all are

	jobs int // that the last step looked at

	gathering mapSteps
	pages     []uint64 // numbers of pages, those that are left to look at
	gathered  bool     // all of them, in order
}

// scanPages is how many numbers of pages a step gathers.
const scanPages = 1024

// ScanJobs begins to go through all jobs from a number on, which is 0, At or Behind. With a function it is its jobs,
// and those of some others.
func (s *Sched) ScanJobs(from uint64, function string) *JobScan {
	w := &JobScan{sched: s, last: shardCount - 1, from: from}
	if from > 0 {
		w.shard = store.ShardOfNumber(from)
	}
	if function != "" {
		w.last = s.shardOf([]byte(function)).index
		if w.shard < w.last {
			w.shard, w.from = w.last, 0
		}
	}
	return w
}

// Behind returns from where on a scan goes on behind a job with a number.
func Behind(number uint64) uint64 { return number + shardCount }

// Jobs returns how many jobs the last step looked at.
func (w *JobScan) Jobs() int { return w.jobs }

// At returns from where on a scan goes on that is begun later, where this one is now.
func (w *JobScan) At() uint64 {
	at := uint64(w.shard) + 1
	if w.gathered && len(w.pages) > 0 {
		at += w.pages[0] * pageJobs * shardCount
	}
	return max(at, w.from)
}

// Next takes a step: it appends what can be told of some jobs for which keep returns true. keep is called with a lock
// held, must be quick, and call nothing of the scheduler.
func (w *JobScan) Next(dst []JobDetail, keep func(function string, priority int, state string) bool) (_ []JobDetail, more bool) {
	w.jobs = 0
	switch {
	case w.shard > w.last:
		return dst, false
	case !w.gathered:
		w.gather()
		return dst, true
	}
	sh := &w.sched.shards[w.shard]
	seen := 0
	sh.lock()
	for seen+pageJobs <= walkJobs && len(w.pages) > 0 {
		at := w.pages[0]
		w.pages = w.pages[1:]
		page := sh.jobs.pages[at]
		seen++
		if page == nil {
			continue
		}
		for _, j := range page.jobs {
			if j == nil || j.number < w.from {
				continue
			}
			seen++
			w.jobs++
			if keep(j.fn.name, int(j.priority), j.state.String()) {
				dst = append(dst, j.detail())
			}
		}
	}
	sh.mu.Unlock()
	w.sched.step()
	w.effort = effort(seen)
	if len(w.pages) == 0 {
		w.shard++
		w.from, w.gathered, w.gathering = 0, false, mapSteps{}
	}
	return dst, w.shard <= w.last
}

// gather finds some of the pages of the shard.
func (w *JobScan) gather() {
	sh := &w.sched.shards[w.shard]
	first := uint64(0)
	if w.from > 0 {
		first, _ = locate(w.from)
	}
	n := 0
	sh.lock()
	for ; n < scanPages; n++ {
		if !w.gathering.next(sh.jobs.pages) {
			w.gathered = true
			break
		}
		if at := w.gathering.iter.Key().Uint(); at >= first {
			w.pages = append(w.pages, at)
		}
	}
	sh.mu.Unlock()
	w.sched.step()
	if w.gathered {
		slices.Sort(w.pages)
	}
	w.effort = effort(n / 8)
}

// Size is what the order of pages takes.
func (w *JobScan) Size() int { return 8 * cap(w.pages) }

// aheadMost bounds how many jobs Ahead counts.
const aheadMost = 512

// Ahead returns how many jobs of its function come before a job that waits; ok is false for other jobs, and for one
// that has more than some hundred of its own priority before it.
func (s *Sched) Ahead(handle string) (n int, ok bool) {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return 0, false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(number)
	if j == nil || j.state != queued {
		return 0, false
	}
	if n, ok = j.ahead(); !ok {
		return 0, false
	}
	return n, true
}

// ahead returns how many jobs of its function come before a job that is queued, and whether these are all. The shard is
// locked.
func (j *job) ahead() (n int, all bool) {
	for p := range j.priority {
		n += int(j.fn.waiting[p])
	}
	b := j.prev
	for at := 0; b != nil && at < aheadMost; at++ {
		n++
		b = b.prev
	}
	return n, b == nil
}

// FunctionScan goes through functions as a FunctionWalk does, but in no particular order: for half of the work, and
// without keeping anything. Of walks see the package comment.
type FunctionScan struct {
	effort
	sched     *Sched
	shard     int
	functions mapSteps
}

// ScanFunctions begins to go through the functions.
func (s *Sched) ScanFunctions() *FunctionScan { return &FunctionScan{sched: s} }

// Next takes a step.
func (w *FunctionScan) Next(dst []FunctionStats) (_ []FunctionStats, more bool) {
	for w.effort = 0; w.shard < shardCount && w.effort < walkFunctions; {
		sh := &w.sched.shards[w.shard]
		sh.lock()
		for ; w.effort < walkFunctions; w.effort++ {
			if !w.functions.next(sh.functions) {
				w.shard++
				break
			}
			if fn := w.functions.iter.Value().Interface().(*function); fn.shown() {
				dst = append(dst, fn.stats())
			}
		}
		sh.mu.Unlock()
		w.sched.step()
	}
	return dst, w.shard < shardCount
}

// Size is 0.
func (w *FunctionScan) Size() int { return 0 }

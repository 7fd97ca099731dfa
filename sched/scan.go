package sched

import (
	"slices"

	"gearloop/store"
)

// JobScan goes through jobs in a stable order: by shard, and in a shard by number, which is the order of
// submission. It can be resumed where it was (At) or behind a job (Behind), so a list can be read in pages; a
// job that exists all the time is returned exactly once. See the package comment on walks.
type JobScan struct {
	effort
	sched *Sched
	shard int
	last  int    // the last shard to examine
	from  uint64 // the first number to examine in this shard; 0: all

	jobs int // examined by the last step

	gathering mapSteps
	pages     []uint64 // numbers of the pages that are left, in order once gathered
	gathered  bool     // pages is complete and sorted
}

// scanPages is how many page numbers a step gathers.
const scanPages = 1024

// ScanJobs returns a scan of all jobs from a number on, which is 0, At or Behind. With a function it is
// limited to that function's shard, and returns jobs of some others as well.
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

// Behind returns the number at which a scan continues behind a job.
func Behind(number uint64) uint64 { return number + shardCount }

// Jobs returns how many jobs the last step examined.
func (w *JobScan) Jobs() int { return w.jobs }

// At returns the number at which a later scan continues where this one is now.
func (w *JobScan) At() uint64 {
	at := uint64(w.shard) + 1
	if w.gathered && len(w.pages) > 0 {
		at += w.pages[0] * pageJobs * shardCount
	}
	return max(at, w.from)
}

// Next takes a step: it appends the jobs for which keep returns true. keep runs with a lock held: it must be
// fast and must not call the scheduler.
func (w *JobScan) Next(
	dst []JobDetail, keep func(function string, priority int, state string) bool,
) (_ []JobDetail, more bool) {
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

// gather collects some page numbers of the shard.
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

// Size is the memory of the page numbers, in bytes.
func (w *JobScan) Size() int { return 8 * cap(w.pages) }

// aheadMost is how many jobs Ahead counts at most.
const aheadMost = 512

// Ahead returns how many jobs of its function precede a waiting job. ok is false for other jobs, and for one
// that has more than some hundred of its own priority before it.
func (s *Sched) Ahead(handle string) (n int, ok bool) {
	j, sh := s.lockJob(handle)
	if j == nil {
		return 0, false
	}
	defer sh.mu.Unlock()
	if j.state != queued {
		return 0, false
	}
	if n, ok = j.ahead(); !ok {
		return 0, false
	}
	return n, true
}

// ahead returns how many jobs of its function precede a queued job, and whether that is the exact number. The
// shard is locked.
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

// FunctionScan goes through functions as FunctionWalk does, but in no particular order: for half the work,
// and without holding memory. A function that is removed and created again meanwhile may come twice. See the
// package comment on walks.
type FunctionScan struct {
	effort
	sched     *Sched
	shard     int
	functions mapSteps
}

// ScanFunctions returns a scan of all functions.
func (s *Sched) ScanFunctions() *FunctionScan { return &FunctionScan{sched: s} }

// Next takes a step.
func (w *FunctionScan) Next(dst []FunctionStats) (_ []FunctionStats, more bool) {
	more = w.step(func(fn *function) {
		if fn.shown() {
			dst = append(dst, fn.stats())
		}
	})
	return dst, more
}

// step calls f for some functions, with their shard locked.
func (w *FunctionScan) step(f func(*function)) (more bool) {
	for w.effort = 0; w.shard < shardCount && w.effort < walkFunctions; {
		sh := &w.sched.shards[w.shard]
		sh.lock()
		for ; w.effort < walkFunctions; w.effort++ {
			if !w.functions.next(sh.functions) {
				w.shard++
				break
			}
			f(w.functions.iter.Value().Interface().(*function))
		}
		sh.mu.Unlock()
		w.sched.step()
	}
	return w.shard < shardCount
}

// Size is 0.
func (w *FunctionScan) Size() int { return 0 }

// PeerScan goes through all connections in no particular order, without describing them. See the package
// comment on walks.
type PeerScan struct {
	effort
	sched *Sched
	peers mapSteps
}

// ScanPeers returns a scan of all connections.
func (s *Sched) ScanPeers() *PeerScan { return &PeerScan{sched: s} }

// Next takes a step.
func (w *PeerScan) Next(dst []*Peer) (_ []*Peer, more bool) {
	n := w.sched.somePeers(&w.peers, func(_ int, p *Peer) { dst = append(dst, p) })
	w.effort = effort(n)
	return dst, n == walkPeers
}

// Size is 0.
func (w *PeerScan) Size() int { return 0 }

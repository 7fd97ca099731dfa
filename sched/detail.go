package sched

import (
	"cmp"
	"io"
	"slices"
	"time"

	"gearloop/store"
)

// JobDetail describes a job completely.
type JobDetail struct {
	JobInfo
	Priority    int       // 0 high, 1 normal, 2 low
	Size        int       // of its argument, in bytes; 0 if the argument was freed when a worker got the job
	Stored      bool      // it survives the process
	Due         time.Time // of a delayed job, zero for others
	Deadline    time.Time // of a running job with a limit, zero for others
	Numerator   string    // of the last WORK_STATUS, "" if there was none
	Denominator string
}

// detail describes the job completely. The shard is locked.
func (j *job) detail() JobDetail {
	x := j.rest()
	d := JobDetail{
		JobInfo: j.info(), Priority: int(j.priority), Size: j.argument().Len(), Stored: j.keeping == kept,
		Deadline: x.deadline, Numerator: x.numerator, Denominator: x.denominator,
	}
	if j.state == delayed {
		d.Due = x.due
	}
	if j.where == onDisk {
		d.Size = x.size
	}
	return d
}

// Job describes the job with that handle.
func (s *Sched) Job(handle string) (d JobDetail, ok bool) {
	j, sh := s.lockJob(handle)
	if j == nil {
		return d, false
	}
	defer sh.mu.Unlock()
	return j.detail(), true
}

// JobsByUnique returns the jobs, of any function, with that unique id for which keep holds, in the order of
// ScanJobs from a number on, which is 0 or Behind: most of them at most. more: there are others. keep is
// called without a lock; nil is all.
func (s *Sched) JobsByUnique(unique string, from uint64, keep func(*JobDetail) bool, most int) (found []JobDetail, more bool) {
	first := 0
	if from > 0 {
		first = store.ShardOfNumber(from)
	}
	for i := first; i < shardCount; i++ {
		var part []JobDetail
		sh := &s.shards[i]
		sh.lock()
		for j := sh.sameUnique[unique]; j != nil; j = j.rest().nextSame {
			if i > first || j.number >= from {
				part = append(part, j.detail())
			}
		}
		sh.mu.Unlock()
		s.step()
		slices.SortFunc(part, func(a, b JobDetail) int { return cmp.Compare(a.Number, b.Number) })
		for k := range part {
			switch {
			case keep != nil && !keep(&part[k]):
			case len(found) == most:
				return found, true
			default:
				found = append(found, part[k])
			}
		}
	}
	return found, false
}

// WriteArgument writes a job's argument, which the store alone may have, in pieces of some hundred KiB: first
// it calls begin with the argument's length in bytes, then Write of what that returns. It returns when that
// is over, with ErrNoJob, ErrNoArgument, or the error of the writer or the store. The argument stays what it
// is if the job ends meanwhile, but for one in the store. It must not be called from an event loop.
func (s *Sched) WriteArgument(handle string, begin func(size int) io.Writer) error {
	j, sh := s.lockJob(handle)
	if j == nil {
		return ErrNoJob
	}
	if j.where == onDisk {
		ref, size := j.ref, j.rest().size
		sh.mu.Unlock()
		over := make(chan error, 1)
		s.store.Argument(ref, begin(size), func(err error) { over <- err })
		return <-over
	}
	if j.onWorker() && j.argument().Len() == 0 && !s.policy.keepsArguments {
		sh.mu.Unlock()
		return ErrNoArgument
	}
	argument := j.argument().Keep() // a small one lies in the job, which may end
	sh.mu.Unlock()
	defer argument.Release()
	w := begin(argument.Len())
	for _, piece := range argument.Slices(nil) {
		for len(piece) > 0 {
			n := min(len(piece), writtenPiece)
			if _, err := w.Write(piece[:n]); err != nil {
				return err
			}
			piece = piece[n:]
		}
	}
	return nil
}

// writtenPiece is how much of an argument is written at a time, in bytes.
const writtenPiece = 256 << 10

// FunctionStats describes a function for metrics.
func (s *Sched) FunctionStats(name string) (st FunctionStats, ok bool) {
	sh := s.shardOf([]byte(name))
	sh.lock()
	defer sh.mu.Unlock()
	if fn := sh.functions[name]; fn != nil && fn.shown() {
		return fn.stats(), true
	}
	return st, false
}

// PeerDetail describes a connection beyond its PeerInfo.
type PeerDetail struct {
	ClientID     string
	State        string   // client (registered for nothing), asleep, woken or awake
	Functions    []string // the first that it is registered for
	FunctionsAll int      // how many it is registered for

	Job uint64 // number of a job that it has in hand, the oldest as far as is known; 0: none
}

// Peer describes a connection, with at most most of its functions.
func (s *Sched) Peer(p *Peer, most int) (d PeerDetail) {
	p.mu.Lock()
	d.ClientID, d.FunctionsAll = p.clientID, len(p.abilities)
	for _, a := range p.abilities[:min(most, len(p.abilities))] {
		d.Functions = append(d.Functions, a.fn.name)
	}
	p.mu.Unlock()
	if j, unlock := s.inHand(p); j != nil {
		d.Job = j.number
		unlock()
	}
	d.State = p.stateName(d.FunctionsAll)
	return d
}

// stateName returns PeerDetail.State of a peer that is registered for some functions.
func (p *Peer) stateName(functions int) string {
	switch state := p.state.Load(); {
	case state == sleeping:
		return "asleep"
	case state == woken:
		return "woken"
	case functions == 0:
		return "client"
	}
	return "awake"
}

// PeerWork is what a connection is doing and has done.
type PeerWork struct {
	Jobs      int       // that it has in hand
	Oldest    time.Time // since when it has the one that it has had for longest; zero: none
	Done      uint64    // jobs of which it said WORK_COMPLETE
	Failed    uint64    // jobs that it failed, or did not finish in time
	Submitted uint64    // foreground submissions of it that were taken in; each is sent one end of a job
	Asked     time.Time // when it last asked for a job or went to sleep; zero: it can do no function and never could

	ClientID  string
	State     string // see PeerDetail
	Functions int    // that it is registered for
}

// PeerWork returns what a connection is doing and has done. Only the peer's own goroutine may ask.
func (s *Sched) PeerWork(p *Peer) PeerWork {
	w := PeerWork{
		Jobs: len(p.doing), Done: p.done, Failed: p.failed, Submitted: p.submits,
		ClientID: p.clientID, State: p.stateName(len(p.abilities)), Functions: len(p.abilities),
	}
	if at := p.asked.Load(); at != 0 {
		w.Asked = s.time(moment(at))
	}
	if len(p.doing) == 0 {
		return w
	}
	oldest := p.doing[0].since // which others do not write while a worker has the job
	for _, j := range p.doing[:min(len(p.doing), oldestOf)] {
		oldest = min(oldest, j.since)
	}
	w.Oldest = s.time(oldest)
	return w
}

// Memory returns the bytes charged to Config.MaxMemory.
func (s *Sched) Memory() (n int64) {
	s.eachShard(func(sh *shard) { n += sh.memory })
	return n
}

// WhenAbove requests one call of Config.Grown when jobs have been charged more than n bytes. A later request
// replaces it. Each shard draws on the budget ahead, so the call may come up to a quarter of MaxMemory early.
// Without MaxMemory it never comes.
func (s *Sched) WhenAbove(n int64) { s.budget.alarm.Store(n) }

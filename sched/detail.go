package sched

import "time"

// JobDetail is all that can be told of a job.
type JobDetail struct {
	JobInfo
	Priority    int       // 0 high, 1 normal, 2 low
	Size        int       // of its argument, in bytes; 0 once a worker has it and nobody could need it again
	Stored      bool      // it outlives the process
	Due         time.Time // of a delayed job, zero for others
	Deadline    time.Time // of a running job with a limit, zero for others
	Numerator   string    // of the last WORK_STATUS, "" if there was none
	Denominator string
}

// detail tells all of the job. The shard is locked.
func (j *job) detail() JobDetail {
	x := j.rest()
	d := JobDetail{
		JobInfo: j.info(), Priority: int(j.priority), Size: j.argument.Len(), Stored: j.keeping == kept,
		Deadline: x.deadline, Numerator: x.numerator, Denominator: x.denominator,
	}
	if j.state == delayed {
		d.Due = x.due
	}
	if j.onDisk {
		d.Size = x.size
	}
	return d
}

// Job returns what can be told of the job with that handle.
func (s *Sched) Job(handle string) (d JobDetail, ok bool) {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return d, false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	if j := sh.jobs.get(number); j != nil {
		return j.detail(), true
	}
	return d, false
}

// JobsByUnique returns the jobs, of any function, with that unique id: most of them at most.
func (s *Sched) JobsByUnique(unique string, most int) (found []JobDetail) {
	s.eachShard(func(sh *shard) {
		for j := sh.sameUnique[unique]; j != nil && len(found) < most; j = j.rest().nextSame {
			found = append(found, j.detail())
		}
	})
	return found
}

// Argument appends the first most bytes of a job's argument to dst. whole is the argument's length. ok is false
// when there is no such job, or when the argument is not in memory.
func (s *Sched) Argument(handle string, dst []byte, most int) (_ []byte, whole int, ok bool) {
	number := s.parseHandle([]byte(handle))
	if number == 0 {
		return dst, 0, false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	j := sh.jobs.get(number)
	if j == nil || j.onDisk {
		sh.mu.Unlock()
		return dst, 0, false
	}
	argument := j.argument.Retain() // copied without the lock
	sh.mu.Unlock()
	defer argument.Release()
	for _, piece := range argument.Slices(nil) {
		if most < len(piece) {
			piece = piece[:most]
		}
		dst, most = append(dst, piece...), most-len(piece)
	}
	return dst, argument.Len(), true
}

// FunctionStats returns what can be told of a function.
func (s *Sched) FunctionStats(name string) (st FunctionStats, ok bool) {
	sh := s.shardOf([]byte(name))
	sh.lock()
	defer sh.mu.Unlock()
	if fn := sh.functions[name]; fn != nil && fn.shown() {
		return fn.stats(), true
	}
	return st, false
}

// PeerDetail is what can be told of a connection beside its PeerInfo.
type PeerDetail struct {
	ClientID     string
	State        string   // client (it can do nothing), asleep, woken or awake
	Functions    []string // the first that it can do
	FunctionsAll int      // how many it can do
}

// Peer returns what can be told of a connection, with most of its functions at most.
func (s *Sched) Peer(p *Peer, most int) (d PeerDetail) {
	p.mu.Lock()
	d.ClientID, d.FunctionsAll = p.clientID, len(p.abilities)
	for _, a := range p.abilities[:min(most, len(p.abilities))] {
		d.Functions = append(d.Functions, a.fn.name)
	}
	p.mu.Unlock()
	switch state := p.state.Load(); {
	case state == sleeping:
		d.State = "asleep"
	case state == woken:
		d.State = "woken"
	case d.FunctionsAll == 0:
		d.State = "client"
	default:
		d.State = "awake"
	}
	return d
}

// PeerWork is what a connection is doing and has done.
type PeerWork struct {
	Jobs      int       // that it has in hand
	Oldest    time.Time // since when it has the one that it has had for longest; zero: none
	Done      uint64    // jobs of which it said WORK_COMPLETE
	Failed    uint64    // jobs that it failed, or did not finish in time
	Submitted uint64    // foreground submissions of it that were taken in; each is sent one end of a job
	Asked     time.Time // when it last asked for a job or went to sleep; zero: it can do no function and never could
}

// PeerWork returns what a connection is doing and has done. Only the peer's own goroutine may ask.
func (s *Sched) PeerWork(p *Peer) PeerWork {
	w := PeerWork{Jobs: len(p.doing), Done: p.done, Failed: p.failed, Submitted: p.submits}
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

// Memory returns what is charged to Config.MaxMemory, in bytes.
func (s *Sched) Memory() (n int64) {
	s.eachShard(func(sh *shard) { n += sh.memory })
	return n
}

package sched

import (
	"bytes"
	"strconv"

	"gearloop/codec"
)

// jobStatus is what STATUS_RES tells of a job.
type jobStatus struct {
	known, running         string // "0" or "1"
	numerator, denominator string
	waiting                int // clients that listen
}

// status returns what is known of a job, which may be nil.
func (s *Sched) status(j *job) jobStatus {
	st := jobStatus{"0", "0", s.dialect.NoNumber, s.dialect.NoNumber, 0}
	if j == nil {
		return st
	}
	st.known = "1"
	if j.onWorker() {
		st.running = "1"
	}
	if x := j.rest(); x.hasStatus {
		st.numerator, st.denominator = x.numerator, x.denominator
	}
	st.waiting = j.listening()
	return st
}

// getStatus answers GET_STATUS. A handle with a NUL in it gets no answer, as in the reference.
func (s *Sched) getStatus(p *Peer, handle []byte, fx *Effects) {
	if i := bytes.IndexByte(handle, 0); i >= 0 {
		if !s.dialect.NulEndsHandle {
			return
		}
		handle = handle[:i]
	}
	var st jobStatus
	if number := s.parseHandle(handle); number > 0 {
		sh := s.shardOfJob(number)
		sh.lock()
		j := sh.jobs.get(number)
		st = s.status(j)
		function := ""
		if j != nil {
			function = j.fn.name
		}
		foreign := j == nil && sh.isForeign(number)
		sh.mu.Unlock()
		if j != nil && !p.mayAsk(function) {
			st = s.status(nil)
		}
		if foreign && p.mayAskAll() && s.lookup(p, handle, number, fx) {
			return
		}
	} else {
		st = s.status(nil)
	}
	fx.sendStatus(p, string(handle), st)
}

// sendStatus adds the answer to GET_STATUS.
func (fx *Effects) sendStatus(to *Peer, handle string, st jobStatus) {
	fx.sendArgs(to, codec.StatusRes, handle, st.known, st.running, st.numerator, st.denominator)
}

// getStatusUnique answers GET_STATUS_UNIQUE. A unique id says nothing of the function: all shards
// are asked, and the first job found is told of.
func (s *Sched) getStatusUnique(p *Peer, unique []byte, fx *Effects) {
	st := s.status(nil)
	unique, _, _ = codec.Cut(unique)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		j := p.firstToAsk(sh.sameUnique[string(unique)]) // never one with a key of ours: no argument holds a NUL
		if j != nil {
			st = s.status(j)
		}
		sh.mu.Unlock()
		if j != nil {
			break
		}
	}
	fx.sendArgs(p, codec.StatusResUnique, string(unique), st.known, st.running, st.numerator, st.denominator,
		strconv.Itoa(st.waiting))
}

// mayAsk reports whether a peer may know of the jobs of a function: it submits them, does them or looks at them.
func (p *Peer) mayAsk(function string) bool {
	return p.Access == nil || p.Access.to([]byte(function))&(MaySubmit|MayWork|MayLook) != 0
}

// mayAskAll is mayAsk for jobs of which only another broker knows the function.
func (p *Peer) mayAskAll() bool {
	return p.Access == nil || p.Access.All()&(MaySubmit|MayWork|MayLook) != 0
}

// firstToAsk returns the first job of a chain of jobs with the same unique id that a peer may know of, nil if there is
// none. Of a long chain it does not look at the end: the shard is locked.
func (p *Peer) firstToAsk(j *job) *job {
	if p.Access == nil {
		return j
	}
	for range askedChain {
		if j == nil || p.mayAsk(j.fn.name) {
			return j
		}
		j = j.rest().nextSame
	}
	return nil
}

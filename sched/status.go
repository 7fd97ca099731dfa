package sched

import (
	"bytes"
	"strconv"

	"gearloop/codec"
)

// jobStatus is the content of STATUS_RES.
type jobStatus struct {
	known, running         string // "0" or "1"
	numerator, denominator string
	waiting                int // listeners
}

// status returns the status of a job, which may be nil.
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

// getStatus handles GET_STATUS. A handle that contains a NUL gets no answer, as in the Perl server.
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
		function, settled := "", false
		if j != nil {
			function, settled = j.fn.name, j.isSettled()
		}
		foreign := j == nil && sh.isForeign(number)
		sh.mu.Unlock()
		if j != nil && (!p.mayAsk(function) || p.Broker && !settled) {
			st = s.status(nil)
		}
		if foreign && !p.Broker && p.mayAskAll() && s.lookup(p, handle, number, fx) {
			return
		}
	} else {
		st = s.status(nil)
	}
	fx.sendStatus(p, string(handle), st)
}

// isSettled reports whether it is known if the job is stored. Until then other brokers must not rely on it: the store may
// refuse it yet, or has refused it and may still hold its row.
func (j *job) isSettled() bool { return j.keeping == kept || j.keeping == notKept && j.ref == 0 }

// sendStatus adds the answer to GET_STATUS.
func (fx *Effects) sendStatus(to *Peer, handle string, st jobStatus) {
	fx.sendArgs(to, codec.StatusRes, handle, st.known, st.running, st.numerator, st.denominator)
}

// getStatusUnique handles GET_STATUS_UNIQUE. A unique id does not determine the function, so it searches all
// shards and reports the first job found.
func (s *Sched) getStatusUnique(p *Peer, unique []byte, fx *Effects) {
	st := s.status(nil)
	unique, _, _ = codec.Cut(unique)
	found := false
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		j := p.firstToAsk(sh.sameUnique[string(unique)]) // never a job with one of our own keys: no argument contains a NUL
		if j != nil {
			st = s.status(j)
		}
		sh.mu.Unlock()
		if j != nil {
			found = true
			break
		}
	}
	if !found && s.lookupUnique(p, unique, fx) {
		return
	}
	fx.sendStatusUnique(p, string(unique), st)
}

// sendStatusUnique adds the answer to GET_STATUS_UNIQUE.
func (fx *Effects) sendStatusUnique(to *Peer, unique string, st jobStatus) {
	fx.sendArgs(to, codec.StatusResUnique, unique, st.known, st.running, st.numerator, st.denominator,
		strconv.Itoa(st.waiting))
}

// mayAsk reports whether a peer may see the jobs of a function: it may submit them, do them or look at them.
func (p *Peer) mayAsk(function string) bool {
	return p.Access == nil || p.Broker || p.Access.to([]byte(function))&(MaySubmit|MayWork|MayLook) != 0
}

// mayAskAll is mayAsk for jobs whose function only another broker knows.
func (p *Peer) mayAskAll() bool {
	return p.Access == nil || p.Access.All()&(MaySubmit|MayWork|MayLook) != 0
}

// firstToAsk returns the first job of a chain with the same unique id that a peer may see, or nil. It stops
// early in a long chain, because the shard is locked.
func (p *Peer) firstToAsk(j *job) *job {
	if p.Access == nil || p.Broker {
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

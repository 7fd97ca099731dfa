package sched

import (
	"bytes"
	"strconv"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// work handles a packet about a job from its worker: a result, a failure, or progress.
func (s *Sched) work(p *Peer, t codec.Type, data payload.View, now time.Time, fx *Effects) {
	handle, rest, ok := codec.Cut(data.Head())
	switch {
	case t == codec.WorkFail:
		if !ok || !s.dialect.NulEndsHandle {
			handle = data.Head()
		}
	case t == codec.WorkStatus && s.dialect.MissingStatus == dialect.Hangup && bytes.IndexByte(rest, 0) < 0:
		fx.Hangup = true
		return
	case !ok && t != codec.WorkStatus && len(handle) < MaxHandle:
		// Gearman::Worker omits the NUL if the result is empty.
		data = payload.Borrow(append(bytes.Clone(handle), 0))
	}
	ends := t == codec.WorkComplete || t == codec.WorkFail || t == codec.WorkException && s.dialect.ExceptionEnds
	if p.tooManyExcepted(t) {
		s.endExcepted(p, now, fx)
	}
	number := s.parseHandle(handle)
	switch {
	case number > 0 && s.report(p, number, t, data, rest, ends, now, fx):
	case t == codec.WorkFail && number > 0 && number == p.thrown:
		// Gearman::Worker sends it after each WORK_EXCEPTION, and dies when it gets an ERROR.
		p.thrown = 0
	default:
		if _, late := p.late[number]; !late {
			e := s.dialect.NotWorker(t)
			if long := s.dialect.LongHandle; t == codec.WorkFail && len(handle) >= MaxHandle && long.Code != "" {
				e = long
			}
			fx.sendError(p, e)
			return
		}
		if ends {
			delete(p.late, number)
		}
	}
	if ends && p.push {
		s.pushOn(p, now, fx)
	}
}

// report relays a worker's packet about its job, and ends the job if the packet is final. It returns false if
// the worker does not have that job.
func (s *Sched) report(p *Peer, number uint64, t codec.Type, data payload.View, numbers []byte, ends bool, now time.Time, fx *Effects) bool {
	sh := s.shardOfJob(number)
	sh.lock()
	defer sh.mu.Unlock()
	j := sh.jobs.get(number)
	if j == nil || !j.onWorker() || j.worker != p {
		return false
	}
	if j.state == abandoned {
		sh.failAbandoned(j, fx)
	}
	switch t {
	case codec.WorkException:
		if !j.excepted {
			j.excepted = true
			p.excepted++
		}
		n := news{typ: t, body: data}
		if ends {
			n.instead = s.AppendHandle(nil, number)
			if s.dialect.FailWithNUL {
				n.instead = append(n.instead, 0)
			}
		}
		j.relay(p, n, fx)
	case codec.WorkStatus:
		s.setStatus(j, numbers)
		j.relay(p, news{typ: t, body: data}, fx)
	default:
		j.relay(p, news{typ: t, body: data}, fx)
	}
	if ends {
		p.jobsDone++
		if t == codec.WorkComplete {
			p.done++
		} else {
			p.failed++
		}
		if t == codec.WorkException {
			p.thrown = number
		}
		sh.end(j, outcomeOf(t, j), now)
	}
	return true
}

// outcomeOf returns the outcome of a job whose worker ends it with a packet.
func outcomeOf(t codec.Type, j *job) Outcome {
	switch {
	case t == codec.WorkComplete:
		return Complete
	case j.excepted:
		return Exception
	}
	return Fail
}

// setStatus keeps the numbers of WORK_STATUS for GET_STATUS.
func (s *Sched) setStatus(j *job, numbers []byte) {
	numerator, rest, _ := codec.Cut(numbers)
	denominator, _, _ := codec.Cut(rest)
	x := j.more()
	x.hasStatus = true
	if s.dialect.Atoi {
		x.numerator = strconv.FormatUint(uint64(uint32(atoi(numerator))), 10)
		x.denominator = strconv.FormatUint(uint64(uint32(atoi(denominator))), 10)
		return
	}
	x.numerator = string(numerator[:min(len(numerator), MaxStatusNumber)])
	x.denominator = string(denominator[:min(len(denominator), MaxStatusNumber)])
}

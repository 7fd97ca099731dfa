package sched

import (
	"bytes"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
)

// submission is a parsed packet that submits a job.
type submission struct {
	function, unique []byte
	key              string // the id by which it coalesces; "" = none
	dash             bool   // the unique id is shown as "-"
	reducer          []byte
	argument         payload.View
	priority         priority
	background       bool
	due              time.Time // zero: due at once
}

// submit handles a submission: it makes a new job or joins an existing one.
func (s *Sched) submit(p *Peer, t codec.Type, data payload.View, now time.Time, fx *Effects) {
	var sub submission
	fault, bad := s.parse(&sub, t, data, now)
	if bad.Code != "" {
		s.badPacket(p, fault, bad, fx)
		return
	}
	if p.Access != nil {
		if !p.may(MaySubmit, sub.function) {
			s.refuse(p, MaySubmit, sub.function, fx)
			return
		}
		// The job's worker will submit to the reducer, with its own rights.
		if len(sub.reducer) > 0 && !p.may(MaySubmit, sub.reducer) {
			s.refuse(p, MaySubmit, sub.reducer, fx)
			return
		}
	}
	if string(sub.unique) == "-" {
		sub.dash = s.dialect.DashIsShown
		if sub.key = s.argumentKey(sub.argument, fx); fx.Again {
			return
		}
	}
	if !sub.background {
		s.forgetJoined(p, fx)
	}
	// Most submissions are for the function of the one before.
	fn, sh := fx.submitted, (*shard)(nil)
	if fn != nil && fn.name == string(sub.function) && fn.shard.sched == s {
		sh = fn.shard
	} else {
		fn, sh = nil, s.shardOf(sub.function)
	}
	sh.lock()
	defer sh.mu.Unlock()

	if fn == nil || fn.dropped {
		if fn = sh.needFunction(sub.function, forJobs); fn == nil {
			sh.others.Refused[NoMemory]++
			fx.sendError(p, s.dialect.QueueFull)
			return
		}
		fx.submitted = fn
	}
	var refusal Refusal
	j := fn.coalesce(&sub)
	switch {
	case fn.isClosed():
		refusal = Closed
	case j != nil:
		refusal = j.join(p, &sub, now, fx)
	default:
		refusal = fn.create(p, &sub, now, fx)
	}
	if fx.Again {
		return
	}
	if refusal != admitted {
		fn.counted().Refused[refusal]++
		sh.sums(fn).Refused[refusal]++
		fn.dropIfIdle()
		fx.sendError(p, s.dialect.QueueFull)
		return
	}
	if !sub.background {
		p.submits++
	}
	fn.counted().submitted(sub.background, j != nil)
	sh.sums(fn).submitted(sub.background, j != nil)
}

// coalesce returns the job that the submission joins; nil if it makes a new one.
func (fn *function) coalesce(sub *submission) *job {
	if sub.key == "" {
		return nil
	}
	return fn.shard.unique(fn, sub.key)
}

// join adds a submission of p to an existing job and answers it. A refusal changes nothing.
func (j *job) join(p *Peer, sub *submission, now time.Time, fx *Effects) Refusal {
	sh := j.fn.shard
	switch {
	case !sub.background:
		if refusal := j.listen(p, fx); refusal != admitted {
			return refusal
		}
		fx.sendHandle(p, codec.JobCreated, j)
	case sub.background && sh.sched.durable():
		if refusal := sh.keepFor(j, p, sub, now, fx); refusal != admitted {
			return refusal
		}
	default:
		fx.sendHandle(p, codec.JobCreated, j)
	}
	j.background = j.background || sub.background
	if sh.sched.dialect.JoiningWakes && (j.state == queued || j.onWorker()) {
		j.fn.wakeSleepers(now, fx)
	}
	return admitted
}

// create makes a new job for p and answers it, unless Effects.Again is set. A refusal changes nothing:
// everything that may refuse it comes first, and jobs are evicted for it only once it is admitted.
func (fn *function) create(p *Peer, sub *submission, now time.Time, fx *Effects) Refusal {
	sh := fn.shard
	evict := 0
	// A delayed job is in no queue, and is not refused when it becomes due.
	if sub.due.IsZero() {
		var ok bool
		if evict, ok = fn.policy().room(fn, sub.priority); !ok {
			return QueueFull
		}
		if evict > 1 { // the bound was lowered
			if fn.evict(evict-1, now, fx); fx.Again {
				return admitted
			}
			evict = 1
		}
	}
	if sh.sequence >= sh.renewAt && !sh.renew() {
		return StoreFails
	}
	cost := costJob + len(sub.key) + len(sub.reducer) + sub.argument.Footprint()
	if sub.key != "" {
		cost += costUnique
	}
	if !sub.background {
		cost += costListener
	}
	if !sh.charge(cost) {
		return NoMemory
	}
	at := sh.sched.moment(now)
	j := sh.newJob(sub.argument)
	j.fn, j.number, j.unique, j.priority = fn, sh.nextNumber(), sub.key, sub.priority
	if sub.dash {
		j.marks = dashed
	}
	j.background, j.created, j.since = sub.background, at, at
	j.setReducer(string(sub.reducer))
	if !sub.due.IsZero() {
		j.more().due = sub.due
	}
	if sub.background && sh.sched.durable() {
		if !sh.append(j, fx) {
			j.argument().Release()
			sh.refund(cost)
			return StoreFails
		}
		sh.admit(j)
		sh.move(j, storing) // it evicts others when it is stored
		j.worker, j.position = p, int32(p.issue(fx))
		return admitted
	}
	if !sub.background {
		j.listener = p
		sh.listeners++
	}
	sh.admit(j)
	if evict > 0 {
		fn.evict(evict, now, fx)
	}
	fx.sendHandle(p, codec.JobCreated, j)
	sh.ready(j, now, fx)
	return admitted
}

// evict ends n queued jobs, newest first, for one that was admitted. Their listeners get WORK_FAIL. With
// Effects.Again some are left.
func (fn *function) evict(n int, now time.Time, fx *Effects) {
	for limit := fx.Work + callJobs; n > 0; n-- {
		if fx.Work >= limit {
			fx.Again = true
			return
		}
		fx.Work++
		fn.shard.fail(fn.last(), Evicted, now, fx)
	}
}

// parse parses a submission into sub, which must be zero. If bad has a code the submission is malformed, and
// fault says what to do.
func (s *Sched) parse(sub *submission, t codec.Type, data payload.View, now time.Time) (fault dialect.Fault, bad dialect.Error) {
	head := data.Head()
	rest, ok := head, true
	next := func() (arg []byte) {
		if ok {
			arg, rest, ok = codec.Cut(rest)
		}
		return arg
	}
	sub.priority = normal
	newline := false
	sub.function, rest, newline, ok = cutName(rest)
	if ok {
		var broken bool
		sub.unique, rest, broken, ok = cutName(rest)
		newline = newline || broken
	}
	switch t {
	case codec.SubmitJobBg:
		sub.background = true
	case codec.SubmitJobHigh:
		sub.priority = high
	case codec.SubmitJobHighBg:
		sub.priority, sub.background = high, true
	case codec.SubmitJobLow:
		sub.priority = low
	case codec.SubmitJobLowBg:
		sub.priority, sub.background = low, true
	case codec.SubmitReduceJob, codec.SubmitReduceJobBack:
		sub.reducer, sub.background = next(), t == codec.SubmitReduceJobBack
		next() // libgearman sends a field that nobody uses
	}
	badTime := false
	if ok && (t == codec.SubmitJobEpoch || t == codec.SubmitJobSched) {
		sub.background = true
		sub.due, badTime, rest, ok = s.parseTime(t, rest, now)
	}
	d := s.dialect
	header := func() dialect.Error {
		return d.InvalidArgs.With("No func/uniq header [%s].", head[:min(len(head), MaxEcho)])
	}
	switch {
	case !ok:
		return d.MissingArgs, header()
	case len(sub.function) == 0 && d.EmptyFunction != dialect.Accept:
		return d.EmptyFunction, header()
	case newline && d.NewlineInName != dialect.Accept:
		return d.NewlineInName, header()
	case len(sub.function) > MaxFunction:
		return dialect.Answer, d.InvalidArgs.With("Function name is longer than %d bytes.", MaxFunction)
	case len(sub.reducer) > MaxFunction:
		return dialect.Answer, d.InvalidArgs.With("Name of the reducer is longer than %d bytes.", MaxFunction)
	case len(sub.unique) > MaxUnique || d.MaxUnique > 0 && len(sub.unique) > d.MaxUnique:
		return dialect.Answer, d.LongUnique
	case badTime:
		return d.BadTime, d.InvalidArgs.With("No such time.")
	}
	sub.argument = data.From(len(head) - len(rest))
	if len(sub.unique) > 0 {
		sub.key = string(sub.unique)
	}
	return 0, dialect.Error{}
}

// cutName is codec.Cut for a name; newline says that there is one in it. Names are short: for them a loop is
// faster than two searches.
func cutName(data []byte) (name, rest []byte, newline, ok bool) {
	const short = 16
	for i, c := range data[:min(len(data), short)] {
		switch c {
		case 0:
			return data[:i:i], data[i+1:], newline, true
		case '\n':
			newline = true
		}
	}
	name, rest, ok = codec.Cut(data)
	return name, rest, bytes.IndexByte(name, '\n') >= 0, ok
}

// parseTime parses the time of a delayed submission, which data begin with. bad says that there is no such
// time, ok that there are enough arguments. rest is what follows them.
func (s *Sched) parseTime(t codec.Type, data []byte, now time.Time) (due time.Time, bad bool, rest []byte, ok bool) {
	var when [5][]byte
	fields := when[:]
	if t == codec.SubmitJobEpoch {
		fields = when[:1]
	}
	rest = data
	for i := range fields {
		if fields[i], rest, ok = codec.Cut(rest); !ok {
			return due, false, rest, false
		}
	}
	valid := false
	if t == codec.SubmitJobSched {
		due, valid = nextMoment(when, now)
		return due, !valid, rest, true
	}
	if s.dialect.Atoi {
		when[0] = leadingNumber(when[0])
	}
	due, valid = parseEpoch(when[0], now)
	return due, !valid, rest, true
}

// badPacket answers a malformed packet as the dialect does.
func (s *Sched) badPacket(p *Peer, fault dialect.Fault, e dialect.Error, fx *Effects) {
	if fault == dialect.Hangup {
		fx.Hangup = true
		return
	}
	fx.sendError(p, e)
}

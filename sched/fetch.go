package sched

import (
	"io"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/store"
)

// A Fetch requests the argument of a job that only the store has. The worker counts as having the job, and
// waits for it under a ticket. Whoever carries out Effects calls Read and then Fetched, or PutOff instead of
// both.
//
// Until the argument has arrived, the job is not delivered. Its time limit has not begun, and if it is taken
// from the worker it returns to the front of its queue as if it had never been handed out.
type Fetch struct {
	To   *Peer
	Size int // of the argument, in bytes

	ref    store.Ref
	job    *job
	typ    codec.Type // of the worker's request
	ticket uint32
	limit  time.Duration // of the job, from delivery on; <0 = none
}

// Read writes the argument to w on another goroutine, and then calls done.
func (s *Sched) Read(f *Fetch, w io.Writer, done func(error)) { s.store.Argument(f.ref, w, done) }

// Name returns handle and function of the job, for messages.
func (s *Sched) Name(f *Fetch) (handle, function string) {
	return string(s.AppendHandle(nil, f.job.number)), f.job.fn.name
}

// Fetched delivers a job whose argument was read, on the worker's own goroutine. It takes over the reference
// in argument. After an error the job is lost for this run and remains in the store. (A job that was disowned
// meanwhile and has come back has another ref, and is read again.)
func (s *Sched) Fetched(f *Fetch, argument payload.View, err error, now time.Time, fx *Effects) {
	s.conclude(f, argument, err, false, now, fx)
}

// PutOff gives up a Fetch, on the worker's own goroutine: the job returns to its queue, and the worker gets
// NO_JOB.
func (s *Sched) PutOff(f *Fetch, now time.Time, fx *Effects) {
	s.conclude(f, payload.View{}, nil, true, now, fx)
}

// conclude answers a worker that waits for an argument.
func (s *Sched) conclude(f *Fetch, argument payload.View, err error, putOff bool, now time.Time, fx *Effects) {
	if !s.fetched(f, argument, err, putOff, now, fx) {
		argument.Release()
		fx.send(f.To, codec.NoJob)
		fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
	}
	if f.To.push {
		s.pushOn(f.To, now, fx)
	}
}

// fetched delivers the job. It returns false if the job was taken from the worker while its argument was
// read, if the read failed, or if the job is put off. During a graceful shutdown stored jobs are always put
// off.
func (s *Sched) fetched(f *Fetch, argument payload.View, err error, putOff bool, now time.Time, fx *Effects) bool {
	j, p := f.job, f.To
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	switch {
	case p.Gone() || !j.onWorker() || j.worker != p || j.rest().ticket != f.ticket:
		return false // it was taken from the worker
	case j.state == abandoned:
		sh.fail(j, Cancelled, now, fx)
		return false
	case (putOff || s.ending.Load() || err != nil && j.ref != f.ref) && !j.isBare():
		sh.putBack(j, now, fx)
		return false
	case err != nil || putOff:
		if j.keeping == kept { // otherwise another broker has it
			sh.keep(j, notKept)
		}
		sh.fail(j, Unreadable, now, fx)
		return false
	}
	j.extra.ticket = 0
	if f.limit >= 0 {
		p.limitJob(j, now.Add(f.limit), fx)
	}
	s.sendJob(p, f.typ, j, argument, fx)
	fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
	return true
}

// fetch requests the argument of a job that p has got. The shard is locked.
func (s *Sched) fetch(p *Peer, t codec.Type, j *job, limit time.Duration, fx *Effects) {
	ticket := p.issue(fx)
	j.more().ticket = ticket
	fx.Fetches = append(fx.Fetches, Fetch{To: p, ref: j.ref, Size: j.extra.size, job: j, typ: t, ticket: ticket, limit: limit})
}

// isUndelivered reports whether the job has a worker that waits for its argument. The shard is locked.
func (j *job) isUndelivered() bool { return j.rest().ticket != 0 }

package sched

import (
	"io"
	"time"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/store"
)

// Fetch asks for the argument of a job that the store alone has. The worker has the job already, and
// waits for it under a ticket: whoever carries out Effects calls Read, and Fetched once that is done.
type Fetch struct {
	To   *Peer
	Size int // of the argument, in bytes

	ref    store.Ref
	job    *Job
	typ    codec.Type // of the worker's request
	ticket uint32
}

// Read writes the argument to w, from another goroutine, and calls done when that is over.
func (s *Sched) Read(f *Fetch, w io.Writer, done func(error)) { s.store.Argument(f.ref, w, done) }

// Fetched hands a worker the job whose argument was read, on the worker's own goroutine. It takes
// over the reference in argument. With an error the job is lost for this run: it stays in the store.
func (s *Sched) Fetched(f *Fetch, argument payload.View, err error, now time.Time, fx *Effects) {
	if !s.fetched(f, argument, err, fx) {
		argument.Release()
		fx.send(f.To, codec.NoJob)
	}
	fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
	if f.To.push {
		s.Push(f.To, now, fx)
	}
}

// fetched hands the job out; false: it was taken from the worker while its argument was read, or that
// failed.
func (s *Sched) fetched(f *Fetch, argument payload.View, err error, fx *Effects) bool {
	j, p := f.job, f.To
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	switch {
	case p.Gone() || !j.onWorker() || j.worker != p || j.rest().ticket != f.ticket:
		delete(p.late, j.number) // it never saw the job
		return false
	case j.state == abandoned:
		sh.end(j, Cancelled)
		return false
	case err != nil:
		j.keeping = notKept
		sh.fail(j, Unreadable, fx)
		return false
	}
	s.sendJob(p, f.typ, j, argument, fx)
	return true
}

// fetch has the argument of a job read that p has got. The shard is locked.
func (s *Sched) fetch(p *Peer, t codec.Type, j *Job, fx *Effects) {
	ticket := p.issue(fx)
	j.more().ticket = ticket
	fx.Fetches = append(fx.Fetches, Fetch{To: p, ref: j.ref, Size: j.extra.size, job: j, typ: t, ticket: ticket})
}

package sched

import (
	"io"
	"time"

	"gearloop/codec"
	"gearloop/payload"
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
	j, p := f.job, f.To
	sh := j.fn.shard
	sh.lock()
	defer sh.mu.Unlock()
	if p.Gone() || j.state != running || j.worker != p || j.rest().ticket != f.ticket {
		argument.Release() // it was taken from the worker while it was read
		fx.send(p, codec.NoJob)
	} else if err != nil {
		argument.Release()
		p.stopDoing(j)
		j.fail(fx)
		j.keeping = notKept
		sh.forget(j)
		fx.send(p, codec.NoJob)
	} else {
		s.sendJob(p, f.typ, j, argument, fx)
	}
	fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
}

// fetch has the argument of a job read that p has got. The shard is locked.
func (s *Sched) fetch(p *Peer, t codec.Type, j *Job, fx *Effects) {
	ticket := p.issue(fx)
	j.more().ticket = ticket
	fx.Fetches = append(fx.Fetches, Fetch{To: p, ref: j.ref, Size: j.extra.size, job: j, typ: t, ticket: ticket})
}

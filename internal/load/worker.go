package load

import (
	"fmt"

	"gearloop/codec"
)

// worker is a connection that does jobs. A result begins with the same bytes as its argument.
type worker struct {
	*conn
	kind    string
	working bool // has asked for a job once
	doing   bool // it has sent a result, and the server has not answered the next GRAB_JOB yet
}

func (w *worker) String() string { return w.kind }

// newWorker registers a worker's functions; a sleeper then sends PRE_SLEEP.
func newWorker(c *conn, kind string, functions []string, asleep bool) *worker {
	w := &worker{conn: c, kind: kind, working: asleep}
	c.receiver = w
	for _, f := range functions {
		c.send(codec.CanDo, f)
	}
	if asleep {
		c.send(codec.PreSleep)
	}
	c.send(codec.EchoReq, "ready")
	return w
}

func (w *worker) ready() { w.loop.load.readied <- struct{}{} }

// begin asks for the first job.
func (w *worker) begin() {
	if !w.working {
		w.working = true
		w.send(w.loop.load.cfg.Grab)
	}
}

// packet does a job at once and asks for the next; without one it sleeps until it is woken.
func (w *worker) packet(f frame) error {
	cfg := &w.loop.load.cfg
	switch f.typ {
	case codec.JobAssign, codec.JobAssignUniq, codec.JobAssignAll:
		w.over()
		return w.job(f)
	case codec.NoJob:
		w.over()
		if cfg.Mode == Background { // the queue is empty and stays so until the next run
			w.working = false
			return nil
		}
		w.send(codec.PreSleep)
	case codec.Noop:
		// A server may wake a worker that is already asking; an extra GRAB_JOB is harmless.
		w.send(cfg.Grab)
	default:
		return unexpected(f)
	}
	return nil
}

// over counts the previous job: the server has received its result.
func (w *worker) over() {
	if w.doing {
		w.doing = false
		w.loop.drained++
	}
}

func (w *worker) job(f frame) error {
	handle, rest, ok := codec.Cut(f.data)
	arguments := 1 // arguments before the payload besides the handle: the function
	switch f.typ {
	case codec.JobAssignUniq:
		arguments = 2
	case codec.JobAssignAll:
		arguments = 3
	}
	for range arguments {
		var found bool
		_, rest, found = codec.Cut(rest)
		ok = ok && found
	}
	if !ok || len(rest) < MinPayload {
		return unexpected(f)
	}
	load := w.loop.load
	// data is only the beginning of a large packet.
	if size := f.size - (len(f.data) - len(rest)); size != load.cfg.Payload {
		return fmt.Errorf("an argument of %d bytes, not %d: is somebody else using the function?", size, load.cfg.Payload)
	}
	if load.cfg.Payload > MinPayload && f.last != load.padding[load.cfg.Payload-1] {
		return fmt.Errorf("an argument that ends in something else than was sent")
	}
	w.sendWith(codec.WorkComplete, f.data[:len(handle)+1], rest[:MinPayload], load.padding[MinPayload:load.cfg.Result])
	w.send(load.cfg.Grab)
	w.doing = true
	return nil
}

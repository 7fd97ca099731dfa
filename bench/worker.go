package bench

import (
	"fmt"

	"gearloop/codec"
)

// worker is a connection that does jobs: the result is the argument.
type worker struct {
	stream
	load *Load
}

// register tells the server what the worker can do and waits until it has understood.
func (w *worker) register(function string) error {
	w.send(codec.CanDo, function)
	w.send(codec.EchoReq, function)
	if err := w.flush(); err != nil {
		return err
	}
	known := false
	for !known {
		err := w.read(func(t codec.Type, data []byte) error {
			if t != codec.EchoRes {
				return unexpected(t, data)
			}
			known = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// run works until the connection ends.
func (w *worker) run() {
	w.send(codec.GrabJob)
	for {
		err := w.flush()
		if err == nil {
			err = w.read(w.packet)
		}
		if err != nil {
			w.load.fail(fmt.Errorf("worker: %w", err))
			return
		}
	}
}

// packet does what a worker does when a packet comes: a job is done at once and the next asked
// for; without one it sleeps until it is woken.
func (w *worker) packet(t codec.Type, data []byte) error {
	switch t {
	case codec.JobAssign:
		handle, rest, ok := codec.Cut(data)
		_, argument, ok2 := codec.Cut(rest)
		if !ok || !ok2 {
			return unexpected(t, data)
		}
		w.sendWith(codec.WorkComplete, data[:len(handle)+1], argument)
		w.send(codec.GrabJob)
	case codec.NoJob:
		w.send(codec.PreSleep)
	case codec.Noop:
		// A server may wake a worker that is asking already; one GRAB_JOB too many does no harm.
		w.send(codec.GrabJob)
	default:
		return unexpected(t, data)
	}
	return nil
}

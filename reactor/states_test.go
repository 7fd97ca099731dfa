package reactor

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// tooMuch requests an answer that no socket accepts whole.
var tooMuch = sync.OnceValue(func() []byte {
	return append(codec.AppendRequest(nil, codec.EchoReq, string(noise(8<<20))), "version\n"...)
})

// states are the states in which a connection can end. Each function brings a new connection into its state
// and returns it. n is different each time.
var states = map[string]func(r *rig, n int) *wire.Conn{
	"idle": func(r *rig, _ int) *wire.Conn {
		c := r.dial()
		c.Sync()
		return c
	},
	"never sent anything": func(r *rig, _ int) *wire.Conn { return r.dial() },
	"half a header": func(r *rig, _ int) *wire.Conn {
		c := r.dial()
		c.Sync()
		c.Raw([]byte("\x00REQ\x00"))
		return c
	},
	"half a line": func(r *rig, _ int) *wire.Conn {
		c := r.dial()
		c.Sync()
		c.Raw([]byte("worke"))
		return c
	},
	"half a payload": func(r *rig, _ int) *wire.Conn {
		c := r.dial()
		c.Sync()
		c.Raw(append(header("\x00REQ", codec.SubmitJob, 1<<20), "f\x00\x00begin"...))
		return c
	},
	"sleeping worker": func(r *rig, n int) *wire.Conn { return r.asleep("f", fmt.Sprint("f", n)) },
	"worker with a job": func(r *rig, n int) *wire.Conn {
		w := r.dial()
		w.Send(codec.CanDoTimeout, fmt.Sprint("f", n), "1000")
		w.Submit(codec.SubmitJobBg, fmt.Sprint("f", n), "u", "x")
		w.Grab()
		return w
	},
	"client with a queued job": func(r *rig, n int) *wire.Conn {
		c := r.dial()
		c.Submit(codec.SubmitJob, "queued", "-", fmt.Sprint(n, strings.Repeat("x", 70<<10)))
		return c
	},
	"client with a running job": func(r *rig, n int) *wire.Conn {
		c := r.dial()
		c.Send(codec.CanDo, "own")
		c.Submit(codec.SubmitJob, "own", fmt.Sprint(n), "x")
		c.Grab()
		return c
	},
	"blocked output": func(r *rig, _ int) *wire.Conn {
		c := r.dial()
		c.Raw(tooMuch())
		return c
	},
	"pushed worker": func(r *rig, n int) *wire.Conn {
		w := r.worker(fmt.Sprint("f", n))
		w.Send(codec.AllYours)
		w.Sync()
		return w
	},
	"pushed worker with a job": func(r *rig, n int) *wire.Conn {
		w := r.worker(fmt.Sprint("f", n))
		w.Send(codec.AllYours)
		w.Submit(codec.SubmitJobBg, fmt.Sprint("f", n), "", "x")
		w.WantJob()
		return w
	},
	"told of its fault": func(r *rig, _ int) *wire.Conn {
		c := r.dial()
		c.Raw([]byte("\x00garbage"))
		c.WantError("invalid_magic")
		return c
	},
}

// endings are the ways in which a connection ends.
var endings = map[string]func(*wire.Conn){
	"close":      func(c *wire.Conn) { c.Close() },
	"reset":      func(c *wire.Conn) { c.Reset() },
	"half close": func(c *wire.Conn) { c.CloseWrite(); c.Reader().Discard(1 << 30); c.Close() },
}

// endQueued removes the jobs that clients left behind.
func (r *rig) endQueued(functions ...string) {
	w := r.worker(functions...)
	w.Send(codec.GrabJob)
	w.Want(codec.NoJob)
	w.Close()
}

// Connections end in every state and in every way. Nothing of them is left, and others are served.
func TestEveryStateEnds(t *testing.T) {
	r := newRig(t, loops(2))
	other := r.dial()
	n := 0
	for state, enter := range states {
		for ending, end := range endings {
			t.Run(state+", "+ending, func(t *testing.T) {
				n++
				end(enter(r, n))
				other.Sync()
				wire.Await(t, "it is gone", func() bool {
					return r.sched.Count().Peers == 1 && r.server.connections.Load() == 1 && r.server.halfClosed.count() == 0
				})
			})
		}
	}
	r.endQueued("queued")
	other.Close()
	r.quiet()
	noPayload(t)
}

// When a worker disconnects, those who wait for its jobs are told at once and once.
func TestWorkerEndsClientHears(t *testing.T) {
	r := newRig(t, loops(2))
	for _, end := range endings {
		client := r.dial()
		worker := r.worker("f")
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		end(worker)
		client.Want(codec.WorkFail, h)
		client.Sync()
	}
}

package reactor

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// joinMany submits the same job so many times from a client, and returns its handle.
func joinMany(c *wire.Conn, unique string, times int) (handle string) {
	var b []byte
	for range times {
		b = codec.AppendRequest(b, codec.SubmitJob, "f", unique, "x")
	}
	c.Raw(b)
	for range times {
		handle = c.WantType(codec.JobCreated).Args(1)[0]
	}
	return handle
}

// One job has listeners on all loops. Some joined it often, and one does not read. They get everything that
// its worker sends, in order. Meanwhile other requests are answered.
func TestManyListeners(t *testing.T) {
	const clients, joins, packets = 30, 100, 8
	r := newRig(t, loops(2))
	deaf := r.dial()
	h := joinMany(deaf, "u", joins)
	all := make([]*wire.Conn, clients)
	for i := range all {
		all[i] = r.dial()
		joinMany(all[i], "u", joins)
	}
	w, other := r.worker("f"), r.dial()
	w.Grab()
	data := strings.Repeat("d", 5<<10)
	var b []byte
	for i := range packets {
		b = codec.AppendRequest(b, codec.WorkData, h, fmt.Sprint(i, " ", data))
		b = codec.AppendRequest(b, codec.WorkStatus, h, fmt.Sprint(i), "9")
	}
	b = codec.AppendRequest(b, codec.WorkComplete, h, "result")
	b = codec.AppendRequest(b, codec.EchoReq, "behind")
	var listening sync.WaitGroup
	var done atomic.Bool
	for _, c := range all {
		listening.Go(func() {
			for i := range packets {
				for range joins {
					c.Want(codec.WorkData, h, fmt.Sprint(i, " ", data))
				}
				for range joins {
					c.Want(codec.WorkStatus, h, fmt.Sprint(i), "9")
				}
			}
			for range joins {
				c.Want(codec.WorkComplete, h, "result")
			}
			c.Sync()
		})
	}
	w.Raw(b)
	go func() {
		listening.Wait()
		done.Store(true)
	}()
	echoes := 0
	for ; !done.Load(); echoes++ {
		other.Sync()
	}
	// 17 packets to 3,100 listeners take at least 100 turns.
	if echoes < 15 {
		t.Errorf("%d echoes while the packets went out", echoes)
	}
	w.Want(codec.EchoRes, "behind")
	for _, c := range append(all, deaf, w, other) {
		c.Close()
	}
	r.quiet()
	noPayload(t)
}

// A worker cannot send faster than its packets are multiplied. At most what is read in one turn waits to be
// sent; the rest stays in the worker's socket.
func TestWorkerWaitsForItsListeners(t *testing.T) {
	r := newRig(t, loops(1), func(s *setup) { s.MaxOutbound = math.MaxInt })
	client := r.dial()
	h := joinMany(client, "u", 1000)
	w := r.worker("f")
	w.Grab()
	const packets = 200
	data := strings.Repeat("d", 60<<10)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range packets {
			w.Send(codec.WorkData, h, fmt.Sprint(i, data))
		}
		w.Send(codec.WorkComplete, h, "")
	}()
	// The client reads some output and leaves. By then the largest amount of waiting output has been seen.
	most := int64(0)
	for n := range 4000 {
		client.WantType(codec.WorkData)
		if n%10 == 0 {
			most = max(most, r.sched.Fanned())
		}
	}
	if most == 0 || most > 2*readTurn {
		t.Errorf("%d bytes waited to be sent to many", most)
	}
	client.Close()
	<-sent
	w.Sync()
	w.Close()
	r.quiet()
	noPayload(t)
}

// The server ends while packets are on their way to many listeners. If it ends in order the packets are sent;
// in any case they are freed.
func TestEndWhileFanning(t *testing.T) {
	for _, orderly := range []bool{true, false} {
		t.Run(fmt.Sprint("orderly=", orderly), func(t *testing.T) {
			r := newRig(t, loops(2), func(s *setup) { s.Log = noLog() })
			client := r.dial()
			const joins = 3000 // so many that they take turns, with so little that all is sent within flushTime
			h := joinMany(client, "u", joins)
			w := r.worker("f")
			w.Grab()
			w.Send(codec.WorkData, h, strings.Repeat("d", 3<<10))
			w.Send(codec.WorkComplete, h, "")
			if orderly {
				client.WantType(codec.WorkData)
				r.server.Drain()
				for range joins - 1 {
					client.WantType(codec.WorkData)
				}
				for range joins {
					client.WantType(codec.WorkComplete)
				}
			} else {
				client.WantType(codec.WorkData)
				r.server.Abort()
			}
			r.wantEnd()
			await.Until(t, "no payload is left", func() bool { return payloads() == 0 })
			if n := r.sched.Fanned(); n != 0 {
				t.Errorf("%d bytes are left in fans", n)
			}
		})
	}
}

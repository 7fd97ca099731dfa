package reactor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// counted starts a server with one loop and counts its steps (stepCount) from the call of count on.
func counted(t *testing.T, change ...func(*setup)) *tableRig {
	r := &tableRig{}
	r.rig = newRig(t, append(change, loops(1), func(s *setup) { s.Sched.Step = r.steps.step })...)
	r.loop = r.server.allLoops()[0]
	return r
}

// mostSteps returns the largest number of steps in a turn since counting began, and ends counting.
func (r *tableRig) mostSteps() int {
	most := make(chan int)
	r.loop.do(func() {
		r.steps.loop.Store(nil)
		most <- r.steps.most
	})
	return <-most
}

// able connects a worker of many functions.
func (r *rig) able(functions int) *wire.Conn {
	w := r.dial()
	var b []byte
	for i := range functions {
		b = codec.AppendRequest(b, codec.CanDo, fmt.Sprint("f", i))
	}
	w.Raw(b)
	w.Sync()
	return w
}

// For a worker of many functions each small packet costs much. The worker gets one turn after the other, and
// other requests are answered in between, however many such packets it has sent at once.
func TestCostlyPacketsTakeTurns(t *testing.T) {
	for _, typ := range []codec.Type{codec.PreSleep, codec.GrabJob} {
		t.Run(typ.String(), func(t *testing.T) {
			const functions, packets = 4096, 1000
			r := counted(t)
			w, other := r.able(functions), r.dial()
			// The worker sleeps. PRE_SLEEP's step for each ability takes no lock.
			w.Send(codec.PreSleep)
			w.Sync()
			r.count()
			w.Raw(bytes.Repeat(codec.AppendRequest(nil, typ), packets))
			var done atomic.Bool
			go func() {
				defer done.Store(true)
				if typ == codec.GrabJob {
					for range packets {
						w.Want(codec.NoJob)
					}
				}
				w.Sync()
			}()
			echoes := 0
			for ; !done.Load(); echoes++ {
				other.Sync()
			}
			// A turn handles eight packets. If it handled all of them, the first echo or two would wait for
			// it. How many echoes fit in depends on the machine.
			if echoes < 4 {
				t.Errorf("%d echoes while %d packets were handled", echoes, packets)
			}
			if n := r.mostSteps(); n > 4*8*functions {
				t.Errorf("%d steps in one turn", n)
			}
		})
	}
}

// While input of a connection waits for its turn the socket is not read, so the input does not accumulate in
// the server.
func TestInputThatWaitsIsNotReadOn(t *testing.T) {
	const packets = 40_000 // 480 KB
	r := newRig(t, loops(1))
	w := r.able(sample.Of(2000, 500))
	l := r.server.allLoops()[0]
	most := 0
	look := func() {
		for c := range l.conns {
			most = max(most, cap(c.stash))
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		w.Raw(bytes.Repeat(codec.AppendRequest(nil, codec.PreSleep), packets))
	}()
	for waiting := true; waiting; {
		select {
		case <-sent:
			waiting = false
		default:
			done := make(chan struct{})
			l.do(func() { look(); close(done) })
			<-done
		}
	}
	w.Sync()
	if most == 0 || most > 3*readSize {
		t.Errorf("%d bytes of input wait", most)
	}
}

// pipelined is what a peer sends at once, in pieces, and the answers to it: echoes and text between grabs
// that cost much, packets that are read into payloads of their own, and packets that the scheduler handles in
// several turns.
func pipelined(rnd *rand.Rand, items int) (send []byte, want []byte) {
	large := string(noise(1 << 20))
	for i := range items {
		switch rnd.IntN(12) {
		case 0, 1, 2, 3:
			send = codec.AppendRequest(send, codec.GrabJob)
			want = codec.AppendPacket(want, codec.NoJob)
		case 4:
			send = append(send, "version\n"...)
			want = append(want, "v1.2.3\n"...)
		case 5:
			if i%7 == 0 {
				send = codec.AppendRequest(send, codec.EchoReq, large[i:])
				want = codec.AppendPacket(want, codec.EchoRes, large[i:])
			}
		case 6:
			if i%7 == 0 { // it is refused only when its key is known
				send = codec.AppendRequest(send, codec.SubmitJobBg, "refused", "-", large[i:])
				want = codec.AppendPacket(want, codec.Error, "queue_full", "Job queue is full")
			}
		default:
			e := fmt.Sprint("echo ", i)
			send = codec.AppendRequest(send, codec.EchoReq, e)
			want = codec.AppendPacket(want, codec.EchoRes, e)
		}
	}
	return send, want
}

// Packets are handled in several turns. All are answered in the order of the requests, even if the bytes are
// cut anywhere, with and without TLS.
func TestTurnsKeepOrder(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS=", secure), func(t *testing.T) {
			var r *rig
			var connect func() *wire.Conn
			if secure {
				s := newTLSRig(t, false, loops(1))
				r, connect = s.rig, s.secure
			} else {
				r = newRig(t, loops(1))
				connect = r.dial
			}
			connect().Line("maxqueue refused 0")
			await.Until(t, "the bound is there", func() bool { return r.sched.Count().Functions == 1 })
			for seed := range uint64(sample.Of(4, 1)) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				c := connect()
				var b []byte
				for i := range 4000 {
					b = codec.AppendRequest(b, codec.CanDo, fmt.Sprint("f", i))
				}
				c.Raw(b)
				send, want := pipelined(rnd, 1500)
				go func() {
					for len(send) > 0 {
						n := min(1+rnd.IntN(200_000), len(send))
						if _, err := c.Write(send[:n]); err != nil {
							return
						}
						send = send[n:]
					}
				}()
				wantBytes(t, c, want)
				c.Sync()
				c.Close()
			}
		})
	}
}

// A worker with many jobs in hand disconnects. They go to others in several turns.
func TestLeavingTakesTurns(t *testing.T) {
	r := counted(t)
	client, w, other := r.dial(), r.worker("f"), r.dial()
	const jobs = 5000
	var b []byte
	for range jobs {
		b = codec.AppendRequest(b, codec.SubmitJob, "f", "", "x")
	}
	client.Raw(b)
	for range jobs {
		client.WantType(codec.JobCreated)
	}
	w.Raw(bytes.Repeat(codec.AppendRequest(nil, codec.GrabJob), jobs))
	for range jobs {
		w.WantType(codec.JobAssign)
	}
	r.count()
	w.Close()
	for range jobs {
		client.WantType(codec.WorkFail)
	}
	other.Sync()
	if n := r.mostSteps(); n > 4*readItems {
		t.Errorf("%d steps in one turn", n)
	}
	await.Until(t, "the worker is gone", func() bool { return r.sched.Count().Peers == 2 })
}

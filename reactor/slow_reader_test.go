package reactor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// The peer does not read, so output waits. When it reads again all output arrives, whether it reads little or
// much at a time, and even if output is added meanwhile.
func TestBlockedOutputGoesOn(t *testing.T) {
	for name, change := range map[string]func(*setup){"tcp": loops(2), "unix": onUnix(t)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			c := r.dial()
			big := noise(10 << 20)
			var want []byte
			for i := range 3 {
				c.Send(codec.EchoReq, string(big))
				c.Line("version")
				want = append(codec.AppendPacket(want, codec.EchoRes, string(big)), "v1.2.3\n"...)
				wire.Await(t, "the socket is full", func() bool { return r.blocked() == 1 })
				for part := 1; part < 100<<10; part += part/2 + 1 {
					wantBytes(t, c, want[:part])
					want = want[part:]
				}
				r.dial().Sync()
				c.Send(codec.EchoReq, fmt.Sprint("added ", i))
				want = codec.AppendPacket(want, codec.EchoRes, fmt.Sprint("added ", i))
			}
			wantBytes(t, c, want)
			c.Sync()
			wire.Await(t, "nothing waits", func() bool {
				n, _ := payload.InUse()
				return r.blocked() == 0 && n == 0
			})
		})
	}
}

// A client that does not read the data of its job is closed at --max-outbound. Its memory is bounded, and
// everybody else is served.
func TestSlowClientIsCutOff(t *testing.T) {
	const most = 2 << 20
	r := newRig(t, loops(2), func(s *setup) { s.MaxOutbound = most })
	slow, worker := r.dial(), r.worker("f")
	h := slow.Submit(codec.SubmitJob, "f", "", "x")
	worker.Grab()
	queued := slow.Submit(codec.SubmitJob, "later", "", "x")

	otherClient, otherWorker := r.dial(), r.worker("g")
	chunk := strings.Repeat("x", 64<<10)
	var peak int64
	for rounds := 0; r.server.Counters().CutOff.Load() == 0; rounds++ {
		if rounds > 4000 {
			t.Fatal("256 MiB are buffered for a peer that does not read")
		}
		worker.Send(codec.WorkData, h, chunk)
		worker.Sync()
		_, n := payload.InUse()
		peak = max(peak, n)

		o := otherClient.Submit(codec.SubmitJob, "g", "", "x")
		otherWorker.Grab()
		otherWorker.Send(codec.WorkComplete, o, "y")
		otherClient.Want(codec.WorkComplete, o, "y")
	}
	// In addition to the limit: one packet, what is on its way, and the unused ends of chunks.
	if peak < most/2 || peak > 2*most+1<<20 {
		t.Errorf("%d bytes of buffers at most, with a bound of %d", peak, most)
	}
	wire.Await(t, "the slow client is gone", func() bool { return r.sched.Count().Peers == 3 })
	noPayload(t)
	// Nobody waits for its jobs any more: the running one ends as any other, the queued one is dropped.
	worker.Send(codec.WorkComplete, h, "y")
	worker.Sync()
	worker.Send(codec.CanDo, "later")
	worker.Send(codec.GrabJob)
	worker.Want(codec.NoJob)
	otherClient.Send(codec.GetStatus, queued)
	otherClient.Want(codec.StatusRes, queued, "0", "0", "", "")
}

// A worker that does not read is closed too, and its jobs are lost as with any connection.
func TestSlowWorkerIsCutOff(t *testing.T) {
	r := newRig(t, loops(2), func(s *setup) { s.MaxOutbound = 1 << 20 })
	client, worker := r.dial(), r.worker("f")
	h := client.Submit(codec.SubmitJob, "f", "", "x")
	worker.Grab()
	flood := codec.AppendRequest(nil, codec.EchoReq, strings.Repeat("x", 100<<10))
	for range 1000 {
		if _, err := worker.Write(flood); err != nil {
			break
		}
	}
	client.Want(codec.WorkFail, h)
	client.Sync()
	if n := r.server.Counters().CutOff.Load(); n != 1 {
		t.Errorf("%d cut off", n)
	}
	noPayload(t)
}

// Small packets for a peer that does not read are counted as well.
func TestSmallPacketsAreBounded(t *testing.T) {
	r := newRig(t, loops(1), onUnix(t), func(s *setup) { s.MaxOutbound = 64 << 10 })
	c := r.dial()
	flood := bytes.Repeat([]byte("version\n"), 8000)
	for range 1000 {
		if _, err := c.Write(flood); err != nil {
			break
		}
	}
	wire.Await(t, "it is cut off", func() bool { return r.server.Counters().CutOff.Load() == 1 })
	r.dial().Sync()
}

// A packet that is larger than --max-outbound reaches a peer that reads.
func TestOnePacketOverMaxOutbound(t *testing.T) {
	r := newRig(t, func(s *setup) { s.MaxOutbound = 64 << 10 })
	c := r.dial()
	for range 5 {
		data := string(noise(5 << 20))
		c.Send(codec.EchoReq, data)
		if p := c.WantType(codec.EchoRes); string(p.Data) != data {
			t.Fatal("it has changed")
		}
	}
}

// While many peers do not read the others are served.
func TestOthersGoOnBesideSlowReaders(t *testing.T) {
	r := newRig(t, loops(2))
	for range 20 {
		c := r.dial()
		c.Send(codec.EchoReq, string(make([]byte, 6<<20)))
	}
	wire.Await(t, "all are blocked", func() bool { return r.blocked() == 20 })
	client, worker := r.dial(), r.worker("f")
	for range sample.Of(2000, 500) {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		worker.Send(codec.WorkComplete, h, "y")
		client.Want(codec.WorkComplete, h, "y")
	}
	if n := r.blocked(); n != 20 {
		t.Errorf("%d blocked at the end", n)
	}
}

package reactor

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/sched"
)

const (
	packetsBatch = 64      // packets that one read brings
	packetsQueue = 200_000 // jobs that are queued before they are drained
)

// packetsRig is a loop, a client and a worker of function "f", for measuring what packets cost without system
// calls.
type packetsRig struct {
	sim            *simulation
	client, worker *simConn
}

func newPacketsRig(b *testing.B) *packetsRig {
	sim := newSimulation(b, 1, sched.Config{Wakeup: 3, WakeupDelay: 100 * time.Millisecond, Herd: sched.FewSleepers, MaxMemory: 4 << 30, Start: time.Now()})
	r := &packetsRig{sim: sim, client: sim.connect(0, sim.null), worker: sim.connect(0, sim.null)}
	r.do(func() { r.worker.receive(codec.AppendRequest(nil, codec.CanDo, "f")) })
	return r
}

// do calls f on the loop and waits for it.
func (r *packetsRig) do(f func()) {
	r.sim.loops[0].do(f)
	r.sim.quiesce()
}

// take returns the output that waits for a connection, and drops it.
func (r *packetsRig) take(c *simConn) (out []byte) {
	for _, p := range c.own.out.pieces {
		out = append(out, p.bytes...)
	}
	r.drop()
	return out
}

// drop drops all output.
func (r *packetsRig) drop() {
	l := r.client.own.loop
	for _, c := range l.dirty {
		c.dirty = false
		c.out.publish()
		c.out.written(c.out.size)
		c.out.publish()
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
}

func repeat(packet []byte) []byte { return bytes.Repeat(packet, packetsBatch) }

// BenchmarkPackets measures packets from the buffer that was read to the buffer to be written.
func BenchmarkPackets(b *testing.B) {
	argument := strings.Repeat("x", 64)
	b.Run("echo", func(b *testing.B) {
		r := newPacketsRig(b)
		in := repeat(codec.AppendRequest(nil, codec.EchoReq, argument))
		r.do(func() {
			for n := 0; b.Loop(); n++ {
				r.client.receive(in)
				r.drop()
			}
		})
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packetsBatch, "ns/packet")
	})
	b.Run("background", func(b *testing.B) {
		r := newPacketsRig(b)
		in := repeat(codec.AppendRequest(nil, codec.SubmitJobBg, "f", "", argument))
		grabs := repeat(codec.AppendRequest(nil, codec.GrabJob))
		var submitting, draining time.Duration
		r.do(func() {
			for b.Loop() {
				began := time.Now()
				for range packetsQueue / packetsBatch {
					r.client.receive(in)
					r.drop()
				}
				submitting += time.Since(began)
				began = time.Now()
				for range packetsQueue / packetsBatch {
					r.worker.receive(grabs)
					r.worker.receive(completions(r.take(r.worker)))
					r.drop()
				}
				draining += time.Since(began)
			}
		})
		b.ReportMetric(float64(submitting.Nanoseconds())/float64(b.N)/packetsQueue, "ns/submit")
		b.ReportMetric(float64(draining.Nanoseconds())/float64(b.N)/packetsQueue, "ns/drained")
	})
	b.Run("foreground", func(b *testing.B) {
		r := newPacketsRig(b)
		in := repeat(codec.AppendRequest(nil, codec.SubmitJob, "f", "", argument))
		grabs := repeat(codec.AppendRequest(nil, codec.GrabJob))
		r.do(func() {
			for b.Loop() {
				r.client.receive(in)
				r.worker.receive(grabs)
				r.worker.receive(completions(r.take(r.worker)))
				r.drop()
			}
		})
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packetsBatch, "ns/job")
	})
	b.Run("single", func(b *testing.B) {
		r := newPacketsRig(b)
		in := codec.AppendRequest(nil, codec.SubmitJob, "f", "", argument)
		grab := codec.AppendRequest(nil, codec.GrabJob)
		r.do(func() {
			for b.Loop() {
				r.client.receive(in)
				r.worker.receive(grab)
				r.worker.receive(completions(r.take(r.worker)))
				r.drop()
			}
		})
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/job")
	})
}

// completions returns WORK_COMPLETE for each JOB_ASSIGN in out, with the argument as result.
func completions(out []byte) (in []byte) {
	for len(out) > 0 {
		it, err := codec.Next(out, 1<<20)
		if err != nil || it.Type != codec.JobAssign {
			panic("not JOB_ASSIGN")
		}
		handle, rest, _ := codec.Cut(it.Data)
		_, argument, _ := codec.Cut(rest)
		in = codec.AppendRequest(in, codec.WorkComplete, string(handle), string(argument))
		out = out[it.Len:]
	}
	return in
}

package reactor

import (
	"bytes"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/wire"
)

// A peer that has half-closed its connection still gets all output that it is owed, however much it is and
// however late it reads.
func TestHalfClosedGetsWhatIsOwed(t *testing.T) {
	for name, change := range map[string]func(*setup){"tcp": loops(2), "unix": onUnix(t)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			// More than the buffers of both sockets hold.
			data := string(noise(4 << 20))
			c := r.dial()
			var want []byte
			for range 6 {
				c.Send(codec.EchoReq, data)
				want = codec.AppendPacket(want, codec.EchoRes, data)
			}
			c.CloseWrite()
			wire.Await(t, "only the output is left", func() bool {
				return r.sched.Count().Peers == 0 && r.server.halfClosed.count() == 1
			})
			r.dial().Sync()
			if got := c.ReadAll(); !bytes.Equal(got, want) {
				t.Errorf("%d bytes came, want %d", len(got), len(want))
			}
			wire.Await(t, "nothing is left", func() bool {
				n, _ := payload.InUse()
				return n == 0 && r.server.halfClosed.count() == 0
			})
		})
	}
}

// Answers to requests before the end are sent before the connection is closed. Half a frame or line at the
// end is dropped silently.
func TestHalfClosedSmall(t *testing.T) {
	r := newRig(t)
	for _, end := range []string{"", "\x00", "\x00REQ\x00\x00\x00\x10\x00\x00\x00\x09ab", "vers", "\x00REQ\x00\x00\x00\x10\x00\x10\x00\x00ab"} {
		c := r.dial()
		sent, answer := conversation()
		c.Raw(append(sent, end...))
		c.CloseWrite()
		if got := c.ReadAll(); !bytes.Equal(got, answer) {
			t.Errorf("ended with %q: got %q, want %q", end, got, answer)
		}
		c.Close()
	}
	r.quiet()
}

// A client that half-closes its connection counts as gone, as for the reference: nobody does its job.
func TestHalfClosedClientIsGone(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.Submit(codec.SubmitJob, "f", "", "x")
	c.CloseWrite()
	c.WantEnd()
	c.Close()
	w := r.worker("f")
	w.Send(codec.GrabJob)
	w.Want(codec.NoJob)
	w.Close()
	r.quiet()
}

// A half-closed peer that does not read does not delay a server that ends at once.
func TestHalfClosedEndsWithServer(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.Send(codec.EchoReq, strings.Repeat("x", 30<<20))
	c.CloseWrite()
	wire.Await(t, "only the output is left", func() bool { return r.server.halfClosed.count() == 1 })
	r.server.Abort()
	r.wantEnd()
	if n := r.server.halfClosed.count(); n != 0 {
		t.Errorf("%d half-closed connections outlive the server", n)
	}
	if n, _ := payload.InUse(); n != 0 {
		t.Errorf("%d payloads left", n)
	}
}

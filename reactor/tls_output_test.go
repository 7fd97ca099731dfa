package reactor

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// The peer does not read, so output waits. When it reads again all output arrives.
func TestTLSBlockedOutputGoesOn(t *testing.T) {
	r := newTLSRig(t, false, loops(2))
	for name, config := range r.versions() {
		t.Run(name, func(t *testing.T) {
			c := r.secureOver(r.tcp(), config)
			big := noise(10 << 20)
			var want []byte
			for range 3 {
				c.Send(codec.EchoReq, string(big))
				c.Line("version")
				want = append(codec.AppendPacket(want, codec.EchoRes, string(big)), "v1.2.3\n"...)
				wire.Await(t, "the socket is full", func() bool { return r.blocked() == 1 })
				for part := 1; part < 100<<10; part += part/2 + 1 {
					wantBytes(t, c, want[:part])
					want = want[part:]
				}
				r.secure().Sync()
			}
			wantBytes(t, c, want)
			c.Sync()
			wire.Await(t, "nothing waits", func() bool {
				n, _ := payload.InUse()
				return r.blocked() == 0 && n == 0 && r.server.buffered() == 0
			})
		})
	}
}

// A client that does not read is closed at --max-outbound. Its memory is bounded, and others are served.
func TestTLSSlowReaderIsCutOff(t *testing.T) {
	const most = 2 << 20
	r := newTLSRig(t, false, loops(2), func(s *setup) { s.MaxOutbound = most })
	slow, worker := r.secure(), r.secure()
	worker.Send(codec.CanDo, "f")
	h := slow.Submit(codec.SubmitJob, "f", "", "x")
	worker.Grab()
	other := r.secure()
	chunk := strings.Repeat("x", 64<<10)
	var peak int64
	for rounds := 0; r.server.Counters().CutOff.Load() == 0; rounds++ {
		if rounds > 4000 {
			t.Fatal("256 MiB are buffered for a peer that does not read")
		}
		worker.Send(codec.WorkData, h, chunk)
		worker.Sync()
		other.Sync()
		peak = max(peak, r.server.buffered())
	}
	if peak < most/2 || peak > most+most/2 {
		t.Errorf("%d bytes of output at most, with a bound of %d", peak, most)
	}
	wire.Await(t, "the slow client is gone", func() bool { return r.sched.Count().Peers == 2 })
	wire.Await(t, "its output is let go", func() bool {
		n, _ := payload.InUse()
		return n == 0 && r.server.buffered() == 0
	})
	other.Sync()
}

// What crypto/tls answers by itself is bounded as well.
func TestTLSOwnAnswersAreBounded(t *testing.T) {
	r := newTLSRig(t, false, loops(1))
	c, other := r.secure(), r.secure()
	c.Sync()
	other.Sync()
	l := r.server.allLoops()[0]
	l.do(func() {
		for s := range l.conns {
			if s.Addr.String() == c.LocalAddr().String() {
				s.tls.Write(make([]byte, 2*sealSize+assuredSize))
				l.begin()
				s.tls.read(nil)
				l.end()
			}
		}
	})
	wire.Await(t, "it is cut off", func() bool { return r.server.Counters().CutOff.Load() == 1 })
	wire.Await(t, "it is gone", func() bool { return r.server.connections.Load() == 1 })
	other.Sync()
	// The peer may have its answer before the loop has counted it as written.
	wire.Await(t, "no output is left", func() bool { return r.server.buffered() == 0 })
}

// A peer that half-closes its connection gets what it is owed, whether it ends TLS or TCP, and close_notify
// at the end.
func TestTLSHalfClosed(t *testing.T) {
	r := newTLSRig(t, false, loops(2))
	data := string(noise(4 << 20))
	for version, config := range r.versions() {
		for name, end := range map[string]func(c *wire.Conn, socket io.Closer){
			"close_notify": func(c *wire.Conn, _ io.Closer) { c.CloseWrite() },
			"TCP": func(_ *wire.Conn, socket io.Closer) {
				socket.(interface{ CloseWrite() error }).CloseWrite()
			},
			"both": func(c *wire.Conn, socket io.Closer) {
				c.CloseWrite()
				socket.(interface{ CloseWrite() error }).CloseWrite()
			},
		} {
			for _, answers := range []int{0, 1, 6} { // six are more than the sockets' buffers hold
				if sample.Only && answers == 6 && name != "close_notify" {
					continue
				}
				socket := r.tcp()
				c := r.secureOver(socket, config)
				var want []byte
				for range answers {
					c.Send(codec.EchoReq, data)
					want = codec.AppendPacket(want, codec.EchoRes, data)
				}
				end(c, socket)
				if answers == 6 {
					wire.Await(t, "only the output is left", func() bool {
						return r.sched.Count().Peers == 0 && r.server.halfClosed.count() == 1
					})
				}
				// ReadAll fails without the server's close_notify.
				if got := c.ReadAll(); !bytes.Equal(got, want) {
					t.Errorf("%s, %s: %d bytes came, want %d", version, name, len(got), len(want))
				}
				r.none()
				if n, _ := payload.InUse(); n != 0 || r.server.buffered() != 0 {
					t.Errorf("%s, %s: %d payloads left", version, name, n)
				}
			}
		}
	}
}

// As without TLS, a job whose only client half-closes its connection is dropped, and earlier answers arrive.
func TestTLSHalfClosedClientIsGone(t *testing.T) {
	r := newTLSRig(t, false)
	c := r.secure()
	c.Submit(codec.SubmitJob, "f", "", "x")
	c.Send(codec.EchoReq, "last")
	c.CloseWrite()
	c.Want(codec.EchoRes, "last")
	c.WantEnd()
	c.Close()
	r.none()
	w := r.secure()
	w.Send(codec.CanDo, "f")
	w.Send(codec.GrabJob)
	w.Want(codec.NoJob)
	w.Close()
	r.none()
	r.quiet()
}

// At the end of the server a peer that reads gets the buffered output, and close_notify.
func TestTLSShutdownFlushes(t *testing.T) {
	for name := range newTLSRig(t, false).versions() {
		t.Run(name, func(t *testing.T) {
			r := newTLSRig(t, false, loops(2))
			c := r.secureOver(r.tcp(), r.versions()[name])
			data := string(noise(10 << 20))
			c.Send(codec.EchoReq, data)
			wire.Await(t, "the socket is full", func() bool { return r.blocked() == 1 })
			r.server.Shutdown()
			if got := c.ReadAll(); !bytes.Equal(got, codec.AppendPacket(nil, codec.EchoRes, data)) {
				t.Errorf("%d bytes came", len(got))
			}
			r.wantEnd()
		})
	}
}

// A peer that is disconnected because of a fault can read the error, and then the end.
func TestTLSFaultsAreAnswered(t *testing.T) {
	r := newTLSRig(t, false)
	c := r.secure()
	c.Raw([]byte("\x00garbage that is no packet"))
	c.WantError("invalid_magic")
	if _, err := c.Reader().ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	c.Close()
	r.none()
}

// Records that were changed on their way end the connection and have no other effect.
func TestTLSBrokenRecords(t *testing.T) {
	r := newTLSRig(t, false, loops(1))
	for _, config := range r.versions() {
		for _, record := range []string{
			"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32),
			"\x17\x03\x03\xff\xff" + strings.Repeat("x", 64),
			"\x16\x03\x03\x00\x05hello",
			"\x15\x03\x03\x00\x02\x02\x28",
			"plain text, long enough to be a header\n",
		} {
			socket := r.tcp()
			c := r.secureOver(socket, config)
			c.Sync()
			if _, err := io.WriteString(socket, record); err != nil {
				t.Fatal(err)
			}
			c.WantEnd()
			c.Close()
			r.none()
		}
	}
	r.secure().Sync()
}

// Idle connections hold no buffers, whatever passed through them, and are served when they send again.
func TestTLSIdle(t *testing.T) {
	r := newTLSRig(t, true, loops(2))
	all := make([]*wire.Conn, sample.Of(400, 100))
	large := string(noise(100 << 10))
	for i := range all {
		c := r.secure()
		c.Send(codec.EchoReq, large)
		c.Want(codec.EchoRes, large)
		all[i] = c
	}
	r.server.onEachLoop(func(l *loop) bool {
		for c := range l.conns {
			if c.tls.sealed != nil || c.tls.received != nil || c.out.pieces != nil || c.partial != nil {
				t.Error("an idle connection holds buffers")
			}
		}
		return false
	})
	if n, b := payload.InUse(); n != 0 || r.server.buffered() != 0 || r.server.reading.Load() != 0 {
		t.Errorf("%d payloads of %d bytes, %d bytes of output", n, b, r.server.buffered())
	}
	for _, c := range all {
		c.Sync()
		c.Close()
	}
	r.none()
}

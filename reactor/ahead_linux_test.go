package reactor

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gearloop/codec"
	"gearloop/test/sample"
	"gearloop/test/wire"
)

// only returns the loop's only connection.
func (l *loop) only() *conn {
	for c := range l.conns {
		return c
	}
	return nil
}

// echo returns an ECHO_REQ and its answer.
func echo(size int) (frame, answer []byte) {
	data := string(noise(size))
	return codec.AppendRequest(nil, codec.EchoReq, data), codec.AppendPacket(nil, codec.EchoRes, data)
}

// A large frame that is expected takes one read together with a small one behind it, and is not copied: what was read
// is what its payload has. That holds for a size that differs a little.
func TestExpectedFrameTakesOneRead(t *testing.T) {
	r := newRig(t, loops(1), onUnix(t))
	c := r.dial()
	l := r.server.allLoops()[0]
	frame, answer := echo(readSize + 100)
	c.Raw(frame)
	wantBytes(t, c, answer)
	for _, size := range []int{readSize + 100, readSize + 300, readSize + 200, readSize + 1} {
		frame, answer := echo(size)
		small, smallAnswer := echo(10)
		stopped, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var n, copied int
		l.do(func() {
			defer close(done)
			close(stopped)
			<-goOn
			conn := l.only()
			var err error
			if n, _, err = conn.readSome(readTurn); err != nil || l.ahead == nil {
				t.Errorf("%d bytes: reads %d, %v, not ahead", size, n, err)
				return
			}
			data := l.ahead.Space()
			conn.took(n)
			if &data[0] != &conn.out.pieces[1].bytes[0] {
				copied = size
			}
		})
		<-stopped
		c.Raw(cat(frame, small))
		close(goOn)
		<-done
		if want := len(frame) + len(small); n != want || copied > 0 {
			t.Errorf("%d bytes: one read brings %d of %d, %d were copied", size, n, want, copied)
		}
		wantBytes(t, c, cat(answer, smallAnswer))
	}
}

// Peers that turn to small packets are read as others are, at once or after a few reads.
func TestNothingIsExpectedOfSmallPackets(t *testing.T) {
	r := newRig(t, loops(1), onUnix(t))
	small, smallAnswer := echo(10)
	large, largeAnswer := echo(readSize)
	for _, together := range []int{1, 100} {
		c := r.dial()
		c.Raw(large)
		wantBytes(t, c, largeAnswer)
		expected := func() (n uint32) {
			r.onLoop(func(l *loop) { n = l.only().expected })
			return n
		}
		if n := expected(); n != readSize {
			t.Errorf("%d bytes are expected, want %d", n, readSize)
		}
		for range aheadVain {
			for range together {
				c.Raw(small)
			}
			for range together {
				wantBytes(t, c, smallAnswer)
			}
		}
		if n := expected(); n != 0 {
			t.Errorf("%d bytes are expected after small packets", n)
		}
		c.Close()
		wire.Await(t, "it is closed", func() bool { return r.server.connections.Load() == 0 })
	}
}

// Whatever follows on a large frame, wherever it is cut, all is answered in its order; a frame that is too large ends
// the connection after the answers.
func TestExpectedFramesKeepOrder(t *testing.T) {
	const most = 1 << 20
	r := newRig(t, loops(1), onUnix(t), func(s *setup) { s.MaxPacket = most })
	for seed := range uint64(sample.Of(12, 4)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			base := []int{aheadSize + 700, 40_000, readSize, 300_000}[seed%4]
			send, want := codec.AppendRequest(nil, codec.CanDo, "f"), []byte(nil)
			for range 60 {
				switch rnd.IntN(8) {
				case 0:
					send, want = codec.AppendRequest(send, codec.GrabJob), codec.AppendPacket(want, codec.NoJob)
				case 1:
					send, want = append(send, "version\n"...), append(want, "v1.2.3\n"...)
				case 2:
					frame, answer := echo(rnd.IntN(2 * behindSize))
					send, want = append(send, frame...), append(want, answer...)
				case 3:
					frame, answer := echo(rnd.IntN(2 * base))
					send, want = append(send, frame...), append(want, answer...)
				default:
					frame, answer := echo(base + rnd.IntN(1200) - 600)
					send, want = append(send, frame...), append(want, answer...)
				}
			}
			send = append(send, codec.AppendRequest(nil, codec.EchoReq, string(noise(most+1)))...)
			c := r.dial()
			go func() {
				for len(send) > 0 {
					n := min(1+rnd.IntN(3*base), len(send))
					if seed%2 == 0 && rnd.IntN(3) == 0 {
						n = min(codec.HeaderSize, n)
					}
					if _, err := c.Write(send[:n]); err != nil {
						return
					}
					send = send[n:]
				}
			}()
			wantBytes(t, c, want)
			c.WantType(codec.Error)
			c.WantEnd()
		})
	}
}

package reactor

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// On a unix socket the sender can see that everything was read. It sends the next piece only then, so the
// server gets exactly these cuts.

// onUnix makes a server listen on a unix socket.
func onUnix(tb testing.TB) func(*setup) {
	path := filepath.Join(tb.TempDir(), "s")
	return func(s *setup) { s.listen = append(s.listen, "unix:"+path) }
}

// sendPiece sends bytes and waits until the server has read them.
func sendPiece(tb testing.TB, c *wire.Conn, b []byte) {
	tb.Helper()
	c.Raw(b)
	awaitRead(tb, c)
}

// awaitRead waits until everything that was sent on a unix socket is read.
func awaitRead(tb testing.TB, c *wire.Conn) {
	tb.Helper()
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	deadline := time.Now().Add(wire.Limit)
	for {
		unread := 0
		raw.Control(func(fd uintptr) { unread, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		if err != nil {
			tb.Fatal(err)
		}
		if unread == 0 {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%d bytes are not read", unread)
		}
		runtime.Gosched()
	}
}

// wantBytes reads exactly these bytes.
func wantBytes(tb testing.TB, c *wire.Conn, want []byte) {
	tb.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.Reader(), got)
	if err != nil {
		tb.Fatalf("after %d of %d bytes: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		tb.Fatalf("differs from byte %d of %d on: got %.80q, want %.80q", i, len(want), got[i:], want[i:])
	}
}

// conversation is a mix of frames and lines, and the answers to it.
func conversation() (sent, answer []byte) {
	sent = codec.AppendRequest(sent, codec.CanDo, "f") // so GRAB_JOB is postponed (grabs.go)
	sent = codec.AppendRequest(sent, codec.EchoReq, "a")
	answer = codec.AppendPacket(answer, codec.EchoRes, "a")
	sent = append(sent, "version\n"...)
	answer = append(answer, "v1.2.3\n"...)
	sent = codec.AppendRequest(sent, codec.GrabJob)
	answer = codec.AppendPacket(answer, codec.NoJob)
	sent = codec.AppendRequest(sent, codec.EchoReq, "\x00REQ\n\x00\x00version\n")
	answer = codec.AppendPacket(answer, codec.EchoRes, "\x00REQ\n\x00\x00version\n")
	sent = append(sent, "VERSION\r\n\nbogus\n"...)
	answer = append(answer, "v1.2.3\nERR unknown_command Unknown+server+command\r\nERR unknown_command Unknown+server+command\r\n"...)
	sent = codec.AppendRequest(sent, codec.OptionReq, "exceptions")
	answer = codec.AppendPacket(answer, codec.OptionRes, "exceptions")
	sent = codec.AppendRequest(sent, codec.EchoReq)
	answer = codec.AppendPacket(answer, codec.EchoRes)
	return sent, answer
}

// The conversation gets the same answers wherever it is cut in two.
func TestReadEveryCut(t *testing.T) {
	r := newRig(t, loops(1), onUnix(t))
	sent, answer := conversation()
	c := r.dial()
	for cut := 1; cut < len(sent); cut++ {
		sendPiece(t, c, sent[:cut])
		sendPiece(t, c, sent[cut:])
		wantBytes(t, c, answer)
	}
	c.Sync()
}

// The conversation gets the same answers in pieces of every small size.
func TestReadSmallPieces(t *testing.T) {
	r := newRig(t, loops(1), onUnix(t))
	sent, answer := conversation()
	c := r.dial()
	for size := 1; size <= 20; size++ {
		for rest := sent; len(rest) > 0; {
			n := min(size, len(rest))
			sendPiece(t, c, rest[:n])
			rest = rest[n:]
		}
		wantBytes(t, c, answer)
	}
	c.Sync()
}

// interesting are the sizes around those at which the way of reading changes.
func interesting() []int {
	var sizes []int
	for _, base := range []int{codec.HeaderSize, 4096, 60 << 10, readSize, 256 << 10, readTurn} {
		for _, d := range []int{-13, -12, -11, -1, 0, 1, 11, 12, 13} {
			if n := base + d; n >= 0 {
				sizes = append(sizes, n)
			}
		}
	}
	return sizes
}

// noise returns n bytes without a pattern, the same for the same n.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// Frames of every interesting size come back, whatever surrounds them and wherever they are cut.
func TestReadFrameSizes(t *testing.T) {
	r := newRig(t, loops(2), onUnix(t))
	for _, size := range interesting() {
		data := noise(size)
		frame := codec.AppendRequest(nil, codec.EchoReq, string(data))
		small := codec.AppendRequest(nil, codec.EchoReq, "small")
		echo := codec.AppendPacket(nil, codec.EchoRes, string(data))
		smallEcho := codec.AppendPacket(nil, codec.EchoRes, "small")
		for _, pieces := range [][][]byte{
			{frame},
			{frame, frame, small},
			{cat(frame, small)},
			{cat(small, frame, frame, small, frame)},
			{frame[:codec.HeaderSize], cat(frame[codec.HeaderSize:], small)},
			{frame[:len(frame)-1], cat(frame[len(frame)-1:], frame, small)},
			{frame[:5], frame[5:codec.HeaderSize], frame[codec.HeaderSize:]},
			{frame[:len(frame)/2], cat(frame[len(frame)/2:], []byte("version\n"))},
		} {
			c := r.dial()
			want := answers(cat(pieces...), frame, echo, small, smallEcho)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, p := range pieces {
					c.Raw(p)
				}
			}()
			wantBytes(t, c, want)
			<-done
			c.Close()
		}
	}
}

// answers returns the expected answers to a stream of these frames and "version" lines.
func answers(stream []byte, framesAndAnswers ...[]byte) (out []byte) {
next:
	for len(stream) > 0 {
		for i := 0; i < len(framesAndAnswers); i += 2 {
			if rest, ok := bytes.CutPrefix(stream, framesAndAnswers[i]); ok {
				out, stream = append(out, framesAndAnswers[i+1]...), rest
				continue next
			}
		}
		rest, ok := bytes.CutPrefix(stream, []byte("version\n"))
		if !ok {
			panic("stream of unknown frames")
		}
		out, stream = append(out, "v1.2.3\n"...), rest
	}
	return out
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Arguments and results of every interesting size pass in both directions, between loops.
func TestReadJobSizes(t *testing.T) {
	r := newRig(t, loops(2))
	client, worker := r.dial(), r.worker("f")
	for _, size := range interesting() {
		argument, result := noise(size), noise(size + 1)[1:]
		h := client.Submit(codec.SubmitJob, "f", "", string(argument))
		got, arg := worker.Grab()
		if got != h || arg != string(argument) {
			t.Fatalf("size %d: the argument has changed", size)
		}
		worker.Send(codec.WorkComplete, h, string(result))
		p := client.WantType(codec.WorkComplete)
		if args := p.Args(2); args[0] != h || args[1] != string(result) {
			t.Fatalf("size %d: the result has changed", size)
		}
	}
}

// One write holds more frames than a turn may read. All are answered, in order.
func TestReadManyGluedFrames(t *testing.T) {
	r := newRig(t, loops(1), onUnix(t))
	c := r.dial()
	var sent, answer []byte
	for i := range 40_000 {
		text := fmt.Sprintf("%08d", i)
		sent = codec.AppendRequest(sent, codec.EchoReq, text)
		answer = codec.AppendPacket(answer, codec.EchoRes, text)
	}
	done := make(chan struct{})
	go func() { defer close(done); c.Raw(sent) }()
	wantBytes(t, c, answer)
	<-done
}

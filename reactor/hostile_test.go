package reactor

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/sample"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// header returns the header of a frame that announces size bytes.
func header(magic string, t codec.Type, size uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), uint32(t))
	return binary.BigEndian.AppendUint32(b, size)
}

// A frame with the magic of the other direction, small or large, is answered with an error and skipped.
func TestFrameFromServer(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	for _, size := range []int{0, 1, 100, 60 << 10, 300 << 10} {
		c.Raw(append(header("\x00RES", codec.EchoReq, uint32(size)), make([]byte, size)...))
		c.WantError("invalid_magic")
		c.Sync()
	}
	if n := r.server.Counters().BadMagic.Load(); n != 5 {
		t.Errorf("%d bad magics counted, want 5", n)
	}
	if n, _ := payload.InUse(); n != 0 {
		t.Errorf("%d payloads in use", n)
	}
}

// Bytes that begin like a frame and are none end the connection as soon as that can be known. What follows is
// not examined, and does not keep the error from arriving.
func TestNeitherFrameNorLine(t *testing.T) {
	r := newRig(t)
	for _, garbage := range []string{
		"\x00REX", "\x00X", "\x00\x00", "\x00RES\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00", "\x00req\x00\x00\x00\x10\x00\x00\x00\x00",
		"\x00RE\x00REQ", "\x00" + strings.Repeat("\xff", 1<<20),
	} {
		c := r.dial()
		c.Send(codec.EchoReq, "before")
		c.Want(codec.EchoRes, "before")
		c.Raw([]byte(garbage))
		if strings.HasPrefix(garbage, "\x00RES") {
			c.WantError("invalid_magic") // for the frame, then for what follows it
		}
		c.WantError("invalid_magic")
		c.Write([]byte("version\n")) // may fail: the server has closed the connection
		c.WantEnd()
		c.Close()
	}
	r.quiet()
}

// A line may have 8192 bytes, in any pieces. One byte more ends the connection.
func TestLineLength(t *testing.T) {
	r := newRig(t)
	longest := strings.Repeat("v", codec.MaxLine)
	const unknown = "ERR unknown_command Unknown+server+command"
	c := r.dial()
	for _, pieces := range [][]string{
		{longest + "\n"}, {longest + "\r\n"}, {longest, "\n"}, {longest + "\r", "\n"}, {longest[:1], longest[1:], "\n"},
	} {
		for _, p := range pieces {
			c.Raw([]byte(p))
		}
		if got := c.ReadLine(); got != unknown {
			t.Fatalf("got %q", got)
		}
	}
	c.Sync()
	c.Close()
	for _, tooLong := range []string{
		longest + "v\n", longest + "v\r\n", longest + "vv", longest + strings.Repeat("v", 1<<20), longest + "\rv\nversion\n",
	} {
		c := r.dial()
		c.Raw([]byte("version\n"))
		c.Raw([]byte(tooLong[:10]))
		c.Raw([]byte(tooLong[10:]))
		if got := c.ReadLine(); got != "v1.2.3" {
			t.Fatalf("got %q", got)
		}
		if got := c.ReadLine(); !strings.HasPrefix(got, "ERR line_too_long ") {
			t.Fatalf("got %q", got)
		}
		c.WantEnd()
		c.Close()
	}
	if n := r.server.Counters().LinesTooLong.Load(); n != 5 {
		t.Errorf("%d lines too long counted, want 5", n)
	}
	r.quiet()
}

// A header that announces more than --max-packet ends the connection before anything is allocated. The peer
// gets the reason even if it writes the whole packet before it reads, and is not blocked meanwhile.
func TestPacketTooLarge(t *testing.T) {
	const most = 1 << 20
	var log texts.Buffer
	begun := time.Now()
	r := newTLSRig(t, false, func(s *setup) { s.MaxPacket, s.Log = most, textLog(&log) })
	c := r.plain()
	c.Send(codec.EchoReq, strings.Repeat("x", most))
	if p := c.WantType(codec.EchoRes); len(p.Data) != most {
		t.Fatalf("%d bytes came back", len(p.Data))
	}
	c.Sync()
	c.Close()
	n := int64(0)
	for name, dial := range map[string]func() *wire.Conn{"plain": r.plain, "TLS": r.secure} {
		for _, size := range []uint32{most + 1, 64 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			for _, first := range []int{codec.HeaderSize, codec.HeaderSize + 1000, 1}[:sample.Of(3, 1)] {
				c := dial()
				packet := append(header("\x00REQ", codec.EchoReq, size), make([]byte, min(size, 8<<20))...)
				c.Raw(packet[:first])
				c.Raw(packet[first:])
				n++
				c.WantError("packet_too_large")
				if n, bytes := payload.InUse(); n != 0 || bytes != 0 {
					t.Errorf("%d payloads of %d bytes in use", n, bytes)
				}
				if whole := uint32(len(packet)) == codec.HeaderSize+size; whole || first == codec.HeaderSize && name == "plain" {
					c.WantEnd() // once everything has arrived, or nothing comes any more
				}
				c.Close()
			}
		}
		wire.Await(t, name+": all are counted", func() bool { return r.server.Counters().TooLarge.Load() == n })
	}
	// A packet that is larger than all buffers on the way, read at loopback's usual speed.
	for _, dial := range []func() *wire.Conn{r.plain, r.secure} {
		c := dial()
		packet := append(header("\x00REQ", codec.EchoReq, 60<<20), make([]byte, 60<<20)...)
		c.Raw(packet)
		c.WantError("packet_too_large")
		c.WantEnd()
		c.Close()
	}
	const line = `level=WARN msg="closing a connection: a packet is larger than --max-packet" peer=127.0.0.1:`
	lines := int(n)/2 + int(time.Since(begun)/logPause) + 1
	if got := log.String(); strings.Count(got, line) < 1 || strings.Count(got, line) > lines || !strings.Contains(got, "max_packet=1048576 others=0") {
		t.Errorf("logs %s", got)
	}
	r.quiet()
}

// A header alone makes the server allocate no more than one chunk.
func TestHeaderReservesOneChunk(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.Raw(header("\x00REQ", codec.EchoReq, 64<<20))
	var n, bytes int64
	wire.Await(t, "the header is read", func() bool { n, bytes = payload.InUse(); return n > 0 })
	if n != 1 || bytes > payload.ChunkSize {
		t.Errorf("%d payloads of %d bytes in use", n, bytes)
	}
	c.Close()
	r.quiet()
	noPayload(t)
}

// Peers that never finish a packet do not affect others.
func TestHalfSentHoldsUpNobody(t *testing.T) {
	r := newRig(t, loops(2))
	beginnings := [][]byte{
		{0}, []byte("\x00REQ"), header("\x00REQ", codec.EchoReq, 10)[:11], header("\x00REQ", codec.EchoReq, 10),
		append(header("\x00REQ", codec.SubmitJob, 1<<20), "f\x00\x00"...), []byte("w"), []byte("worker"), bytes.Repeat([]byte("x"), 5000),
	}
	var slow []*wire.Conn
	for i := range 200 {
		c := r.dial()
		c.Raw(beginnings[i%len(beginnings)])
		slow = append(slow, c)
	}
	client, worker := r.dial(), r.worker("f")
	for i := range 200 {
		h := client.Submit(codec.SubmitJob, "f", "", "x")
		worker.Grab()
		slow[i].Raw([]byte("o")) // goes on, a byte at a time
		worker.Send(codec.WorkComplete, h, "y")
		client.Want(codec.WorkComplete, h, "y")
	}
}

// Urgent data are ignored and disturb nobody.
func TestUrgentData(t *testing.T) {
	r := newRig(t, loops(1))
	c := r.dial()
	for range 10 {
		raw, err := c.Conn.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte{'!'}, unix.MSG_OOB, nil) })
		if err != nil {
			t.Fatal(err)
		}
		r.dial().Sync()
		c.Sync()
	}
}

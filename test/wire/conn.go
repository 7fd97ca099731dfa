package wire

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
)

// Limit is how long anything that is awaited may take.
var Limit = await.Limit

// Conn is a connection to a job server. One goroutine may read and another
// write at the same time.
type Conn struct {
	net.Conn
	tb  testing.TB
	in  *bufio.Reader
	out []byte
}

// Packet is a packet from the server.
type Packet = codec.Response

// Dial connects to host:port or unix:PATH and closes the connection when the test ends.
func Dial(tb testing.TB, addr string) *Conn {
	tb.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	c, err := net.DialTimeout(network, addr, Limit)
	if err != nil {
		tb.Fatalf("connecting: %v", err)
	}
	tb.Cleanup(func() { c.Close() })
	return New(tb, c)
}

// New wraps a connection that is there already. It does not close it.
func New(tb testing.TB, c net.Conn) *Conn {
	return &Conn{Conn: c, tb: tb, in: bufio.NewReader(c)}
}

// Reader returns what the connection is read through. Reads of it may take Limit from now on.
func (c *Conn) Reader() *bufio.Reader {
	c.SetReadDeadline(time.Now().Add(Limit))
	return c.in
}

// Raw sends bytes as they are.
func (c *Conn) Raw(b []byte) {
	c.tb.Helper()
	c.SetWriteDeadline(time.Now().Add(Limit))
	if _, err := c.Write(b); err != nil {
		c.tb.Fatalf("sending %d bytes: %v", len(b), err)
	}
}

// Send sends one packet.
func (c *Conn) Send(t codec.Type, args ...string) {
	c.tb.Helper()
	c.out = codec.AppendRequest(c.out[:0], t, args...)
	c.Raw(c.out)
}

// Line sends one line of text.
func (c *Conn) Line(text string) {
	c.tb.Helper()
	c.Raw([]byte(text + "\n"))
}

// Receive reads a packet. Limit bounds the whole of it.
func (c *Conn) Receive() (Packet, error) {
	c.SetReadDeadline(time.Now().Add(Limit))
	return codec.ReadResponse(c.in, 1<<32)
}

// Next returns the next packet.
func (c *Conn) Next() Packet {
	c.tb.Helper()
	p, err := c.Receive()
	if err != nil {
		c.tb.Fatalf("waiting for a packet: %v", err)
	}
	return p
}

// Want takes the next packet, which has to be this one.
func (c *Conn) Want(t codec.Type, args ...string) {
	c.tb.Helper()
	p := c.Next()
	if want := strings.Join(args, "\x00"); p.Type != t || string(p.Data) != want {
		c.tb.Fatalf("got %v, want %v", p, Packet{Type: t, Data: []byte(want)})
	}
}

// WantType takes the next packet, which has to be of this type.
func (c *Conn) WantType(t codec.Type) Packet {
	c.tb.Helper()
	p := c.Next()
	if p.Type != t {
		c.tb.Fatalf("got %v, want a packet of type %v", p, t)
	}
	return p
}

// WantError takes the next packet, which has to be an ERROR with this code, and returns its text.
func (c *Conn) WantError(code string) string {
	c.tb.Helper()
	args := c.WantType(codec.Error).Args(2)
	if args[0] != code || len(args) != 2 {
		c.tb.Fatalf("got ERROR %q, want code %q", args, code)
	}
	return args[1]
}

// Sync waits until the server has handled everything that was sent before, and sent every
// answer that was owed at that moment; there must be none.
func (c *Conn) Sync() {
	c.tb.Helper()
	c.Send(codec.EchoReq, "sync")
	c.Want(codec.EchoRes, "sync")
}

// Submit submits a job and returns its handle.
func (c *Conn) Submit(t codec.Type, function, unique, argument string) string {
	c.tb.Helper()
	c.Send(t, function, unique, argument)
	return string(c.WantType(codec.JobCreated).Data)
}

// Grab grabs a job that has to be there, and returns its handle and argument.
func (c *Conn) Grab() (handle, argument string) {
	c.tb.Helper()
	c.Send(codec.GrabJob)
	return c.WantJob()
}

// WantJob takes the next packet, which has to be JOB_ASSIGN, and returns handle and argument.
func (c *Conn) WantJob() (handle, argument string) {
	c.tb.Helper()
	args := c.WantType(codec.JobAssign).Args(3)
	if len(args) != 3 {
		c.tb.Fatalf("JOB_ASSIGN with %d arguments", len(args))
	}
	return args[0], args[2]
}

// ReadLine reads a line of text, without its end.
func (c *Conn) ReadLine() string {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Limit))
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.tb.Fatalf("waiting for a line: %v (so far: %q)", err, line)
	}
	return strings.TrimRight(line, "\r\n")
}

// Table sends a text command and returns the lines of its answer, without the "." at the end.
func (c *Conn) Table(command string) []string {
	c.tb.Helper()
	c.Line(command)
	var lines []string
	for {
		line := c.ReadLine()
		if line == "." {
			return lines
		}
		lines = append(lines, line)
	}
}

// WantEnd takes the end of the connection; nothing may come before it. A reset is an end, too.
func (c *Conn) WantEnd() {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Limit))
	b, err := c.in.ReadByte()
	if err == nil {
		rest, _ := c.in.Peek(min(c.in.Buffered(), 200))
		c.tb.Fatalf("got %q, want the end of the connection", append([]byte{b}, rest...))
	}
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.tb.Fatal("the connection does not end")
	}
}

// ReadAll returns everything until the end of the connection.
func (c *Conn) ReadAll() []byte {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Limit))
	var b bytes.Buffer
	if _, err := b.ReadFrom(c.in); err != nil {
		c.tb.Fatalf("reading to the end: %v (after %d bytes)", err, b.Len())
	}
	return b.Bytes()
}

// CloseWrite says that nothing more will be sent.
func (c *Conn) CloseWrite() {
	c.tb.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.tb.Fatal(err)
	}
}

// Reset ends a TCP connection with a reset, and any other with a close.
func (c *Conn) Reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// Await waits until a condition holds.
func Await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	await.Until(tb, what, holds)
}

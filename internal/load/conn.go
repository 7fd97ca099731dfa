package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gearloop/codec"
)

const (
	// readSize is how many bytes one read asks for.
	readSize = 256 << 10
	// wholeSize is the largest frame that is gathered completely; only the beginning of a larger one is
	// examined.
	wholeSize = 16 << 10
	// headSize is how many bytes of a larger frame's data are examined: all arguments except the payload, and
	// the bytes that identify the job.
	headSize = 2 << 10
	// copySize is the largest part of a payload that is copied to the output.
	copySize = 4 << 10
)

// conn is a connection of a loop.
type conn struct {
	loop     *loop
	fd       int
	receiver receiver
	rest     []byte // the beginning of an incomplete frame
	ready    bool   // the server has answered the first ECHO_REQ
	closed   bool

	out     []byte   // to be written
	shared  []shared // parts of the output that are not in out
	pending [][]byte // given to the socket, which was full; precedes out
	dirty   bool     // it is in loop.dirty
	full    bool     // the socket accepts no more; the poller reports when it does

	large frame // a frame of which skip bytes are missing
	head  []byte
	skip  int
}

// shared is a part of the output that is stored elsewhere: it precedes byte at of out.
type shared struct {
	at   int
	data []byte
}

// frame is a packet from the server.
type frame struct {
	typ  codec.Type
	data []byte // valid during the call; only the beginning of a large packet
	size int    // of all data
	last byte   // of the data
}

// receiver handles a connection's packets.
type receiver interface {
	// ready is called when the server has answered for the first time.
	ready()
	packet(f frame) error
}

// dial connects and returns a non-blocking descriptor.
func dial(addr string) (int, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	c, err := net.DialTimeout(network, addr, stallLimit)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	// Duplicated, so that Go's poller does not know it.
	fd, dupErr := 0, error(nil)
	err = raw.Control(func(f uintptr) { fd, dupErr = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, os.NewSyscallError("dup", dupErr)); err != nil {
		return 0, err
	}
	return fd, nil
}

// read reads once and handles the input.
func (c *conn) read() error {
	buf := c.loop.buf
	begun := copy(buf, c.rest)
	if c.rest = c.rest[:0]; cap(c.rest) > headSize {
		c.rest = nil
	}
	n, err := readFD(c.fd, buf[begun:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		n = 0
	case err != nil:
		return os.NewSyscallError("read", err)
	case n == 0:
		return io.ErrUnexpectedEOF
	}
	in := buf[:begun+n]
	for len(in) > 0 {
		used, err := c.consume(in)
		if err != nil {
			return err
		}
		if used == 0 {
			c.rest = append(c.rest, in...)
			return nil
		}
		in = in[used:]
	}
	return nil
}

// consume handles a frame, or a part of a large one, and returns how many bytes of in that was; 0 if it needs
// more.
func (c *conn) consume(in []byte) (int, error) {
	if c.skip > 0 {
		n := min(c.skip, len(in))
		if c.skip -= n; c.skip == 0 {
			c.large.last = in[n-1]
			return n, c.packet(c.large)
		}
		return n, nil
	}
	it, err := codec.Next(in, maxPayload+headSize)
	switch {
	case err != nil:
		return 0, fmt.Errorf("bytes from the server that are no packet: %w", err)
	case it.Kind == codec.Line:
		return 0, fmt.Errorf("line of text %.200q from the server", it.Data)
	case it.Kind == codec.Frame:
		f := frame{typ: it.Type, data: it.Data, size: it.Size}
		if it.Size > 0 {
			f.last = it.Data[it.Size-1]
		}
		return it.Len, c.packet(f)
	case it.Kind == codec.Head && it.Size > wholeSize && len(it.Data) >= headSize:
		c.head = append(c.head[:0], it.Data[:headSize]...)
		c.large = frame{typ: it.Type, data: c.head, size: it.Size}
		c.skip = it.Size - len(it.Data)
		return len(in), nil
	}
	return 0, nil
}

func (c *conn) packet(f frame) error {
	if !c.ready && f.typ != codec.Noop { // a sleeper may be woken earlier
		if f.typ != codec.EchoRes {
			return unexpected(f)
		}
		c.ready = true
		c.receiver.ready()
		return nil
	}
	return c.receiver.packet(f)
}

// touch schedules the output to be written at the end of the turn.
func (c *conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// send appends a packet without payload to the output.
func (c *conn) send(t codec.Type, args ...string) {
	c.out = codec.AppendRequest(c.out, t, args...)
	c.touch()
}

// sendWith appends a packet to the output: its first arguments, each terminated by NUL, and the payload in
// two parts, of which the first is copied.
func (c *conn) sendWith(t codec.Type, first, tag, payload []byte) {
	c.out = codec.AppendRequestHeader(c.out, t, len(first)+len(tag)+len(payload))
	c.out = append(append(c.out, first...), tag...)
	if len(payload) <= copySize {
		c.out = append(c.out, payload...)
	} else {
		c.shared = append(c.shared, shared{len(c.out), payload})
	}
	c.touch()
}

// flush writes as much output as the socket accepts.
func (c *conn) flush() error {
	if c.full {
		return nil
	}
	if len(c.pending) == 0 && len(c.shared) == 0 {
		if len(c.out) == 0 {
			return nil
		}
		n, err := writeFD(c.fd, c.out)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
		if err == nil && n == len(c.out) {
			c.out = c.out[:0]
			return nil
		}
		c.pending, c.out = append(c.pending, c.out[max(n, 0):]), nil
		return c.wait(true)
	}
	at := 0
	for _, s := range c.shared {
		if s.at > at {
			c.pending = append(c.pending, c.out[at:s.at])
		}
		c.pending = append(c.pending, s.data)
		at = s.at
	}
	if len(c.out) > at {
		c.pending = append(c.pending, c.out[at:])
	}
	c.out, c.shared = nil, c.shared[:0]
	for len(c.pending) > 0 {
		n, err := writeVectors(c.fd, c.pending)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return c.wait(true)
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		for n > 0 && n >= len(c.pending[0]) {
			n -= len(c.pending[0])
			c.pending = c.pending[1:]
		}
		if n > 0 {
			c.pending[0] = c.pending[0][n:]
		}
	}
	c.pending = nil
	return nil
}

func (c *conn) wait(full bool) error {
	c.full = full
	return c.loop.poller.watch(c.fd, full)
}

// writable continues writing when the socket has room again.
func (c *conn) writable() error {
	if err := c.wait(false); err != nil {
		return err
	}
	return c.flush()
}

// unexpected is the error for a packet that violates the protocol.
func unexpected(f frame) error { return fmt.Errorf("%s %.200q from the server", f.typ, f.data) }

package main

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"gearloop/codec"
)

const (
	// readSize is how much one read asks for, in bytes.
	readSize = 256 << 10
	// directSize is from which size on a payload is written from where it lies, in bytes.
	directSize = 16 << 10
	// keepSize is the largest output buffer that is kept for reuse, in bytes.
	keepSize = 1 << 20
	// turnEvents bounds the connections that are served before output is written.
	turnEvents = 256
	maxData    = 1 << 30
)

// relay is the server.
type relay struct {
	epoll     int
	listener  int
	conns     []*conn // by descriptor
	dirty     []*conn // with output of this turn
	buf       []byte  // what a read brings
	functions map[string]*function
	jobs      []job    // indexed by handle
	free      []uint32 // free entries of jobs
	spare     [][]byte // reusable buffers for data of at most readSize
	large     [][]byte // and for larger data
}

// conn is a connection.
type conn struct {
	fd    int
	rest  []byte // the beginning of an incomplete frame
	out   []byte // to be written
	dirty bool   // it is in relay.dirty
	full  bool   // the socket accepts no more; epoll reports when it does
	gone  bool

	large     []byte // the data of a frame that is larger than a read
	largeType codec.Type
	received  int // of large

	worker
}

func newRelay(listener int) (*relay, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(listener, true); err != nil {
		return nil, err
	}
	r := &relay{
		epoll: epoll, listener: listener, buf: make([]byte, 2*readSize),
		functions: map[string]*function{}, jobs: make([]job, 1),
	}
	return r, r.watch(unix.EPOLL_CTL_ADD, listener, unix.EPOLLIN)
}

func (r *relay) watch(op, fd int, events uint32) error {
	return unix.EpollCtl(r.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// run relays until standard input ends.
func (r *relay) run() error {
	events := make([]unix.EpollEvent, turnEvents)
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(r.epoll), uintptr(unsafe.Pointer(&events[0])), turnEvents, ^uintptr(0), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("epoll_wait", errno)
		}
		for _, ev := range events[:n] {
			switch fd := int(ev.Fd); {
			case fd == r.listener:
				if err := r.accept(); err != nil {
					return err
				}
			case fd == 0:
				var b [1]byte
				if n, err := unix.Read(0, b[:]); n <= 0 && err != unix.EINTR && err != unix.EAGAIN {
					return nil
				}
			default:
				r.serve(r.conns[fd], ev.Events)
			}
		}
		for _, c := range r.dirty {
			c.dirty = false
			if !c.full && !c.gone {
				r.end(c, r.flush(c))
			}
		}
		r.dirty = r.dirty[:0]
	}
}

func (r *relay) accept() error {
	for {
		fd, _, err := unix.Accept4(r.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR || err == unix.ECONNABORTED:
			return nil
		case err != nil:
			return os.NewSyscallError("accept4", err)
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err := r.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return err
		}
		for len(r.conns) <= fd {
			r.conns = append(r.conns, nil)
		}
		r.conns[fd] = &conn{fd: fd}
	}
}

// serve does what epoll says about a connection.
func (r *relay) serve(c *conn, events uint32) {
	if c == nil || c.gone {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		c.full = false
		r.watch(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN)
		if err := r.flush(c); err != nil {
			r.end(c, err)
			return
		}
	}
	if events&^unix.EPOLLOUT != 0 {
		r.end(c, r.read(c))
	}
}

// end closes a connection that has failed.
func (r *relay) end(c *conn, err error) {
	if err == nil || c.gone {
		return
	}
	c.gone = true
	unix.Close(c.fd)
	r.conns[c.fd] = nil
}

var errEnd = errors.New("end of the connection")

// read reads once and takes every whole frame.
func (r *relay) read(c *conn) error {
	if c.large != nil {
		return r.readLarge(c)
	}
	begun := copy(r.buf, c.rest)
	c.rest = c.rest[:0]
	n, err := read(c.fd, r.buf[begun:begun+readSize])
	if err != nil {
		return err
	}
	in := r.buf[:begun+n]
	for len(in) > 0 {
		it, err := codec.Next(in, maxData)
		switch {
		case err != nil:
			return err
		case it.Kind == codec.Incomplete, it.Kind == codec.Head && codec.HeaderSize+it.Size <= readSize:
			c.rest = append(c.rest, in...)
			return nil
		case it.Kind == codec.Head:
			c.large, c.largeType = r.largeBuffer(it.Size), it.Type
			c.received = copy(c.large, it.Data)
			return nil
		case it.Kind == codec.Line:
			return fmt.Errorf("a line of text")
		}
		if err := r.packet(c, it.Type, it.Data, false); err != nil {
			return err
		}
		in = in[it.Len:]
	}
	return nil
}

// readLarge reads more of a large frame.
func (r *relay) readLarge(c *conn) error {
	n, err := read(c.fd, c.large[c.received:])
	if err != nil {
		return err
	}
	if c.received += n; c.received < len(c.large) {
		return nil
	}
	data := c.large
	c.large = nil
	return r.packet(c, c.largeType, data, true)
}

// largeBuffer returns a buffer for a large frame.
func (r *relay) largeBuffer(size int) []byte {
	if last := len(r.large) - 1; last >= 0 && cap(r.large[last]) >= size {
		buf := r.large[last][:size]
		r.large = r.large[:last]
		return buf
	}
	return make([]byte, size)
}

func (r *relay) recycle(data []byte, owned bool) {
	if owned {
		r.large = append(r.large, data)
	}
}

// copyOf returns a copy of small data.
func (r *relay) copyOf(data []byte) []byte {
	var buf []byte
	if last := len(r.spare) - 1; last >= 0 {
		buf, r.spare = r.spare[last], r.spare[:last]
	}
	return append(buf[:0], data...)
}

// touch notes that a connection has output.
func (r *relay) touch(c *conn) {
	if !c.dirty {
		c.dirty = true
		r.dirty = append(r.dirty, c)
	}
}

// flush writes as much of a connection's output as the socket takes.
func (r *relay) flush(c *conn) error {
	if len(c.out) == 0 {
		return nil
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.out[0])), uintptr(len(c.out)))
	if errno != 0 && errno != unix.EAGAIN {
		return errno
	}
	if errno != 0 {
		n = 0
	}
	if int(n) == len(c.out) {
		if c.out = c.out[:0]; cap(c.out) > keepSize {
			c.out = nil
		}
		return nil
	}
	c.out = c.out[:copy(c.out, c.out[n:])]
	c.full = true
	return r.watch(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN|unix.EPOLLOUT)
}

// payload appends the rest of a packet to the output. A large one is written at once without copying.
func (r *relay) payload(c *conn, data []byte) {
	r.touch(c)
	if len(data) < directSize || c.full || c.gone {
		c.out = append(c.out, data...)
		return
	}
	vec := [2]unix.Iovec{{Base: &c.out[0], Len: uint64(len(c.out))}, {Base: &data[0], Len: uint64(len(data))}}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(c.fd), uintptr(unsafe.Pointer(&vec[0])), 2)
	written := int(n)
	if errno != 0 { // also if it is permanent: the flush at the end of the turn meets it again
		written = 0
	}
	if head := len(c.out); written < head {
		c.out = append(c.out[:copy(c.out, c.out[written:])], data...)
	} else {
		c.out = append(c.out[:0], data[written-head:]...)
	}
}

func read(fd int, buf []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, errEnd
	}
	return int(n), nil
}

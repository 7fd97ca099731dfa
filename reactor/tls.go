package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/internal/invariants"
)

// tlsConn is the TLS part of a connection: crypto/tls, and the socket on which crypto/tls works. That socket
// has three forms:
//
//   - During the handshake (handshake.go) socket is the accepted one. It blocks, off the loops.
//   - On a loop there is none. Read returns what the loop has received and then a temporary error; Write
//     buffers records until the connection's socket accepts them. Nothing blocks.
//   - When a peer that has shut down its sending side still gets output (halfclosed.go), socket is a blocking
//     one again.
//
// Output waits unencrypted in conn.out as for any connection, so that bounds mean the same and payloads stay
// shared. At most sealSize of it is encrypted ahead of what the socket accepts.
type tlsConn struct {
	session *tls.Conn
	socket  net.Conn // nil on a loop
	conn    *conn

	shaking *handshake // nil after the handshake

	// On a loop, while it reads.
	received []byte // received and not consumed by session
	full     bool   // the last read from the socket filled the buffer
	total    int    // bytes read in this turn
	crowded  bool   // it must wait for room

	sealed   []byte  // records to be written
	buffer   *[]byte // from sealBuffers; sealed begins in it
	sent     int     // bytes of sealed that are written
	buffered *atomic.Int64
	over     bool // nothing more can be read
	ended    bool // because the peer has sent its end
	said     bool // we have sent ours
}

// sealBuffers holds empty slices for tlsConn.sealed, with capacity for sealSize bytes in records.
var sealBuffers = sync.Pool{New: func() any { b := make([]byte, 0, sealSize+sealSize/32); return &b }}

// wouldBlock tells crypto/tls that no more input is there yet. It is a temporary error, which crypto/tls does
// not latch.
type wouldBlock struct{}

var errWouldBlock net.Error = wouldBlock{}

func (wouldBlock) Error() string   { return "nothing received" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Read returns buffered bytes or a temporary error. crypto/tls calls it.
func (t *tlsConn) Read(p []byte) (int, error) {
	if t.socket != nil {
		return t.awaitRead(p)
	}
	if len(t.received) == 0 && !t.readOn() {
		return 0, errWouldBlock
	}
	n := copy(p, t.received)
	t.received = t.received[n:]
	return n, nil
}

// readOn reads once from the socket if more is likely to be there, as conn.read does.
func (t *tlsConn) readOn() bool {
	c := t.conn
	if !t.full && c.fast == nil || t.total >= readTurn || c.loop.items >= readItems || c.stopped() || c.deaf {
		return false
	}
	if t.crowded = c.mustWait(c.fastSize()); t.crowded {
		return false
	}
	most := c.readMost()
	n, _ := readSocket(c.FD, c.loop.buffer[:most])
	c.received(n)
	if n <= 0 {
		t.full, t.total = false, readTurn // gnet finds the end or an error
		return false
	}
	t.received, t.full, t.total = c.loop.buffer[:n], n == most, t.total+n
	return true
}

// Write buffers or writes records. crypto/tls calls it.
func (t *tlsConn) Write(p []byte) (int, error) {
	if t.socket != nil {
		if err := t.sendOn(); err != nil {
			return 0, err
		}
		return t.socket.Write(p)
	}
	if t.sealed == nil {
		t.buffer = sealBuffers.Get().(*[]byte)
		t.sealed = *t.buffer
	}
	t.sealed = append(t.sealed, p...)
	t.buffered.Add(int64(len(p)))
	return len(p), nil
}

// sendOn writes the records that the loop left over.
func (t *tlsConn) sendOn() error {
	if t.pending() == 0 {
		return nil
	}
	_, err := t.socket.Write(t.sealed[t.sent:])
	t.release()
	return err
}

// pending returns the bytes of records that wait.
func (t *tlsConn) pending() int { return len(t.sealed) - t.sent }

// release drops the records that wait.
func (t *tlsConn) release() {
	if t.sealed == nil {
		return
	}
	t.buffered.Add(-int64(t.pending()))
	invariants.Poison((*t.buffer)[:cap(*t.buffer)])
	sealBuffers.Put(t.buffer) // not what append allocated beyond it
	t.sealed, t.buffer, t.sent = nil, nil, 0
}

// opened handles input that arrived together with the end of the handshake.
func (t *tlsConn) opened() {
	l := t.conn.loop
	l.begin()
	t.conn.read(nil)
	l.end()
}

// read decrypts what gnet has read, and reads on if more is likely to be there.
func (t *tlsConn) read(buf []byte) {
	c := t.conn
	if c.deaf {
		c.skipped(len(buf))
		c.acknowledgePart()
		return
	}
	t.received, t.full, t.total, t.crowded = buf, len(buf) == readSize, len(buf), false
	for !c.deaf {
		n, err := t.readPlain()
		if err == nil || n > 0 && err == errWouldBlock {
			continue
		}
		if err != errWouldBlock && !c.doomed {
			t.ended = errors.Is(err, io.EOF)
			if !t.ended {
				c.reason = closedTLS
				c.loop.server.log.Debug("TLS", "peer", c.Addr, "error", err)
			}
			t.over = true
		}
		break
	}
	if c.deaf {
		c.skipped(len(t.received) + recordSize) // crypto/tls may hold a part of a record
	}
	t.received = nil
	if t.over {
		c.grabBefore()
		c.steer()
	} else {
		c.readUp(t.crowded, 0)
	}
	// Answers by crypto/tls itself: peers may request new keys as often as they like, and not read.
	if n := t.pending(); n > sealSize+assuredSize && !c.doomed {
		c.cutOff()
	} else if n > 0 {
		c.loop.touch(c)
	}
}

// readPlain decrypts once: the missing data of a frame directly into its payload, anything else into the
// loop's buffer.
func (t *tlsConn) readPlain() (int, error) {
	c := t.conn
	if c.fast == nil || c.stopped() {
		plain := c.loop.plainBuffer()
		n, err := t.session.Read(plain)
		c.process(plain[:n])
		return n, err
	}
	n, err := t.session.Read(c.fast.Space())
	if n > 0 {
		c.fast.Filled(n)
		c.uploaded(n)
	}
	return n, err
}

// plainBuffer returns the buffer for decrypted input of a loop's connections: one record.
func (l *loop) plainBuffer() []byte {
	if l.plain == nil {
		l.plain = make([]byte, recordSize)
	}
	return l.plain
}

// write encrypts and writes until most bytes are written or the socket accepts no more (full). It then sends
// our end if that was requested.
func (t *tlsConn) write(most int) (full bool, err error) {
	c := t.conn
	for {
		if err := t.send(); err != nil || t.pending() > 0 {
			return err == nil, err
		}
		switch {
		case !c.out.empty() && !c.out.hungry() && most > 0:
			before := c.out.size
			if err := t.seal(); err != nil {
				return false, err
			}
			sealed := before - c.out.size
			most -= sealed
			c.loop.written += sealed
		case c.out.empty() && c.held == nil && c.closeWhenOut && !t.said:
			t.said = true
			if err := t.session.CloseWrite(); err != nil {
				return false, err
			}
		default:
			return false, nil
		}
	}
}

// seal encrypts the next sealSize of the output.
func (t *tlsConn) seal() error {
	out := &t.conn.out
	for room := sealSize; room > 0 && !out.empty() && !out.hungry(); {
		b := out.first()
		b = b[:min(len(b), room)]
		if _, err := t.session.Write(b); err != nil {
			return err
		}
		out.written(len(b))
		room -= len(b)
	}
	return nil
}

// send writes as many records as the socket accepts.
func (t *tlsConn) send() error {
	for t.pending() > 0 {
		n, err := writeSocket(t.conn.FD, [][]byte{t.sealed[t.sent:]})
		t.conn.sent(n)
		switch err {
		case nil:
			t.sent += n
			t.buffered.Add(-int64(n))
		case unix.EAGAIN:
			return nil
		case unix.EINTR:
		default:
			return err
		}
	}
	t.release()
	return nil
}

// finish writes the rest of a connection's output to a blocking socket, and then our end.
func (t *tlsConn) finish(out *output, patience time.Duration, took func()) {
	var err error
	for err == nil && !out.empty() {
		out.produceAll()
		t.socket.SetWriteDeadline(time.Now().Add(patience))
		b := out.first()
		b = b[:min(len(b), sealSize)]
		if _, err = t.session.Write(b); err == nil {
			out.written(len(b))
			out.publish()
			took()
		}
	}
	t.socket.SetWriteDeadline(time.Now().Add(patience))
	if err == nil && t.sendOn() == nil && !t.said {
		t.session.CloseWrite()
	}
	t.release()
}

// drained reports whether all output is written.
func (c *conn) drained() bool { return c.out.empty() && (c.tls == nil || c.tls.pending() == 0) }

// part writes what the socket accepts at the end of a connection, and our end if that is everything. It
// reports whether a peer that has only shut down its sending side is owed more.
func (c *conn) part(reason error) bool {
	c.closeWhenOut = true
	eof := errors.Is(reason, io.EOF) || c.tls != nil && c.tls.ended
	_, err := c.write(math.MaxInt)
	return err == nil && !c.drained() && eof
}

// Close does nothing on a loop; crypto/tls calls it.
func (t *tlsConn) Close() error {
	if t.socket != nil {
		return t.socket.Close()
	}
	return nil
}

// LocalAddr is for users of tls.ClientHelloInfo.
func (t *tlsConn) LocalAddr() net.Addr {
	if t.socket != nil {
		return t.socket.LocalAddr()
	}
	return nil
}

// RemoteAddr is for users of tls.ClientHelloInfo.
func (t *tlsConn) RemoteAddr() net.Addr {
	if t.socket != nil {
		return t.socket.RemoteAddr()
	}
	return nil
}

// SetDeadline does nothing, like the next two: deadlines are set on the socket itself.
func (t *tlsConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (t *tlsConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (t *tlsConn) SetWriteDeadline(time.Time) error { return nil }

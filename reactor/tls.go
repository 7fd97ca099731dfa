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
)

// tlsConn is what a connection over TLS has beside the others': crypto/tls, and the socket that
// crypto/tls believes to work on. That socket lives three times:
//
//   - During the handshake (handshake.go) socket is the accepted one. It blocks, off the loops.
//   - On a loop there is none. Read gives what the loop has received and then a temporary error, Write
//     keeps the records until the connection's socket takes them. Nothing blocks.
//   - When a peer that sends no more is still owed output (halfclosed.go), socket is a blocking one again.
//
// Output waits unencrypted in conn.out as with any connection, so that bounds mean the same and
// payloads stay shared; no more than sealSize of it is encrypted ahead of what the socket takes.
type tlsConn struct {
	session *tls.Conn
	socket  net.Conn // nil on a loop
	conn    *conn

	shaking *handshake // during the handshake

	// On a loop, while it reads.
	received []byte // not yet taken by session
	full     bool   // the last read from the socket was
	total    int    // bytes read in this turn
	crowded  bool   // it has to wait for room

	sealed   []byte  // records to be written
	buffer   *[]byte // of sealBuffers, what sealed began with
	sent     int     // bytes of sealed that are written
	buffered *atomic.Int64
	over     bool // nothing more can be read
	ended    bool // because the peer said that it sends no more
	said     bool // so do we
}

// sealBuffers are empty slices for tlsConn.sealed, with room for sealSize bytes in records.
var sealBuffers = sync.Pool{New: func() any { b := make([]byte, 0, sealSize+sealSize/32); return &b }}

// wouldBlock is how the loop's side of a connection tells crypto/tls that no more is there yet: of a temporary
// error it does not remember that it failed.
type wouldBlock struct{}

var errWouldBlock net.Error = wouldBlock{}

func (wouldBlock) Error() string   { return "nothing received" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Read is for crypto/tls: it gives what has been received.
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

// readOn reads once from the socket where more is likely to be there, as conn.read does.
func (t *tlsConn) readOn() bool {
	c := t.conn
	if !t.full && c.fast == nil || t.total >= readTurn || c.loop.items >= readItems || c.stopped() || c.deaf {
		return false
	}
	if t.crowded = c.mustWait(c.fastSize()); t.crowded {
		return false
	}
	n, _ := readSocket(c.FD, c.loop.buffer[:])
	c.received(n)
	if n <= 0 {
		t.full, t.total = false, readTurn // the end or an error is found by gnet
		return false
	}
	t.received, t.full, t.total = c.loop.buffer[:n], n == readSize, t.total+n
	return true
}

// Write is for crypto/tls: it takes records.
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

// pending returns how many bytes of records wait.
func (t *tlsConn) pending() int { return len(t.sealed) - t.sent }

// release drops the records that wait.
func (t *tlsConn) release() {
	if t.sealed == nil {
		return
	}
	t.buffered.Add(-int64(t.pending()))
	sealBuffers.Put(t.buffer) // without what did not fit into it
	t.sealed, t.buffer, t.sent = nil, nil, 0
}

// opened looks at what came together with the end of the handshake.
func (t *tlsConn) opened() {
	l := t.conn.loop
	l.begin()
	t.conn.read(nil)
	l.end()
}

// read decrypts what gnet has read, and reads on where more is likely to be there.
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
		c.steer()
	} else {
		c.readUp(t.crowded)
	}
	// Whatever crypto/tls answers by itself: peers may ask for new keys as often as they like, and not read.
	if n := t.pending(); n > sealSize+assuredSize && !c.doomed {
		c.cutOff()
	} else if n > 0 {
		c.loop.touch(c)
	}
}

// readPlain decrypts once: the missing data of a frame straight into their payload, anything else
// through the loop's buffer.
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

// plainBuffer is where a loop's connections decrypt to: one record.
func (l *loop) plainBuffer() []byte {
	if l.plain == nil {
		l.plain = make([]byte, recordSize)
	}
	return l.plain
}

// write encrypts and writes until so many bytes are written or the socket takes no more, which full says, and our end
// after it when that was asked for.
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

// send writes as many records as the socket takes.
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

// finish writes the rest of a connection's output to a blocking socket, and says goodbye.
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

// part writes what the socket takes at the end of a connection, and our goodbye if that is all. It reports whether
// more is owed to a peer that only said that it sends no more.
func (c *conn) part(reason error) bool {
	c.closeWhenOut = true
	eof := errors.Is(reason, io.EOF) || c.tls != nil && c.tls.ended
	_, err := c.write(math.MaxInt)
	return err == nil && !c.drained() && eof
}

// Close is for crypto/tls.
func (t *tlsConn) Close() error {
	if t.socket != nil {
		return t.socket.Close()
	}
	return nil
}

// LocalAddr is for who looks at a tls.ClientHelloInfo.
func (t *tlsConn) LocalAddr() net.Addr {
	if t.socket != nil {
		return t.socket.LocalAddr()
	}
	return nil
}

// RemoteAddr is for who looks at a tls.ClientHelloInfo.
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

package reactor

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// piece is a part of a connection's output: bytes and their owner.
type piece struct {
	bytes   []byte
	buffer  *buffer      // of gathered small packets, to be returned
	shared  bool         // bytes belong to a payload, which accounts for itself
	view    payload.View // to be released
	table   *admin.Table // produces what follows; nil: nothing follows
	charged int          // for table, in output.size
}

// output is the unwritten output of a connection, in order.
type output struct {
	pieces []piece
	begin  int // pieces before it are written
	off    int // bytes of the first piece that are written
	size   int // unwritten bytes
	// total is the memory of the output of all connections of the loop, in bytes; nil if nobody asks. booked is
	// this output's part, and published is how much of that total includes: what is added and written in the
	// same turn is never published. A payload is in total once, however many connections share it, and not in
	// booked.
	total             *atomic.Int64
	booked, published int
}

// grow changes the memory of this output by n bytes.
func (o *output) grow(n int) {
	o.size += n
	o.booked += n
}

// publish updates total.
func (o *output) publish() {
	o.count(o.booked - o.published)
	o.published = o.booked
}

func (o *output) count(n int) {
	if o.total != nil && n != 0 {
		o.total.Add(int64(n))
	}
}

func (o *output) empty() bool { return o.size == 0 }

// add appends a piece.
func (o *output) add(p piece) {
	o.pieces = append(o.pieces, p)
	o.booked += pieceCost
}

// gather returns the piece to which small packets are appended; the caller must call grown afterwards.
func (o *output) gather() *piece {
	if n := len(o.pieces); n > o.begin {
		if p := &o.pieces[n-1]; p.gathers() {
			return p
		}
	}
	b := takeBuffer()
	if o.pieces == nil {
		o.pieces = b.room[:0]
	}
	o.add(piece{buffer: b, bytes: b.B})
	return &o.pieces[len(o.pieces)-1]
}

// packet appends a packet from the server. It takes over the reference in body.
func (o *output) packet(t codec.Type, args []byte, body payload.View) {
	p := o.gather()
	b := p.bytes
	before := len(b)
	size := body.Len()
	if t != sched.Text {
		b = codec.AppendHeader(b, t, len(args)+size)
	}
	b = append(b, args...)
	if size == 0 && !body.Shared() { // most packets to clients
		p.bytes = b
		o.grow(len(b) - before)
		return
	}
	share := shareable(body)
	if !share {
		b = body.Append(b)
		body.Release()
	}
	p.bytes = b
	o.grow(len(b) - before)
	if share {
		o.share(body)
	}
}

// shareable reports whether writing a body by reference is worthwhile.
func shareable(body payload.View) bool { return body.Shared() && body.Len() >= shareSize }

// share appends a payload by reference, which it takes over.
func (o *output) share(body payload.View) {
	for _, b := range body.Slices(nil) {
		o.add(piece{bytes: b, shared: true})
	}
	o.pieces[len(o.pieces)-1].view = body
	o.size += body.Len()
	o.count(body.Share())
}

// bytes appends a copy of b.
func (o *output) bytes(b []byte) {
	p := o.gather()
	p.bytes = append(p.bytes, b...)
	o.grow(len(b))
}

// first returns the next bytes.
func (o *output) first() []byte { return o.pieces[o.begin].bytes[o.off:] }

// vectors appends the next pieces to dst, up to the first table: at most maxVectors of at most writeSize
// bytes together. None is empty.
func (o *output) vectors(dst [][]byte) [][]byte {
	next, room := o.first(), writeSize
	for i := o.begin; ; next = o.pieces[i].bytes {
		if len(next) >= room {
			return append(dst, next[:room])
		}
		if len(next) > 0 {
			dst = append(dst, next)
			room -= len(next)
		}
		if i++; i == len(o.pieces) || len(dst) == maxVectors || o.pieces[i-1].table != nil {
			return dst
		}
	}
}

// written removes n written bytes and frees what held them.
func (o *output) written(n int) {
	o.size -= n
	for o.begin < len(o.pieces) {
		p := &o.pieces[o.begin]
		here := min(n, len(p.bytes)-o.off)
		if n, o.off = n-here, o.off+here; !p.shared {
			o.booked -= here
		}
		if o.off < len(p.bytes) {
			break
		}
		o.off = 0
		if p.table != nil {
			if p.buffer != nil {
				p.empty()
			}
			break
		}
		o.drop(p)
		o.begin++
	}
	switch {
	case o.begin == len(o.pieces):
		// An idle connection holds no buffers.
		o.pieces, o.begin, o.off = nil, 0, 0
	case o.begin > len(o.pieces)/2:
		// Output that is never quite empty must not keep what is written already.
		left := copy(o.pieces, o.pieces[o.begin:])
		clear(o.pieces[left:])
		o.pieces, o.begin = o.pieces[:left], 0
	}
}

// drop frees a piece. The caller has already subtracted its bytes from booked.
func (o *output) drop(p *piece) {
	o.booked -= pieceCost
	o.count(-p.view.Unshare())
	p.release()
}

// release frees everything.
func (o *output) release() {
	for i := o.begin; i < len(o.pieces); i++ {
		o.drop(&o.pieces[i])
	}
	o.booked = 0
	o.publish()
	*o = output{total: o.total}
}

// gathers reports whether small packets may be appended to the piece.
func (p *piece) gathers() bool { return p.buffer != nil && p.table == nil && len(p.bytes) < gatherSize }

// release frees what the piece has. The piece may lie in its own buffer, which others may use from then on.
func (p *piece) release() {
	b, bytes := p.buffer, p.bytes
	p.view.Release()
	*p = piece{}
	if b != nil {
		b.B = bytes
		giveBuffer(b)
	}
}

// put sends a packet to the connection. It takes over the reference in body.
func (c *conn) put(t codec.Type, args []byte, body payload.View) {
	switch {
	case c.isPlain() && t != codec.Noop: // nearly always
		c.count(t, args)
		c.out.packet(t, args, body)
		if c.out.size > assuredSize {
			c.grown(0)
		} else {
			c.loop.touch(c)
		}
	case c.closed || c.doomed:
		body.Release()
	case t == codec.Noop && !c.ClaimNoop():
	case t == codec.Noop && c.Push():
		c.loop.pushes = append(c.loop.pushes, c)
	case c.room():
		c.count(t, args)
		o := c.tail()
		before := o.size
		o.packet(t, args, body)
		c.grown(o.size - before)
	default:
		body.Release()
	}
}

// isPlain reports whether the connection has little output, and no reason to treat it specially.
func (c *conn) isPlain() bool {
	return c.out.size <= assuredSize && c.held == nil && !c.blocked && !c.closed && !c.doomed
}

// count counts a packet that is sent.
func (c *conn) count(t codec.Type, args []byte) {
	c.loop.stats.countSent(t, args)
	if t == codec.WorkComplete || t == codec.WorkFail || t == codec.WorkException && c.loop.server.cfg.Dialect.ExceptionEnds {
		c.ends++
	}
}

// grown records that n bytes of output were added.
func (c *conn) grown(n int) {
	if c.held != nil {
		c.held.size += n // written together with what it waits for
		c.tail().publish()
		c.weigh()
		return
	}
	if c.blocked || c.out.size > assuredSize {
		c.out.publish()
		c.weigh()
	}
	c.loop.touch(c)
}

// send sends a packet from the scheduler, or reserves its place. It takes over the reference in body.
func (c *conn) send(t codec.Type, ticket uint32, args []byte, body payload.View) {
	switch {
	case ticket == 0:
		c.put(t, args, body)
	case t == sched.Reserve:
		c.reserve(ticket)
	default:
		c.answer(ticket, t, args, body)
	}
}

// putBytes sends raw bytes: an answer to a text command, or encoded packets.
func (c *conn) putBytes(b []byte) {
	if !c.closed && !c.doomed && c.room() {
		c.tail().bytes(b)
		c.grown(len(b))
	}
}

// sendError sends an ERROR packet.
func (c *conn) sendError(e dialect.Error) {
	c.put(codec.Error, []byte(e.Code+"\x00"+e.Text), payload.View{})
}

// room reports whether the connection may be sent more. If more than --max-outbound is buffered because the
// peer does not read, it is cut off instead; likewise if it has more than its share while too much is in
// transit. A single answer that is too large is sent regardless.
func (c *conn) room() bool {
	if !c.tooMuch() {
		return true
	}
	if _, err := c.writeSome(); err != nil {
		c.loop.sever(c)
		return false
	}
	if !c.tooMuch() {
		return true
	}
	c.cutOff()
	return false
}

// cutOff ends a connection whose peer does not read.
func (c *conn) cutOff() {
	s := c.loop.server
	s.counters.CutOff.Add(1)
	c.reason = closedNotReading
	s.log.Warn("closing a connection: the peer does not read its output", "peer", c.Addr, "buffered", c.waiting())
	c.loop.doom(c)
}

// tooMuch reports whether too much output waits for the connection.
func (c *conn) tooMuch() bool {
	size := c.waiting()
	return size > assuredSize && (size > c.loop.server.cfg.MaxOutbound || c.brims())
}

// brims reports whether so much is in transit that a connection gets no more output, as it has its share of
// all.
func (c *conn) brims() bool {
	s := c.loop.server
	if s.cfg.MaxMemory == 0 {
		return false
	}
	total := s.inTransit()
	if total <= s.hard() {
		return false
	}
	s.pressure.kick()
	return total > s.brim() && int64(max(c.waiting(), c.out.booked)) >= total/int64(s.pressure.heavies.Load()+1)
}

// waiting returns the bytes of waiting output.
func (c *conn) waiting() int {
	if c.held != nil {
		return c.out.size + c.held.size
	}
	return c.out.size
}

// flush writes what is buffered, at most writeSize of it per turn, and arranges for the rest: when the socket
// accepts more, or in the next turn.
func (c *conn) flush() {
	if c.closed || c.doomed {
		return
	}
	if !c.drained() {
		c.loop.unheard.add(c)
	}
	full, err := c.writeSome()
	switch {
	case err != nil:
		c.loop.sever(c)
	case c.drained() && c.held != nil:
	case c.drained() && c.closeWhenOut && c.skip > 0:
	case c.drained() && c.closeWhenOut:
		c.finish()
	case c.drained():
	case c.out.hungry() && (c.tls == nil || c.tls.pending() == 0):
		c.loop.await(c)
	case !full:
		if !c.dirty {
			c.dirty = true
			c.loop.heavy.push(c)
			c.loop.pacer.ask()
		}
	case !c.blocked:
		c.blocked = true
		c.loop.server.writable.watch(c)
	}
}

// writeSome writes what a connection may write in a turn, and updates its lists.
func (c *conn) writeSome() (full bool, err error) {
	before := c.out.size
	full, err = c.write(writeSize)
	c.out.publish()
	if c.slow.list != nil || c.out.size > idleSize {
		c.slow.progress(before-c.out.size, c.loop.uptime(), c.waiting())
		c.weigh()
	}
	return full, err
}

// write writes until most bytes are written or the socket accepts no more (full).
func (c *conn) write(most int) (full bool, err error) {
	if c.closed {
		return false, errClosed
	}
	if c.tls != nil {
		return c.tls.write(most)
	}
	for most > 0 && !c.out.empty() && !c.out.hungry() {
		n, err := writeSocket(c.FD, c.out.vectors(c.loop.vectors[:0]))
		c.sent(n)
		switch err {
		case nil:
			c.out.written(n)
			c.loop.written += n
			most -= n
		case unix.EAGAIN:
			return true, nil
		case unix.EINTR:
		default:
			return false, err
		}
	}
	return false, nil
}

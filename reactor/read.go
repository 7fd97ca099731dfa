package reactor

import (
	"bytes"
	"errors"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/invariants"
	"gearloop/internal/payload"
	"gearloop/internal/proxyproto"
)

// frameHead is a frame's header while its data arrive.
type frameHead struct {
	typ      codec.Type
	response bool
}

// read handles what was read into a buffer, and reads on if more is likely to be there.
func (c *conn) read(buf []byte) {
	begun := c.loop.share()
	c.loop.items = begun
	defer c.loop.endRead(begun)
	if c.tls != nil {
		c.tls.read(buf)
		return
	}
	c.process(buf)
	c.readOn(len(buf), len(buf) == readSize || c.fast != nil)
}

// readPayload handles n bytes that readSome has read, and reads on if there may be more.
func (c *conn) readPayload(n int, full bool) {
	begun := c.loop.share()
	c.loop.items = begun
	defer c.loop.endRead(begun)
	c.took(n)
	c.readOn(n, full)
}

// endRead ends a connection's reading, whose turn began with this count of items. Nothing may use the loop's read
// buffers any more: neither this connection nor one whose reading this one interrupted.
func (l *loop) endRead(begun int) {
	l.handled += l.items - begun
	invariants.Poison(l.buffer[:])
	invariants.Poison(l.plain)
}

// readOn reads from the socket until it is empty or the connection's turn is over. total is how many bytes were
// read in this turn, more whether there may be more.
func (c *conn) readOn(total int, more bool) {
	crowded := false
	for more && total < readTurn && c.loop.items < readItems && !c.stopped() && !c.deaf && !c.doomed {
		if crowded = c.mustWait(c.fastSize()); crowded {
			break
		}
		var n int
		if n, more, _ = c.readSome(readTurn - total); n <= 0 {
			break // nothing there; the loop finds the end or an error
		}
		c.took(n)
		total += n
	}
	c.readUp(crowded, total)
}

// readMost returns how many bytes to read into the loop's buffer at once: few in a crowded turn, because input that is
// not handled is copied. That of a deaf connection is dropped, and data of a large packet over TLS go into its payload.
func (c *conn) readMost() int {
	switch {
	case c.deaf || !c.loop.isCrowded(c.loop.now):
		return readSize
	case c.tls == nil:
		return crowdedRead
	case c.fast != nil:
		return readSize
	}
	return crowdedRecord
}

// readSome reads once from the socket: at most most bytes of a frame's missing data directly into its payload, and
// what follows them into the loop's buffer. It returns the result of the system call, and whether all memory was
// filled.
func (c *conn) readSome(most int) (n int, full bool, err error) {
	l := c.loop
	if c.expects(most) {
		return c.readAhead()
	}
	var pieces [][]byte
	room := 0
	if c.fast != nil {
		pieces = c.fast.Spaces(l.vectors[:0], most)
		c.book() // also if nothing comes
		for _, b := range pieces {
			room += len(b)
		}
	}
	if c.fast == nil || room == c.fast.Missing() {
		behind := l.buffer[:c.readMost()]
		if c.fast != nil && c.expected > 0 {
			behind = behind[:behindSize] // the next large frame's data are read into its own payload
		}
		pieces = append(pieces, behind)
		room += len(behind)
	}
	n, err = readSocketTo(c.FD, pieces)
	return n, n == room, err
}

// took handles n bytes that readSome has read.
func (c *conn) took(n int) {
	c.received(n)
	if p := c.loop.ahead; p != nil {
		c.loop.ahead = nil
		c.tookAhead(p, n)
		return
	}
	if c.fast != nil {
		data := min(n, c.fast.Missing())
		c.fast.Filled(data)
		c.uploaded(data)
		n -= data
	}
	if n > 0 {
		c.process(c.loop.buffer[:n])
	}
}

// readUp ends the turn of a connection of which total bytes were read.
func (c *conn) readUp(crowded bool, total int) {
	switch {
	case c.stopped():
		c.steer()
	case crowded && !c.deaf && !c.doomed:
		_, missing := c.begun()
		c.awaitRoom(len(c.stash), missing)
	case total < acknowledged:
		c.acknowledgePart()
	}
}

// uploaded records that n bytes of the current packet have arrived.
func (c *conn) uploaded(n int) {
	c.book()
	if p := c.loop.server.pressure; p.head.Load() == c {
		p.headRead.Add(int64(n))
	}
	c.upload.progress(n, c.loop.uptime(), c.charged)
	c.finishFast()
}

// feed handles bytes in their order until the connection's turn is over, and returns the rest. buf is valid
// only during the call.
func (c *conn) feed(buf []byte) (rest []byte) {
	for len(buf) > 0 && !c.deaf && c.halts == 0 {
		if c.loop.items >= readItems && c.loop.poller >= 0 {
			return buf
		}
		switch {
		case c.fast != nil:
			n := c.fast.Fill(buf)
			buf = buf[n:]
			if c.uploaded(n); c.waits() {
				return buf
			}
		case len(c.partial) > 0:
			var again bool
			if buf, again = c.complete(buf); again {
				whole := append(c.partial, buf...)
				c.begin(nil)
				return whole
			}
		default:
			switch n := c.item(buf); {
			case n == handleAgain:
				return buf
			case n == 0 && !c.deaf:
				c.begin(append(c.partial, buf...))
				return nil
			default:
				buf = buf[n:]
			}
		}
	}
	return buf
}

// handleAgain is item's result for a packet that must be handled again in the connection's next turn.
const handleAgain = -1

// item handles the frame or line at the beginning of buf and returns its length; 0 if not even a header or
// line is complete; or handleAgain.
func (c *conn) item(buf []byte) int {
	if c.grab != 0 && !c.grabNow() {
		return handleAgain
	}
	c.loop.items++
	if t, data, ok := codec.Request(buf, c.loop.server.cfg.MaxPacket); ok { // nearly always
		if !c.packet(t, false, payload.Borrow(data)) {
			return handleAgain
		}
		return codec.HeaderSize + len(data)
	}
	it, err := codec.Next(buf, c.loop.server.cfg.MaxPacket)
	if err == codec.ErrMagic && buf[0] == tlsHandshake {
		err = errTLS
	}
	if err == codec.ErrTooLarge {
		c.skip = codec.FrameSize(buf)
	}
	if err != nil {
		c.fault(err)
		return 0
	}
	switch it.Kind {
	case codec.Head:
		if int64(it.Size) > c.loop.server.soft() {
			c.skip = codec.FrameSize(buf)
			c.fault(errMemory)
			return 0
		}
		if c.loop.poller >= 0 && c.mustWait(it.Size) {
			if s := c.loop.server; s.pressure.crowd.held.Load() > s.eighths(1) && !s.pressure.crowd.makeRoom(c.loop.uptime()) {
				c.skip = codec.FrameSize(buf)
				c.fault(errMemory)
				return 0
			}
			c.awaitRoom(len(buf), codec.FrameSize(buf)-len(buf))
			return handleAgain
		}
		c.fast = payload.New(it.Size)
		c.fastItem = frameHead{it.Type, it.Response}
		c.fast.Fill(it.Data)
		c.book()
		c.loop.uploads.put(&c.upload, c.loop.uptime(), c.charged)
	case codec.Frame:
		if !c.packet(it.Type, it.Response, payload.Borrow(it.Data)) {
			return handleAgain
		}
	case codec.Line:
		if c.loop.server.cfg.Proxies != nil && proxyproto.Is(buf) {
			c.fault(errProxy)
			return 0
		}
		if !c.line(it.Data) {
			return handleAgain
		}
	}
	return it.Len
}

// begin sets the beginning of a header or a line that the connection keeps, which counts like a packet that
// is being read.
func (c *conn) begin(partial []byte) {
	c.loop.server.reading.Add(int64(len(partial) - len(c.partial)))
	if c.partial = partial; c.fast == nil && len(partial) <= longLine {
		c.upload.remove()
	} else {
		c.watchUpload()
	}
}

// complete completes a partial header or line from buf, handles it when complete, and returns the rest of
// buf. again says that it must be handled again.
func (c *conn) complete(buf []byte) (rest []byte, again bool) {
	head := 0
	if c.partial[0] == 0 {
		head = min(codec.HeaderSize-len(c.partial), len(buf))
	} else if i := bytes.IndexByte(buf, '\n'); i >= 0 {
		head = i + 1
	} else {
		head = len(buf)
	}
	// codec.Next reports a line that is too long; no more than this is needed for that.
	if room := codec.MaxLine + 2 - len(c.partial); head > room {
		head = room
	}
	c.begin(append(c.partial, buf[:head]...))
	whole := c.partial
	n := c.item(whole)
	if n > 0 || c.deaf {
		c.begin(nil)
	}
	if c.deaf {
		c.skip -= len(whole)
	}
	return buf[head:], n == handleAgain
}

// finishFast handles a frame whose data are complete.
func (c *conn) finishFast() {
	if c.fast.Missing() > 0 {
		return
	}
	c.upload.remove()
	p := c.fast
	c.expect(p.Size())
	if !c.packet(c.fastItem.typ, c.fastItem.response, payload.Of(p)) {
		return
	}
	c.fast = nil
	c.refund()
	p.Release()
}

// dropFast drops an incomplete frame.
func (c *conn) dropFast() {
	if c.fast != nil {
		c.refund()
		c.fast.Release()
		c.fast = nil
	}
}

// packet passes a complete frame to the scheduler. false: it must be handled again in the connection's next
// turn.
func (c *conn) packet(t codec.Type, response bool, data payload.View) (done bool) {
	l := c.loop
	if response {
		l.server.counters.BadMagic.Add(1)
		c.sendError(l.server.cfg.Dialect.InvalidMagic)
		return true
	}
	if (c.doomed || c.closed) && !outlives(t) {
		return true
	}
	if isGrab(t) && c.postpone(t) {
		return true
	}
	return c.handle(t, data)
}

// handle has the scheduler handle a packet. false: it must be handled again in the connection's next turn.
func (c *conn) handle(t codec.Type, data payload.View) (done bool) {
	l := c.loop
	for {
		if c.state != nil {
			l.fx.State = c.state
		}
		l.server.cfg.Sched.Handle(&c.Peer, t, data, l.now, &l.fx)
		again := c.again()
		l.carry(c)
		if !again {
			l.stats.Packets++
			l.stats.Received[typeIndex(t)]++
			return true
		}
		if l.poller >= 0 {
			return false
		}
	}
}

// outlives reports whether a packet is valid even though its connection is broken: no job is handed out to a
// peer that has gone.
func outlives(t codec.Type) bool {
	switch t {
	case codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.PreSleep, codec.CanDo, codec.CanDoTimeout, codec.AllYours:
		return false
	}
	return true
}

// again charges the scheduler's work to the turn, and reports whether the packet or line must be handled
// again.
func (c *conn) again() bool {
	fx := &c.loop.fx
	c.loop.items += fx.Work
	switch {
	case fx.Again:
		c.state = fx.State
	case c.state != nil:
		c.state = nil
	}
	return fx.Again
}

// line passes a text line to the text commands. false: it must be handled again in the connection's next
// turn.
func (c *conn) line(text []byte) (done bool) {
	l := c.loop
	s := l.server
	for {
		l.fx.State = c.state
		answer, table, action := s.cfg.Admin.Execute(text, c.asker(), l.now, &l.fx)
		again := c.again()
		switch {
		case again:
		case table != nil:
			c.sendTable(table)
		default:
			c.putBytes(answer)
		}
		l.carry(c)
		if !again {
			l.stats.Lines++
			s.act(action)
			return true
		}
		if l.poller >= 0 {
			return false
		}
	}
}

// errMemory: there is no room for the data of a frame.
var errMemory = errors.New("out of memory for payloads")

// errProxy is the fault of a peer that sends a PROXY header though it is no proxy of ours.
var errProxy = errors.New("it comes from an address that --proxy-protocol does not name")

// errTLS: the peer speaks TLS on a plain connection.
var errTLS = errors.New("a TLS handshake on a plain connection")

// tlsHandshake is the first byte of a connection that begins with a TLS handshake.
const tlsHandshake = 0x16

// httpAnswer is sent to a peer that sends an HTTP request, before its connection is closed.
const httpAnswer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"X-Content-Type-Options: nosniff\r\nContent-Length: 69\r\n\r\n" +
	"This is a Gearman port: it speaks the protocol of Gearman, not HTTP.\n"

// fault answers input after which the rest cannot be parsed, and hangs up.
func (c *conn) fault(err error) {
	s := c.loop.server
	d := s.cfg.Dialect
	c.reason = closedBadPacket
	switch err {
	case errProxy:
		s.BadHeader(c.Addr, err)
	case errTLS:
		s.counters.BadMagic.Add(1) // the peer would not understand an answer
	case errMemory:
		s.counters.NoMemory.Add(1)
		c.reason = closedNoMemory
		if c.fast != nil {
			c.skip = c.fast.Missing()
		}
		c.sendError(d.QueueFull)
	case codec.ErrTooLarge:
		s.counters.TooLarge.Add(1)
		c.reason = closedTooLarge
		c.sendError(d.TooLarge)
		if left, ok := s.tooLarge.ask(c.loop.now); ok {
			s.log.Warn("closing a connection: a packet is larger than --max-packet", "peer", c.Addr, "packet", c.skip,
				"max_packet", s.cfg.MaxPacket, "others", left)
		}
	case codec.ErrHTTP:
		s.counters.HTTP.Add(1)
		c.putBytes([]byte(httpAnswer))
	case codec.ErrLineTooLong:
		s.counters.LinesTooLong.Add(1)
		c.putBytes([]byte(d.ERR(d.LineTooLong, "")))
	default:
		s.counters.BadMagic.Add(1)
		if d.BadMagic == dialect.Answer {
			c.sendError(d.InvalidMagic)
		}
	}
	c.dropFast()
	s.log.Debug("closing a connection", "peer", c.Addr, "reason", err)
	c.hangUp()
}

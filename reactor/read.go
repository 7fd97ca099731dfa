package reactor

import (
	"bytes"
	"errors"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/internal/proxyproto"
)

// frameHead is what is remembered of a header while its data come in.
type frameHead struct {
	typ      codec.Type
	response bool
}

// read takes what gnet has read, and reads on where more is likely to be there.
func (c *conn) read(buf []byte) {
	c.loop.items = 0
	if c.tls != nil {
		c.tls.read(buf)
		return
	}
	full := len(buf) == readSize
	total := len(buf)
	c.process(buf)
	crowded := false
	for (full || c.fast != nil) && total < readTurn && c.loop.items < readItems && !c.stopped() && !c.deaf && !c.doomed {
		if crowded = c.mustWait(c.fastSize()); crowded {
			break
		}
		n := c.readOn()
		if n <= 0 {
			break // nothing there; the end or an error is found by gnet
		}
		total += n
		full = n == readSize
	}
	c.readUp(crowded)
}

// readUp ends the turn in which a connection was read.
func (c *conn) readUp(crowded bool) {
	switch {
	case c.stopped():
		c.steer()
	case crowded && !c.deaf && !c.doomed:
		c.awaitRoom()
	default:
		c.acknowledgePart()
	}
}

// readOn reads once from the socket: the missing data of a frame straight into their payload,
// anything else through the loop's buffer. The result is read(2)'s.
func (c *conn) readOn() int {
	if c.fast == nil {
		n, _ := readSocket(c.FD, c.loop.buffer[:])
		c.received(n)
		if n > 0 {
			c.process(c.loop.buffer[:n])
		}
		return n
	}
	n, _ := readSocket(c.FD, c.fast.Space())
	c.received(n)
	if n > 0 {
		c.fast.Filled(n)
		c.uploaded(n)
	}
	return n
}

// uploaded says that so many bytes of the packet that the connection is reading have come.
func (c *conn) uploaded(n int) {
	c.book()
	if p := c.loop.server.pressure; p.head.Load() == c {
		p.headRead.Add(int64(n))
	}
	c.upload.progress(n, c.loop.uptime(), c.charged)
	c.finishFast()
}

// feed handles bytes in the order they came, until the connection has used up its turn, and returns the rest. buf is
// valid only during the call.
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

// handleAgain is what item returns of a packet that is to be handled once more in the connection's next turn.
const handleAgain = -1

// item handles the frame or line that buf begins with and returns its length; 0 when not even a
// header or a line is whole, or handleAgain.
func (c *conn) item(buf []byte) int {
	c.loop.items++
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
			if s := c.loop.server; s.pressure.held.Load() > s.eighths(1) && !c.loop.makeRoom() {
				c.skip = codec.FrameSize(buf)
				c.fault(errMemory)
				return 0
			}
			c.awaitRoom()
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

// begin sets the beginning of a header or a line that the connection keeps, which counts like a packet that is being
// read.
func (c *conn) begin(partial []byte) {
	c.loop.server.reading.Add(int64(len(partial) - len(c.partial)))
	if c.partial = partial; c.fast == nil && len(partial) <= longLine {
		c.upload.remove()
	} else {
		c.watchUpload()
	}
}

// complete adds to the beginning of a header or line as much as it needs, handles it when it is
// whole, and returns the rest of buf. again says that it is to be handled once more.
func (c *conn) complete(buf []byte) (rest []byte, again bool) {
	head := 0
	if c.partial[0] == 0 {
		head = min(codec.HeaderSize-len(c.partial), len(buf))
	} else if i := bytes.IndexByte(buf, '\n'); i >= 0 {
		head = i + 1
	} else {
		head = len(buf)
	}
	// A line that does not end in time is found by codec.Next; no more than this is kept of it.
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

// finishFast handles a frame whose data are all there.
func (c *conn) finishFast() {
	if c.fast.Missing() > 0 {
		return
	}
	c.upload.remove()
	p := c.fast
	if !c.packet(c.fastItem.typ, c.fastItem.response, payload.Of(p)) {
		return
	}
	c.fast = nil
	c.refund()
	p.Release()
}

// dropFast gives up a frame whose data are not all there.
func (c *conn) dropFast() {
	if c.fast != nil {
		c.refund()
		c.fast.Release()
		c.fast = nil
	}
}

// packet hands a whole frame to the scheduler. false: it is to be handled once more in the connection's next turn.
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
	for {
		l.fx.State = c.state
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

// outlives reports whether a packet means something though the connection that it came on is broken: no job is handed
// out any more to whoever is gone.
func outlives(t codec.Type) bool {
	switch t {
	case codec.GrabJob, codec.GrabJobUniq, codec.GrabJobAll, codec.PreSleep, codec.CanDo, codec.CanDoTimeout, codec.AllYours:
		return false
	}
	return true
}

// again counts what the scheduler's work has cost, and reports whether the same has to be handled once more.
func (c *conn) again() bool {
	fx := &c.loop.fx
	c.loop.items += fx.Work
	if c.state = nil; fx.Again {
		c.state = fx.State
	}
	return fx.Again
}

// line hands a text line to the text commands. false: it is to be handled once more in the connection's next turn.
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

// errMemory is the fault of a frame for whose data there is no room.
var errMemory = errors.New("out of memory for payloads")

// errProxy is the fault of a peer that sends a PROXY header though it is no proxy of ours.
var errProxy = errors.New("it comes from an address that --proxy-protocol does not name")

// errTLS is the fault of a peer that speaks TLS where nobody does.
var errTLS = errors.New("a TLS handshake on a plain connection")

// tlsHandshake is the first byte of a connection that begins with a TLS handshake.
const tlsHandshake = 0x16

// httpAnswer is what a peer is told that sends an HTTP request, before its connection is closed.
const httpAnswer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"X-Content-Type-Options: nosniff\r\nContent-Length: 69\r\n\r\n" +
	"This is a Gearman port: it speaks the protocol of Gearman, not HTTP.\n"

// fault answers bytes after which nothing can be understood any more, and hangs up.
func (c *conn) fault(err error) {
	s := c.loop.server
	d := s.cfg.Dialect
	c.reason = closedBadPacket
	switch err {
	case errProxy:
		s.badHeader(c.Addr, err)
	case errTLS:
		s.counters.BadMagic.Add(1) // an answer would mean nothing to the peer
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
			s.log.Warn("hanging up: a packet is larger than --max-packet", "peer", c.Addr, "packet", c.skip,
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
	s.log.Debug("hanging up", "peer", c.Addr, "reason", err)
	c.hangUp()
}

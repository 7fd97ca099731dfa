package reactor

import (
	"time"

	"gearloop/codec"
)

// relieve makes at most relieveTurn connections lose what they hold, the longest without progress first,
// until bytes are free.
func (l *loop) relieve(bytes int64, idlers bool) {
	horizon := l.uptime() - stallTime
	for range relieveTurn {
		e := l.slow.first
		if u := l.uploads.first; e == nil || u != nil && u.since < e.since {
			e = u
		}
		if idlers && (e == nil || e.since >= horizon) {
			e = l.idlers.first
		}
		if e == nil || e.since >= horizon || bytes <= 0 {
			return
		}
		if c := e.conn; e == &c.upload {
			bytes -= int64(c.loseUpload())
		} else {
			bytes -= int64(c.loseOutput())
		}
	}
}

// loseUpload closes a connection that does not send the rest of its packet, and returns how many bytes that
// frees. If unread input has arrived the peer is not at fault, and it frees nothing.
func (c *conn) loseUpload() (bytes int) {
	bytes = c.charged + len(c.partial)
	if unreadBytes(c.FD) > 0 {
		c.upload.renew(c.loop.uptime(), bytes)
		return 0
	}
	c.stopUpload()
	return bytes
}

// loseOutput cuts off a connection that does not read its output, and returns how many bytes that frees. If
// the socket accepts some now the peer is not at fault, and it frees nothing.
func (c *conn) loseOutput() (bytes int) {
	l := c.loop
	waiting, since := c.waiting(), c.slow.since
	c.flush()
	switch {
	case c.doomed || c.slow.list == nil || c.slow.since != since:
		return waiting - c.waiting()
	case !c.blocked && c.held == nil:
		c.slow.renew(l.uptime(), waiting) // it waits for its turn
		return waiting - c.waiting()
	}
	c.cutOff()
	return waiting
}

// sweep closes connections that have not continued their packet since horizon.
func (l *loop) sweep(horizon time.Duration) {
	for range relieveTurn {
		e := l.uploads.first
		if e == nil || e.since >= horizon {
			return
		}
		c := e.conn
		if unreadBytes(c.FD) > 0 {
			e.renew(l.uptime(), c.charged+len(c.partial))
			continue
		}
		received, missing := c.begun()
		l.server.log.Warn("closing a connection: the peer has stopped in the middle of a packet", "peer", c.Addr,
			"received", received, "missing", missing, "after", uploadTime)
		c.endStalled()
	}
}

// weigh adds a connection to the lists of those whose output waits, or removes it. One that is about to be closed
// is in none: its output is lost already.
func (c *conn) weigh() {
	var list *stalls
	waiting := c.waiting()
	switch {
	case c.doomed:
	case waiting > assuredSize:
		list = &c.loop.slow
	case waiting > idleSize:
		list = &c.loop.idlers
	}
	if list == c.slow.list {
		return
	}
	heavy := func() int32 {
		if c.slow.list == &c.loop.slow {
			return 1
		}
		return 0
	}
	before := heavy()
	if list == nil {
		c.slow.remove()
	} else {
		list.put(&c.slow, c.loop.uptime(), waiting)
	}
	if d := heavy() - before; d != 0 {
		c.loop.server.pressure.heavies.Add(d)
	}
}

// watchUpload lists a connection that is inside a packet or a long line.
func (c *conn) watchUpload() {
	if c.fast != nil || len(c.partial) > longLine {
		c.loop.uploads.put(&c.upload, c.loop.uptime(), c.charged+len(c.partial))
	}
}

// stopUpload closes a connection that does not send the rest of its packet or line, whose memory others need.
func (c *conn) stopUpload() {
	c.loseBegun("closing a connection: the peer has stopped in the middle of a packet, and others need the memory")
}

// yieldUpload closes a connection that waits in the middle of a packet or line, because so many do that none of them
// can go on.
func (c *conn) yieldUpload() {
	c.loseBegun("closing a connection in the middle of a packet: unfinished packets fill their share of --max-memory")
}

// loseBegun closes a connection that is inside a packet or a line, with the protocol's error if it is a packet.
func (c *conn) loseBegun(why string) {
	received, missing := c.begun()
	c.loop.server.log.Warn(why, "peer", c.Addr, "received", received, "missing", missing)
	switch {
	case c.fast != nil:
		c.fault(errMemory)
	case len(c.stash) > 0:
		c.skip = received + missing
		c.fault(errMemory)
		c.skipped(received)
		c.keep(nil)
	default:
		c.endStalled()
	}
}

// endStalled closes the connection of a peer that has stopped inside a packet or a line.
func (c *conn) endStalled() {
	c.loop.server.counters.Stalled.Add(1)
	c.reason = closedStalled
	c.upload.remove()
	c.loop.doom(c)
}

// begun returns how much of the current packet or line has arrived, and how much has not, as far as known.
func (c *conn) begun() (received, missing int) {
	switch {
	case c.fast != nil:
		return c.fast.Size() - c.fast.Missing(), c.fast.Missing()
	case len(c.stash) >= codec.HeaderSize && c.stash[0] == 0:
		return len(c.stash), max(codec.FrameSize(c.stash)-len(c.stash), 0)
	}
	return len(c.stash) + len(c.partial), 0
}

package reactor

// mustWait reports whether a connection must wait for room before more is read. size is the size of the
// packet being read, 0 outside of one.
func (c *conn) mustWait(size int) bool {
	s := c.loop.server
	if s.cfg.MaxMemory == 0 || c.closed || size > 0 && size <= idleSize {
		return false
	}
	total := s.inTransit()
	switch p := s.pressure; {
	case total <= s.soft():
		return false
	case size == 0:
		return total > s.hard()
	case total > s.brim():
		return true
	default:
		return p.head.Load() != c && !p.head.CompareAndSwap(nil, c)
	}
}

// fastSize returns the size of the packet being read, 0 outside of one.
func (c *conn) fastSize() int {
	if c.fast == nil {
		return 0
	}
	return c.fast.Size()
}

// mustRest reports whether a connection's input must wait because it has much output and too much is in
// transit.
func (c *conn) mustRest() bool {
	s := c.loop.server
	return s.cfg.MaxMemory > 0 && c.waiting() > assuredSize && !c.closed && c.loop.poller >= 0 && s.inTransit() > s.hard()
}

// awaitRoom leaves a connection unread until there is room for its input.
func (c *conn) awaitRoom() {
	l := c.loop
	p := l.server.pressure
	if l.poller < 0 { // it cannot be left unread
		if c.fast != nil && l.server.inTransit() > l.server.hard() {
			c.fault(errMemory)
		}
		return
	}
	c.halts |= haltRoom
	c.crowded = l.uptime()
	c.hold(len(c.stash))
	c.upload.remove() // now the server keeps it waiting, not the peer
	p.yield(c)
	l.crowd.push(c)
	l.waiting.Add(1)
	p.waiting.Add(1)
	p.kick()
	c.steer()
}

// admit lets n connections read on. Connections whose peer has sent no more meanwhile would only block
// others: they stay, and lose what they hold after a time.
func (l *loop) admit(n int) {
	for range n + crowdLook {
		if n <= 0 || l.crowd.empty() {
			return
		}
		c := l.crowd.pop()
		switch {
		case c.closed || c.deaf:
			l.uncrowd(c)
		case c.isCut():
			l.uncrowd(c)
			l.doom(c)
		case c.isReady():
			l.uncrowd(c)
			c.watchUpload()
			n--
		case l.uptime()-c.crowded >= uploadTime:
			l.uncrowd(c)
			c.stopUpload()
		default:
			l.crowd.push(c)
			continue
		}
		c.steer()
	}
}

// makeRoom makes the connection lose it that has waited longest with the beginning of a packet and whose peer
// sends no more. It reports whether there is one, among the first.
func (l *loop) makeRoom() bool {
	for range crowdLook {
		if l.crowd.empty() {
			return false
		}
		c := l.crowd.pop()
		if c.closed || c.deaf || l.uptime()-c.crowded < beginTime || c.isReady() {
			l.crowd.push(c)
			continue
		}
		l.uncrowd(c)
		c.stopUpload()
		c.steer()
		return true
	}
	return false
}

// uncrowd removes a connection that no longer waits for room.
func (l *loop) uncrowd(c *conn) {
	l.waiting.Add(-1)
	l.server.pressure.waiting.Add(-1)
	c.halts &^= haltRoom
	c.hold(0)
}

// isCut reports whether the peer has disconnected inside a packet.
func (c *conn) isCut() bool {
	_, missing := c.begun()
	return c.tls == nil && missing > unreadBytes(c.FD) && hasEnded(c.FD)
}

// isReady reports whether a connection that waits with the beginning of a packet has received more, or has
// ended.
func (c *conn) isReady() bool {
	_, missing := c.begun()
	if c.fast != nil || missing == 0 {
		return true
	}
	if c.tls != nil {
		missing = min(missing, 1) // crypto/tls may hold all but the end of a record
	}
	return unreadBytes(c.FD) >= min(missing, readySize) || hasEnded(c.FD)
}

// hold counts the input that a waiting connection holds.
func (c *conn) hold(n int) {
	c.loop.server.pressure.held.Add(int64(n - c.holds))
	c.holds = n
}

package reactor

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/codec"
)

// In transit are payloads that are being read, output that waits to be written, packets on their way to many
// listeners, and stored arguments that are read for workers. From a quarter of --max-memory on there is
// pressure: of the peers that send large packets only one, the head, is read; the others wait, unread, until
// there is room or it is their turn. So no peer is refused because others are slow, and every peer that reads
// and sends gets on. Waiting peers hold what was read from them so far. When such beginnings take an eighth,
// the oldest whose peer sends no more is refused, or else the newest. So there is always room for the head's
// packet below three quarters, because no packet may be larger than a quarter.
//
// While a peer waits, those that hold memory and have made no progress for the longest time, at least
// stallTime, lose it: a peer that does not read its output, or that has stopped inside a packet. This is
// decided from lists that are always in order (stalls), a few connections at a time.

// pressure handles this in a goroutine of its own while it lasts.
type pressure struct {
	server   *Server
	kicked   chan struct{}
	done     chan struct{}
	ended    sync.WaitGroup
	waiting  atomic.Int32         // connections that wait for room
	held     atomic.Int64         // bytes of unhandled input of these connections
	fetching atomic.Bool          // a stored argument waits for room
	head     atomic.Pointer[conn] // the connection that may read under pressure; nil: the first that comes
	headRead atomic.Int64         // bytes read from heads
	heavies  atomic.Int32         // connections with more than assuredSize of output
	turn     int                  // the loop that is asked first

	// The head and headRead at their last change, and how many looks ago that was.
	lastHead *conn
	lastRead int64
	looks    int
}

func newPressure(s *Server) *pressure {
	return &pressure{server: s, kicked: make(chan struct{}, 1), done: make(chan struct{})}
}

func (p *pressure) start() { p.ended.Go(p.run) }

func (p *pressure) stop() {
	close(p.done)
	p.ended.Wait()
}

// kick makes it look.
func (p *pressure) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

func (p *pressure) run() {
	sweep := time.NewTicker(sweepPause)
	defer sweep.Stop()
	for {
		var pause <-chan time.Time
		if p.look() {
			pause = time.After(pressurePause)
		}
		select {
		case <-p.kicked:
		case <-pause:
		case <-sweep.C:
			p.sweep()
		case <-p.done:
			return
		}
	}
}

// The bounds of what is in transit, in bytes: from soft on there is pressure; above hard also peers that hold
// little lose it, whether others wait or not; above brim not even the head is read, and no output is
// accepted.
func (s *Server) soft() int64 { return s.eighths(2) }
func (s *Server) hard() int64 { return s.eighths(4) }
func (s *Server) brim() int64 { return s.eighths(6) }

func (s *Server) eighths(n int64) int64 {
	if s.cfg.MaxMemory == 0 {
		return math.MaxInt64
	}
	return max(s.cfg.MaxMemory, leastTransit) / 8 * n
}

// inTransit returns the bytes in transit.
func (s *Server) inTransit() int64 {
	return s.buffered() + s.reading.Load() + s.fetcher.bytes.Load() + s.cfg.Sched.Fanned()
}

// look does what is possible now, and reports whether to look again soon.
func (p *pressure) look() (again bool) {
	s := p.server
	total := s.inTransit()
	waits := p.waiting.Load() > 0 || p.fetching.Load()
	switch {
	case !waits && total <= s.hard():
		return false
	case !waits:
		p.relieve(total-s.hard(), true)
	case total <= s.soft():
		p.admit(1 + int((s.soft()-total)/readTurn))
	default:
		p.relieve(total-s.soft(), total > s.hard())
		if p.headStops() && total < s.hard() {
			p.head.Store(nil)
		}
		if p.head.Load() == nil && total < s.brim() {
			p.admit(1)
		}
	}
	return true
}

// headStops reports whether no more of the head's packet has arrived for a while. Then another connection may
// be the head, as long as there is room for its packet too.
func (p *pressure) headStops() bool {
	head, n := p.head.Load(), p.headRead.Load()
	if head != p.lastHead || n != p.lastRead {
		p.lastHead, p.lastRead, p.looks = head, n, 0
	}
	p.looks++
	return p.looks > headLooks
}

// admit lets n connections read on, of each loop in turn the ones that have waited longest.
func (p *pressure) admit(n int) {
	loops := p.server.allLoops()
	p.turn++
	for i := range loops {
		l := loops[(p.turn+i)%len(loops)]
		if k := min(n, int(l.waiting.Load())); k > 0 {
			l.do(func() { l.admit(k) })
			n -= k
		}
	}
}

// relieve makes connections without progress lose what they hold until bytes are free, the longest without
// progress first. hardest includes those that hold little.
func (p *pressure) relieve(bytes int64, hardest bool) {
	s := p.server
	horizon := s.uptime() - stallTime
	var worst *loop
	first := int64(horizon)
	for _, l := range s.allLoops() {
		for _, list := range []*stalls{&l.slow, &l.uploads} {
			if since := list.oldest.Load(); since > 0 && since < first {
				worst, first = l, since
			}
		}
	}
	switch {
	case s.halfClosed.relieve(time.Duration(first)):
	case worst != nil:
		worst.do(func() { worst.relieve(bytes, false) })
	case hardest:
		for _, l := range s.allLoops() {
			if l.idlers.before(horizon) {
				l.do(func() { l.relieve(bytes, true) })
			}
		}
	}
}

// sweep closes connections that stopped inside a packet long ago, with or without pressure.
func (p *pressure) sweep() {
	horizon := p.server.uptime() - uploadTime
	for _, l := range p.server.allLoops() {
		if l.uploads.before(horizon) {
			l.do(func() { l.sweep(horizon) })
		}
	}
}

// uptime is the time since the server was made.
func (s *Server) uptime() time.Duration { return s.clock.read().Sub(s.begun) }

// uptime is Server.uptime at the beginning of this turn.
func (l *loop) uptime() time.Duration { return l.now.Sub(l.server.begun) }

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

// weigh adds a connection to the lists of those whose output waits, or removes it.
func (c *conn) weigh() {
	var list *stalls
	waiting := c.waiting()
	switch {
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

// watchUpload lists a connection that is inside a packet or a long line.
func (c *conn) watchUpload() {
	if c.fast != nil || len(c.partial) > longLine {
		c.loop.uploads.put(&c.upload, c.loop.uptime(), c.charged+len(c.partial))
	}
}

// stopUpload closes a connection that does not send the rest of its packet or line, whose memory others need.
func (c *conn) stopUpload() {
	l := c.loop
	received, missing := c.begun()
	l.server.log.Warn("hanging up: a peer has stopped in the middle of a packet, and others need the memory",
		"peer", c.Addr, "received", received, "missing", missing)
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

// yield makes another connection the head, if c is it.
func (p *pressure) yield(c *conn) {
	if p.head.Load() == c {
		p.head.Store(nil)
		p.kick()
	}
}

// book updates the memory charged for the packet that the connection is reading.
func (c *conn) book() {
	if n := c.fast.Allocated() - c.charged; n > 0 {
		c.charged += n
		c.loop.server.reading.Add(int64(n))
	}
}

// refund undoes book when the packet is complete or dropped.
func (c *conn) refund() {
	s := c.loop.server
	s.reading.Add(-int64(c.charged))
	c.charged = 0
	c.upload.remove()
	s.pressure.yield(c)
}

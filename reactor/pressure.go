package reactor

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Payloads that are being read, output that waits to be written, packets on their way to many and stored arguments that
// are read for workers are in transit. Of --max-memory they may take a half together. From a quarter on there is
// pressure: of those who send large packets only one reads on, the head; the others wait, unread, until there is room or
// it is their turn. So nobody has to be refused because others are slow, and nobody who reads and sends goes without.
//
// While somebody waits, those lose who hold memory and have made no progress for longest, stallTime at the least: a peer
// that does not read its output, or that has stopped in the middle of a packet. All of that is decided from lists that
// are in order already (stalls), a few connections at a time.

// pressure is what is done about it, in a goroutine of its own while there is any.
type pressure struct {
	server   *Server
	kicked   chan struct{}
	done     chan struct{}
	ended    sync.WaitGroup
	waiting  atomic.Int32         // connections that wait for room
	fetching atomic.Bool          // a stored argument does
	head     atomic.Pointer[conn] // who may read on under pressure; nil: whoever comes first
	heavies  atomic.Int32         // connections with more than assuredSize of output
	turn     int                  // which loop is asked first
}

func newPressure(s *Server) *pressure {
	return &pressure{server: s, kicked: make(chan struct{}, 1), done: make(chan struct{})}
}

func (p *pressure) start() { p.ended.Go(p.run) }

func (p *pressure) stop() {
	close(p.done)
	p.ended.Wait()
}

// kick has it look.
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

// The bounds of what is in transit, in bytes: from soft on there is pressure, above hard nobody reads on, above brim
// output is not taken any more.
func (s *Server) soft() int64 { return s.partOfMemory(4) }
func (s *Server) hard() int64 { return s.partOfMemory(2) }
func (s *Server) brim() int64 { return s.hard() + s.partOfMemory(8) }

func (s *Server) partOfMemory(part int64) int64 {
	if s.cfg.MaxMemory == 0 {
		return math.MaxInt64 / 4
	}
	return s.cfg.MaxMemory / part
}

// inTransit returns what is, in bytes.
func (s *Server) inTransit() int64 {
	return s.buffered() + s.reading.Load() + s.fetcher.bytes.Load() + s.cfg.Sched.Fanned()
}

// look does what can be done now, and reports whether to look again soon.
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
		if total < s.hard() && p.head.Load() == nil {
			p.admit(1)
		}
	}
	return true
}

// admit lets so many connections read on, of each loop in turn those that have waited longest.
func (p *pressure) admit(n int) {
	loops := p.server.allLoops()
	for range loops {
		l := loops[p.turn%len(loops)]
		p.turn++
		if k := min(n, int(l.waiting.Load())); k > 0 {
			l.do(func() { l.admit(k) })
			n -= k
		}
	}
}

// relieve has those that hold memory and do not get on lose it, until so many bytes are free: first who made no progress
// for longest. hardest: also those that hold little.
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

// sweep ends connections that stopped in the middle of a packet long ago, whether there is pressure or not.
func (p *pressure) sweep() {
	horizon := p.server.uptime() - uploadTime
	for _, l := range p.server.allLoops() {
		if l.uploads.before(horizon) {
			l.do(func() { l.sweep(horizon) })
		}
	}
}

// uptime is how long the server has been there.
func (s *Server) uptime() time.Duration { return s.clock.read().Sub(s.begun) }

// uptime is the same at the beginning of this turn.
func (l *loop) uptime() time.Duration { return l.now.Sub(l.server.begun) }

// relieve has connections lose what they hold, first who made no progress for longest, until so many bytes are free or
// they were relieveTurn.
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

// loseUpload ends a connection that does not send the rest of its packet, and returns how much that frees. Where
// something has come that was not read yet the peer is not at fault.
func (c *conn) loseUpload() (bytes int) {
	l := c.loop
	if unreadBytes(c.FD) > 0 {
		c.upload.renew(l.uptime(), c.charged)
		return 0
	}
	bytes = c.charged
	l.server.log.Warn("hanging up: a peer has stopped in the middle of a packet, and others need the memory",
		"peer", c.Addr, "received", c.fast.Size()-c.fast.Missing(), "missing", c.fast.Missing())
	c.fault(errMemory)
	return bytes
}

// loseOutput cuts off a connection that does not read its output, and returns how much that frees. Where the socket takes
// some of it now the peer is not at fault.
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

// sweep ends connections that have not gone on with their packet since a moment.
func (l *loop) sweep(horizon time.Duration) {
	for range relieveTurn {
		e := l.uploads.first
		if e == nil || e.since >= horizon {
			return
		}
		c := e.conn
		if unreadBytes(c.FD) > 0 {
			e.renew(l.uptime(), c.charged)
			continue
		}
		l.server.counters.Stalled.Add(1)
		l.server.log.Warn("closing a connection: the peer has stopped in the middle of a packet", "peer", c.Addr,
			"received", c.fast.Size()-c.fast.Missing(), "missing", c.fast.Missing(), "after", uploadTime)
		c.reason = closedStalled
		e.remove()
		l.doom(c)
	}
}

// weigh gives a connection its place among those whose output waits, or takes it away.
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

// crowded reports whether a connection that sends much has to wait for room. bulk says that it sends small packets.
func (c *conn) crowded(bulk bool) bool {
	s := c.loop.server
	if s.cfg.MaxMemory == 0 || c.closed {
		return false
	}
	total := s.inTransit()
	switch p := s.pressure; {
	case total <= s.soft():
		return false
	case !bulk && (p.head.Load() == c || p.head.CompareAndSwap(nil, c)):
		return total > s.hard()
	}
	return !bulk || total > s.hard()
}

// awaitRoom leaves a connection unread until there is room for what it sends.
func (c *conn) awaitRoom() {
	l := c.loop
	p := l.server.pressure
	if l.poller < 0 { // it can't be left unread
		if c.fast != nil && l.server.inTransit() > l.server.hard() {
			c.fault(errMemory)
		}
		return
	}
	c.halts |= haltRoom
	c.upload.remove() // it is not the peer that keeps it waiting
	p.yield(c)
	l.crowd.push(c)
	l.waiting.Add(1)
	p.waiting.Add(1)
	p.kick()
	c.steer()
}

// admit lets so many connections read on.
func (l *loop) admit(n int) {
	for ; n > 0 && !l.crowd.empty(); n-- {
		c := l.crowd.pop()
		l.waiting.Add(-1)
		l.server.pressure.waiting.Add(-1)
		if c.halts &^= haltRoom; c.closed || c.deaf {
			n++
			continue
		}
		if c.fast != nil {
			l.uploads.put(&c.upload, l.uptime(), c.charged)
		}
		c.steer()
	}
}

// yield has another be the head, if the connection is.
func (p *pressure) yield(c *conn) {
	if p.head.Load() == c {
		p.head.Store(nil)
		p.kick()
	}
}

// book counts the memory of the packet that the connection is reading.
func (c *conn) book() {
	if n := c.fast.Allocated() - c.charged; n > 0 {
		c.charged += n
		c.loop.server.reading.Add(int64(n))
	}
}

// refund is the reverse, when the packet is whole or given up.
func (c *conn) refund() {
	s := c.loop.server
	s.reading.Add(-int64(c.charged))
	c.charged = 0
	c.upload.remove()
	s.pressure.yield(c)
}

package reactor

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// In transit are payloads that are being read, output that waits to be written, packets on their way to many
// listeners, and stored arguments that are read for workers. From a quarter of --max-memory on there is
// pressure: of the peers that send large packets only one, the head, is read; the others wait, unread, until
// there is room or it is their turn. So no peer is refused because others are slow, and every peer that reads
// and sends gets on. Waiting peers hold what was read from them so far. When such beginnings take an eighth,
// the oldest whose peer sends no more is refused, or else the newest. So there is always room for the head's
// packet below three quarters, because no packet may be larger than a quarter.
//
// When a packet is complete and others wait, the head is one of those that have waited. A head that finds no room
// because output has taken it goes on before all others: else parts of ever more packets would take what readers let
// go of, and no packet would be completed. Parts may still add up so that the next packet can never be completed: heads
// that pause are replaced, and loops that read at the same time pass a bound together. Then as many peers as needed
// lose their parts.
//
// While a peer waits, those that hold memory and have made no progress for the longest time, at least
// stallTime, lose it: a peer that does not read its output, or that has stopped inside a packet. This is
// decided from lists that are always in order (stalls), a few connections at a time.

// pressure handles this in a goroutine of its own while it lasts. crowd.go has the connections that wait for
// room, relief.go those that lose what they hold.
type pressure struct {
	server   *Server
	kicked   chan struct{}
	done     chan struct{}
	ended    sync.WaitGroup
	crowd    crowdOfAll           // connections that wait for room
	fetching atomic.Bool          // a stored argument waits for room
	head     atomic.Pointer[conn] // the connection that may read under pressure; nil: the first that comes
	headRead atomic.Int64         // bytes read from heads
	heavies  atomic.Int32         // connections with more than assuredSize of output

	// The head and headRead at their last change, and when that was.
	lastHead *conn
	lastRead int64
	moved    time.Duration // in Server.uptime
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
	waits := p.crowd.count.Load() > 0 || p.fetching.Load()
	switch {
	case !waits && total <= s.hard():
		return false
	case !waits:
		p.relieve(total-s.hard(), true)
	case total <= s.soft():
		p.crowd.admit(1+int((s.soft()-total)/readTurn), s.uptime(), true)
	default:
		p.relieve(total-s.soft(), total > s.hard())
		if p.headStops() && total < s.hard() {
			p.head.Store(nil)
		}
		switch {
		case p.head.Load() != nil:
		case total < s.brim():
			p.crowd.admit(1, s.uptime(), false)
		default:
			p.crowd.unblock(s.brim())
		}
	}
	return true
}

// headStops reports whether no more of the head's packet has arrived for a while. Then another connection may
// be the head, as long as there is room for its packet too.
func (p *pressure) headStops() bool {
	now := p.server.uptime()
	head, n := p.head.Load(), p.headRead.Load()
	if head != p.lastHead || n != p.lastRead {
		p.lastHead, p.lastRead, p.moved = head, n, now
	}
	return now-p.moved >= headPause
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

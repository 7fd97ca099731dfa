package reactor

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

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
	case total > s.brim(), total > s.hard() && c.waiting() > assuredSize: // as mustRest
		return true
	case p.head.Load() == c:
		return false
	case !c.invited && p.crowd.count.Load() > 0:
		return true // otherwise a peer that sends one large packet after the other would always be the head
	case !p.head.CompareAndSwap(nil, c):
		return true
	}
	c.invited = false
	return false
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

// crowdOfAll has the connections of all loops that wait for room. They are in one place because a packet must
// not be refused while a silent connection of another loop holds the memory. A loop adds its connections; any
// goroutine may take some out, so that they read on or lose what they hold. Their loop then does that.
type crowdOfAll struct {
	count atomic.Int32 // connections in it
	held  atomic.Int64 // bytes of unhandled input of these

	mu     sync.Mutex
	silent list.List     // of *crowded: the peer must send more, as far as known; the one that has waited longest first
	ready  list.List     // of *crowded: those that can go on, in the order in which that was noticed
	next   *list.Element // of silent: whether it is ready is checked next; nil: the first
	begun  list.List     // of *crowded in either list: those with a part, the one that has waited longest first
	parts  int64         // bytes of these parts
}

// crowded is a connection in the crowd, whose lock guards what changes. As long as it is in there, the
// connection's descriptor is open.
type crowded struct {
	conn    *conn
	secure  bool          // it has TLS
	since   time.Duration // in Server.uptime
	holds   int           // bytes of input
	part    int           // bytes charged for the part of a packet, a header or a line that was read
	missing int           // bytes that complete a packet whose beginning is held; 0: not inside a packet
	needs   int           // bytes that must be unread for it to be ready; 0: it is
	first   bool          // it goes on before all others, as its packet is the one that was being read
	list    *list.List    // that it is in; nil: it has left the crowd
	element *list.Element
	inBegun *list.Element // nil: no part
}

// verdict is why a connection leaves the crowd.
type verdict uint8

const (
	mayReadOn verdict = iota
	isCut             // its peer has disconnected inside a packet
	mustLose          // others need the memory that it holds, and its peer sends no more
	mustYield         // others need the memory that it holds, as none of them can complete a packet
)

// awaitRoom leaves a connection unread until there is room for its input. It holds so many bytes of that, and
// so many are missing to complete a packet, 0 outside of one.
func (c *conn) awaitRoom(holds, missing int) {
	l := c.loop
	p := l.server.pressure
	if l.poller < 0 { // it cannot be left unread
		if c.fast != nil && l.server.inTransit() > l.server.hard() {
			c.fault(errMemory)
		}
		return
	}
	c.halts |= haltRoom
	c.crowded = &crowded{conn: c, secure: c.tls != nil, since: l.uptime()}
	c.crowded.first = c.fast != nil && !c.waits() && c.waiting() <= assuredSize && (c.invited || p.head.Load() == c)
	c.invited = false
	c.upload.remove() // now the server keeps it waiting, not the peer
	p.yield(c)
	p.crowd.set(c.crowded, holds, missing)
	p.kick()
	c.steer()
}

// leaveCrowd ends a connection's wait for room, if it waits.
func (c *conn) leaveCrowd() {
	if w := c.crowded; w != nil {
		c.loop.server.pressure.crowd.remove(w)
		c.crowded = nil
		c.halts &^= haltRoom
	}
}

// released carries out why a connection was taken out of the crowd.
func (w *crowded) released(why verdict) {
	c := w.conn
	if c.crowded != w {
		return // it has ended
	}
	c.crowded = nil
	c.halts &^= haltRoom
	switch {
	case c.deaf:
	case why == isCut:
		c.loop.doom(c)
	case why == mustLose:
		c.stopUpload()
	case why == mustYield:
		c.yieldUpload()
	default:
		c.invited = true
		c.watchUpload()
	}
	c.steer()
}

// release has the loops of connections that were taken out of the crowd go on with them.
func release(ws []*crowded, why verdict) {
	for _, w := range ws {
		w.conn.loop.do(func() { w.released(why) })
	}
}

// set adds a connection, or changes what it holds. One that has left meanwhile stays away.
func (cr *crowdOfAll) set(w *crowded, holds, missing int) {
	c := w.conn
	needs := min(missing, readySize)
	switch {
	case c.fast != nil:
		needs = 0
	case w.secure:
		needs = min(missing, 1) // crypto/tls may hold all but the end of a record
	}
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if w.list == nil {
		if w.element != nil {
			return
		}
		cr.count.Add(1)
		cr.push(w, &cr.silent)
	}
	cr.held.Add(int64(holds - w.holds))
	w.holds, w.missing, w.needs = holds, missing, needs
	cr.setPart(w, c.charged+len(c.partial))
	switch {
	case w.list == &cr.ready || !w.isReady():
	case w.first:
		cr.pull(w)
		w.list, w.element = &cr.ready, cr.ready.PushFront(w)
	default:
		cr.move(w, &cr.ready)
	}
}

// setPart sets how much of a packet, a header or a line was read before the connection began to wait.
func (cr *crowdOfAll) setPart(w *crowded, part int) {
	cr.parts += int64(part - w.part)
	w.part = part
	switch {
	case part > 0 && w.inBegun == nil:
		w.inBegun = cr.begun.PushBack(w)
	case part == 0 && w.inBegun != nil:
		cr.begun.Remove(w.inBegun)
		w.inBegun = nil
	}
}

// remove removes a connection, unless it was taken out before.
func (cr *crowdOfAll) remove(w *crowded) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if w.list != nil {
		cr.takeOut(w)
	}
}

func (cr *crowdOfAll) push(w *crowded, to *list.List) { w.list, w.element = to, to.PushBack(w) }

func (cr *crowdOfAll) takeOut(w *crowded) {
	cr.pull(w)
	cr.count.Add(-1)
	cr.held.Add(-int64(w.holds))
	cr.setPart(w, 0)
}

func (cr *crowdOfAll) move(w *crowded, to *list.List) {
	cr.pull(w)
	cr.push(w, to)
}

// pull removes w from its list.
func (cr *crowdOfAll) pull(w *crowded) {
	if cr.next == w.element {
		cr.next = w.element.Next()
	}
	w.list.Remove(w.element)
	w.list = nil
}

// isReady reports whether a peer has sent more of a packet whose beginning is held, or has ended.
func (w *crowded) isReady() bool {
	return w.needs == 0 || unreadBytes(w.conn.FD) >= w.needs || hasEnded(w.conn.FD)
}

// isCut reports whether the peer has disconnected inside a packet.
func (w *crowded) isCut() bool {
	return w.missing > 0 && !w.secure && w.missing > unreadBytes(w.conn.FD) && hasEnded(w.conn.FD)
}

// admit lets n connections read on, those that have been ready for longest. Connections whose peer has sent no
// more meanwhile would only block others: they stay, and lose what they hold after a time. Where there is no pressure
// any more (calm) they block nobody, and follow: what a peer could send may be too little to be ready.
func (cr *crowdOfAll) admit(n int, now time.Duration, calm bool) {
	var admitted, cut []*crowded
	lost := cr.check(now)
	cr.mu.Lock()
	for range n + crowdLook {
		list := &cr.ready
		if calm && list.Len() == 0 {
			list = &cr.silent
		}
		if len(admitted) == n || list.Len() == 0 {
			break
		}
		w := list.Front().Value.(*crowded)
		cr.takeOut(w)
		if w.isCut() {
			cut = append(cut, w)
		} else {
			admitted = append(admitted, w)
		}
	}
	cr.mu.Unlock()
	release(lost, mustLose)
	release(cut, isCut)
	release(admitted, mayReadOn)
}

// check finds out which of some silent connections are ready by now. It takes out those that are not and have
// waited for long.
func (cr *crowdOfAll) check(now time.Duration) (lost []*crowded) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for range min(crowdLook, cr.silent.Len()) {
		if cr.next == nil {
			cr.next = cr.silent.Front()
		}
		w := cr.next.Value.(*crowded)
		switch {
		case w.isReady():
			cr.move(w, &cr.ready)
		case now-w.since >= uploadTime:
			cr.takeOut(w)
			lost = append(lost, w)
		default:
			cr.next = cr.next.Next()
		}
	}
	return lost
}

// makeRoom makes the connection lose it that has waited longest with the beginning of a packet and whose peer
// sends no more. It reports whether there is one, among the first. Ready ones are not looked at again.
func (cr *crowdOfAll) makeRoom(now time.Duration) bool {
	if w := cr.findSilent(now); w != nil {
		release([]*crowded{w}, mustLose)
		return true
	}
	return false
}

// findSilent takes the connection for makeRoom out of the crowd; nil: there is none.
func (cr *crowdOfAll) findSilent(now time.Duration) *crowded {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for range min(crowdLook, cr.silent.Len()) {
		w := cr.silent.Front().Value.(*crowded)
		if now-w.since < beginTime {
			break
		}
		if !w.isReady() {
			cr.takeOut(w)
			return w
		}
		cr.move(w, &cr.ready)
	}
	return nil
}

// unblock makes connections lose what was read of their packets, as far as what all of them hold leaves less
// than room bytes for the one that goes on next: then no packet can be completed, however long they wait.
func (cr *crowdOfAll) unblock(room int64) {
	release(cr.findBlocking(room), mustYield)
}

// findBlocking takes the connections for unblock out of the crowd: first those whose peer sends no more, as far as
// that is known of the first ones, then those that have waited longest.
func (cr *crowdOfAll) findBlocking(room int64) (found []*crowded) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	var next *crowded
	excess := cr.parts + cr.held.Load() + 1 - room
	if e := cr.ready.Front(); e != nil {
		next = e.Value.(*crowded)
		excess += int64(next.missing)
	}
	for _, all := range []bool{false, true} {
		e := cr.begun.Front()
		for i := 0; e != nil && excess > 0 && (all || i < crowdLook); i++ {
			w := e.Value.(*crowded)
			e = e.Next()
			if w == next || !all && unreadBytes(w.conn.FD) > 0 {
				continue
			}
			excess -= int64(w.part + w.holds)
			cr.takeOut(w)
			found = append(found, w)
		}
	}
	return found
}

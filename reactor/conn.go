package reactor

import (
	"net"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/invariants"
	"gearloop/internal/payload"
	"gearloop/internal/slim"
	"gearloop/sched"
)

// conn is one connection. Only its loop uses it, except for the Peer, whose rules are in package sched, and
// for loop, fd and slot, which do not change.
type conn struct {
	sched.Peer
	gc   gnet.Conn
	loop *loop
	slot slot

	partial      []byte           // the beginning of an incomplete header or line
	fast         *payload.Payload // data of a frame that is being read
	fastItem     frameHead        // header of that frame
	expected     uint32           // size of the data of the large frame that is expected next; 0: none (ahead.go)
	vain         uint8            // reads in a row that did not bring it
	stash        []byte           // input that waits for the connection's next turn (turns.go)
	state        any              // the scheduler's State of a packet that must be handled again
	grab         codec.Type       // a GRAB_JOB* that is handled at the end of the loop's turn; 0: none (grabs.go)
	out          output
	held         *held    // output behind packets that are not there yet; nil: none
	tls          *tlsConn // nil: no TLS
	dirty        bool     // in loop.dirty
	blocked      bool     // waits until the socket accepts more
	skip         int      // bytes left of a packet that is being skipped; only when deaf
	deaf         bool     // ignores all further input
	closeWhenOut bool     // close once all output is written
	doomed       bool     // in loop.doomed
	lost         error    // the error that ended it, if the loop noticed it
	closed       bool     // gnet has closed it: its descriptor may belong to another connection
	departed     bool     // the scheduler knows that it has ended
	tabling      bool     // in loop.tabling
	queued       bool     // in loop.backlog
	leaving      bool     // it has ended, and is closed in a later turn
	unread       bool     // gnet does not watch the socket
	halts        halts    // the reasons for that, apart from waiting input
	fanWaits     int      // number of fans it waits for
	upload       stall    // entry in loop.uploads while it is inside a packet
	charged      int      // bytes of memory charged for the packet being read
	slow         stall    // entry in loop.slow or loop.idlers while its output waits

	crowded *crowded // entry in pressure.crowd while it waits for room
	invited bool     // it has waited for room: it may be the head though others wait

	id       uint64
	since    int64 // when its loop got it, in nanoseconds since 1970
	from     *door // its listener; nil: a connection from inside the process
	bytesIn  uint64
	bytesOut uint64
	ends     uint64 // of jobs that it was sent
	reason   closeReason

	unheard      int       // its index in loop.unheard plus one; 0: not listed
	unheardSince time.Time // when the peer's system last had nothing to acknowledge or answered; if listed
}

// opened sets up a connection that an acceptor enrolled.
func (s *Server) opened(gc gnet.Conn) (_ []byte, action gnet.Action) {
	if p, ok := gc.Context().(*pacer); ok {
		return nil, p.opened(gc, s.loop(gc.EventLoop()))
	}
	c, _ := gc.Context().(*conn)
	l := s.loop(gc.EventLoop())
	if c == nil {
		c = l.entering
		gc.SetContext(c)
	}
	defer func() {
		if s.caught(recover()) {
			c.loop.fx.Reset()
			action = gnet.Close
		}
	}()
	c.gc = gc
	c.loop = l
	c.FD = gc.Fd()
	c.User = c
	for _, a := range []net.Addr{gc.LocalAddr(), gc.RemoteAddr()} {
		if tcp, ok := a.(*net.TCPAddr); ok {
			tcp.Zone = "" // gnet reuses the memory of the string
		}
	}
	if size := s.cfg.SocketBuffer; size > 0 {
		limitSocket(c.FD, size)
	}
	c.out.total = &c.loop.buffered
	c.upload.conn, c.slow.conn = c, c
	if c.tls != nil {
		c.tls.buffered = &c.loop.buffered
	}
	c.id, c.since = s.ids.Add(1), s.clock.read().UnixNano()
	c.loop.conns[c] = struct{}{}
	c.loop.hasOpened(c)
	if c.tls != nil {
		c.loop.stats.TLS++
	}
	s.connections.Add(1)
	s.cfg.Sched.Connect(&c.Peer)
	s.log.Debug("connected", "peer", c.Addr, "fd", c.FD)
	if c.Access != nil && c.Access.Some() == 0 {
		c.turnOut()
	}
	if c.tls != nil {
		c.tls.opened()
	}
	return nil, gnet.None
}

// traffic handles what gnet has read.
func (s *Server) traffic(gc gnet.Conn) (action gnet.Action) {
	c, ok := gc.Context().(*conn)
	if !ok {
		gc.Discard(-1)
		p := gc.Context().(*pacer)
		p.turn()
		p.loop.end()
		return gnet.None
	}
	defer func() {
		if s.caught(recover()) {
			c.loop.fx.Reset()
			c.deaf, c.reason = true, closedInternal
			action = gnet.Close
		}
	}()
	c.loop.begin()
	buf, _ := gc.Next(-1)
	c.receive(buf)
	return gnet.None
}

// receive handles input.
func (c *conn) receive(buf []byte) {
	c.loop.stats.Reads++
	c.received(len(buf))
	c.read(buf)
	c.loop.end()
}

// readsPayload reports whether the connection's next bytes may be read directly into the payload of a packet.
func (c *conn) readsPayload() bool {
	return (c.fast != nil || c.expected > 0) && c.tls == nil && !c.stopped() && !c.deaf && !c.doomed &&
		!c.mustWait(c.fastSize())
}

// closed is called by gnet before the descriptor is closed. It tells the scheduler, and writes the remaining
// output if the peer has only shut down its sending side.
func (s *Server) closed(gc gnet.Conn, err error) gnet.Action {
	c, ok := gc.Context().(*conn)
	if !ok || c.closed {
		return gnet.None
	}
	if err == nil {
		err = c.lost
	}
	defer func() { s.caught(recover()) }()
	l := c.loop
	l.begin() // handle the mail that was sent to it before it closed
	if c.grab != 0 && !l.attempt(func() { c.grabNow() }) {
		c.deaf = true
	}
	c.grab = 0
	if c.tls != nil {
		l.stats.TLS--
	}
	if c.blocked {
		s.writable.unwatch(c)
		c.blocked = false
	}
	if !l.attempt(c.rescue) {
		c.deaf, c.reason = true, closedInternal
	}
	c.dropHeld() // later packets have nobody to go to
	if !c.part(err) || !s.halfClosed.write(c) {
		s.slots.give(c.slot)
	}
	c.closed = true
	c.out.release()
	c.weigh()
	if c.tls != nil {
		c.tls.release()
		c.tls = nil
	}
	l.unheard.remove(c)
	delete(l.conns, c)
	l.conns = slim.Map(l.conns, &l.most)
	l.hasClosed(c)
	if timedOut(err) {
		s.counters.DeadPeers.Add(1)
		c.reason = closedDead
	}
	if c.reason == closedByPeer && s.ended.Load() {
		c.reason = closedByServer
	}
	l.stats.Closed[c.reason]++
	s.log.Debug("disconnected", "peer", c.Addr, "fd", c.FD, "reason", err)
	c.leaveCrowd()
	if c.halts = 0; c.waits() && !c.deaf && !s.ended.Load() {
		c.steer()
	} else {
		c.depart()
	}
	l.end()
	return gnet.None
}

// received counts bytes read from the socket; a negative n is an error.
func (c *conn) received(n int) {
	l := c.loop
	if n > 0 {
		c.bytesIn += uint64(n)
		l.stats.BytesIn += uint64(n)
	}
	l.readLeased()
}

// sent counts bytes written to the socket by one call.
func (c *conn) sent(n int) {
	c.loop.stats.Writes++
	if n > 0 {
		c.bytesOut += uint64(n)
		c.loop.stats.BytesOut += uint64(n)
	}
}

// rescue reads what a peer sent before its connection broke. A peer that closes without having read all
// answers resets the connection, but its requests are valid.
func (c *conn) rescue() {
	s := c.loop.server
	defer invariants.Poison(c.loop.buffer[:])
	for (c.unread || c.doomed) && !c.deaf && !s.ended.Load() && len(c.stash) < rescueSize && s.inTransit() < s.hard() {
		n, _ := readSocket(c.FD, c.loop.buffer[:])
		c.received(n)
		switch {
		case n <= 0:
			return
		case c.tls != nil:
			c.tls.read(c.loop.buffer[:n])
		default:
			c.process(c.loop.buffer[:n])
		}
	}
}

// depart tells the scheduler that a connection has ended, once its input is handled. It takes several turns
// if the peer has many jobs in hand.
func (c *conn) depart() {
	l := c.loop
	s := l.server
	if !c.departed {
		c.deaf, c.departed = true, true
		c.dropFast()
		c.state = nil
		c.begin(nil)
		c.keep(nil)
		s.connections.Add(-1)
	}
	s.cfg.Sched.Disconnect(&c.Peer, l.now, &l.fx)
	again := c.again() && !s.ended.Load()
	if s.ended.Load() {
		l.discard() // when the server ends, nobody is informed about ended jobs
	}
	l.carry(nil)
	if again {
		c.enqueue()
	}
}

// asker returns what decides which text commands the connection may send.
func (c *conn) asker() admin.Asker {
	if c.Access != nil {
		return admin.Asker{From: c.origin(), Rights: c.Access.Rights, Peer: &c.Peer}
	}
	return admin.Asker{From: c.origin(), Peer: &c.Peer}
}

// origin returns where the connection comes from. A unix socket has no address.
func (c *conn) origin() admin.Origin {
	switch {
	case !c.Addr.IsValid():
		return admin.UnixSocket
	case c.Addr.Addr().IsLoopback():
		return admin.Loopback
	}
	return admin.Network
}

// hangUp closes the connection after its output is written. Further input is dropped.
func (c *conn) hangUp() {
	c.deaf = true
	c.closeWhenOut = true
	if c.crowded != nil {
		c.leaveCrowd()
		c.steer()
	}
	c.loop.touch(c)
	linger := lingerTime
	if c.skip > 0 {
		linger = skipTime
		c.awaitQuiet(c.skip)
	}
	time.AfterFunc(linger, func() { c.loop.mail.post(message{kind: doomMessage, conn: c}) })
}

// skipped counts bytes that arrive after the peer was sent an error that ends the connection. The server
// closes only after the whole faulty packet has arrived, or when no more of it arrives: most clients write
// the whole packet before they read, and a half-closed socket accepts the rest slowly.
func (c *conn) skipped(n int) {
	if c.skip > 0 {
		if c.skip -= n; c.skip <= 0 {
			c.loop.touch(c)
		}
	}
}

// awaitQuiet checks after quietTime whether a skipped packet still arrives. left is how much of it was
// missing then.
func (c *conn) awaitQuiet(left int) {
	time.AfterFunc(quietTime, func() {
		c.loop.do(func() {
			switch {
			case c.closed || c.skip <= 0:
			case c.skip == left:
				c.skipped(left)
			default:
				c.awaitQuiet(c.skip)
			}
		})
	})
}

// finish shuts down a connection whose output is written: it sends our end and waits for the peer's, because
// closing a socket with unread input would discard the last answer.
func (c *conn) finish() {
	c.closeWhenOut = false
	if unix.Shutdown(c.FD, unix.SHUT_WR) != nil {
		c.loop.doom(c)
	}
}

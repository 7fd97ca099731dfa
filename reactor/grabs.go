package reactor

import (
	"gearloop/codec"
	"gearloop/internal/payload"
)

// A worker sends WORK_COMPLETE and GRAB_JOB in one write. If it did the only job, the next one is often submitted
// at the same moment. If the server reads GRAB_JOB first and answers NO_JOB at once, the worker goes to sleep, is
// woken and asks again: four reads and four writes for a job instead of two. So a loop that waits by itself handles
// GRAB_JOB* for which there is no job at the end of its turn, when everything that was ready has been read.
//
// No peer can see this. Output is written at the end of the turn anyway, and the scheduler gets the packet as if it
// had arrived a little later: before the connection's next packet, and before its end.

// grabs are the postponed GRAB_JOB* of a loop.
type grabs struct {
	conns  []*conn // whose conn.grab is set, unless it was handled early
	vain   int     // lone ones that found no job, since a second look at the sockets brought one
	looked bool    // there was such a look in this turn
}

// isGrab reports whether a packet asks for a job.
func isGrab(t codec.Type) bool {
	return t == codec.GrabJob || t == codec.GrabJobUniq || t == codec.GrabJobAll
}

// postpone has a GRAB_JOB* handled later. It returns false for one that is to be handled at once: there is a job, or
// to find out costs much.
func (c *conn) postpone(t codec.Type) bool {
	l := c.loop
	if n := c.Functions(); n == 0 || n > lateFunctions || !l.canStay() || !c.Idle() {
		return false
	}
	c.grab = t
	l.grabs.conns = append(l.grabs.conns, c)
	return true
}

// grabNow handles the postponed GRAB_JOB* of the connection, and reports whether its next packet may be handled. If
// not, conn.grab is still set if it must be handled again.
func (c *conn) grabNow() bool {
	if !c.doomed && !c.closed && !c.handle(c.grab, payload.View{}) {
		return false
	}
	c.grab = 0
	return c.halts == 0 && !c.deaf
}

// grabBefore handles the postponed GRAB_JOB* of the connection, if there is one. One that must be handled again
// becomes the first packet of the connection's next turn.
func (c *conn) grabBefore() {
	if t := c.grab; t != 0 && !c.grabNow() {
		if c.grab != 0 {
			c.grab = 0
			c.keep(append(codec.AppendRequest(nil, t), c.stash...))
		}
		c.steer()
	}
}

// handleGrabs handles what was postponed in this turn. Its cost counts as part of the turn.
func (l *loop) handleGrabs() {
	g := &l.grabs
	if len(g.conns) == 0 {
		return
	}
	if c := g.conns[0]; g.looked && c.grab != 0 && !c.Idle() {
		g.vain = 0
	}
	l.items = 0
	l.readLeased()
	for _, c := range g.conns { // nothing is added meanwhile
		l.grabLast(c)
	}
	l.handled += l.items
	clear(g.conns)
	g.conns, g.looked = g.conns[:0], false
}

// grabLast is grabBefore at the end of a turn.
func (l *loop) grabLast(c *conn) {
	defer l.contain(c)
	c.grabBefore()
}

// lookAgain reports whether to look at the sockets once more in this turn, because a GRAB_JOB* came alone and found
// no job. It does while such looks bring jobs, and otherwise once in a while to find out.
func (l *loop) lookAgain() bool {
	g := &l.grabs
	if len(g.conns) == 0 || g.conns[0].grab == 0 {
		return false
	}
	g.vain++
	g.looked = g.vain <= lookVain || g.vain%lookPause == 0
	return g.looked
}

package reactor

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leavings is what a loop needs to close connections that have ended without making others wait.
type leavings struct {
	losses  int         // connections closed in this turn because they have ended
	leaving fifo[*conn] // connections that have ended and are closed in later turns
	ended   int         // how many were added to leaving since passCrowd; those of guests are counted by their host

	recent [recentConns]int32 // ring of the descriptors of the connections that had input last
	inputs uint               // how many inputs were ever recorded in recent
}

// part closes a connection that has ended, now or in a later turn. The kernel takes more than ten
// microseconds to close a socket. When a crowd leaves at once, all others would wait until the last of it is
// closed: epoll reports sockets in the order in which they became ready.
func (l *loop) part(c *conn, why error) {
	if l.losses++; l.losses <= lossesTurn && !l.full && !l.isLate() {
		l.lose(c, why)
		return
	}
	l.losses = lossesTurn // those that end from now on are closed behind it
	l.ended++
	c.lost, c.leaving = why, true
	if err := unix.EpollCtl(l.poller, unix.EPOLL_CTL_DEL, c.FD, nil); err != nil {
		l.server.log.Debug("leaving a connection that has ended unwatched", "peer", c.Addr, "error", err)
	}
	l.leaveUnwatched(c)
	l.leaving.push(c)
	l.pacer.ask()
}

// isLate reports whether the turn is crowded by now.
func (l *loop) isLate() bool { return l.isCrowded(l.server.clock.read()) }

// closeLeaving closes some of the connections that have ended.
func (l *loop) closeLeaving() {
	few, many := max(crowdedSockets/l.house(), 1), max(lossesTurn/l.house(), 1)
	for n := 0; !l.leaving.empty() && (n < few || n < many && !l.full && !l.isLate()); n++ {
		if c := l.leaving.pop(); !c.closed {
			l.lose(c, c.lost)
		}
	}
	if l.losses = 0; !l.leaving.empty() {
		l.losses = lossesTurn // those that end now are closed behind these
		l.pacer.ask()
	}
}

// lose closes a connection that has ended, which calls Server.closed. What the scheduler does then counts as
// part of the turn: a worker may have thousands of functions and jobs.
func (l *loop) lose(c *conn, why error) {
	c.lost = why
	l.items = 0
	defer func() { l.handled += l.items }()
	if err := l.events.Close(c.gc); err != nil {
		l.server.log.Debug("closing", "peer", c.Addr, "error", err)
	}
}

// noteInput records that a connection has had input.
func (l *loop) noteInput(c *conn) {
	l.recent[l.inputs%recentConns] = int32(c.FD)
	l.inputs++
}

// passCrowd serves connections of the house that had input lately. It is called when many of the connections that
// were ready have ended. The kernel reports sockets in the order in which they became ready: without passCrowd each
// packet of a peer that stays would wait until the whole crowd before it is read to its end, and a job takes four
// packets.
func (l *loop) passCrowd() {
	l.serveRecent()
	for _, g := range l.lodgers() {
		l.serveGuest(g, g.serveRecent)
	}
	l.ended = 0
}

// serveRecent serves those of the connections that had input last which have input now.
func (l *loop) serveRecent() {
	fds := l.recent
	slices.Sort(fds[:])
	var polled [recentConns]unix.PollFd
	n := 0
	for _, fd := range slices.Compact(fds[:]) {
		if c := l.byFD[fd]; c != nil && !c.unread && !c.leaving {
			polled[n] = unix.PollFd{Fd: fd, Events: unix.POLLIN}
			n++
		}
	}
	if n == 0 {
		return
	}
	var noWait unix.Timespec
	ready, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&polled)), uintptr(n),
		uintptr(unsafe.Pointer(&noWait)), 0, 0, 0)
	if errno != 0 || ready == 0 {
		return
	}
	for _, p := range polled[:n] {
		if c := l.byFD[p.Fd]; p.Revents&unix.POLLIN != 0 && c != nil && !c.unread && !c.leaving {
			l.tasked = !l.serve(c, unix.EPOLLIN) || l.tasked
		}
	}
}

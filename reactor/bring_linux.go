package reactor

import (
	"os"

	"golang.org/x/sys/unix"
)

// Polling a guest's epoll costs a system call in each turn in which one of the guest's sockets is ready. So the host's
// epoll watches the sockets of a guest with few connections directly (the guest brings them), and marks their events
// with the guest's number. The guest's own epoll watches them as before, because gnet expects that; nobody polls it
// until the guest goes home.

// bring makes the host watch a guest's sockets. If they are too many, or the system refuses one, it returns false and the
// host watches none.
func (l *loop) bring(g *loop) bool {
	if l.brought+len(g.byFD) > l.server.guestsBring {
		return false
	}
	g.brings = true
	l.brought += len(g.byFD)
	err := l.watchFor(g, g.chores, unix.EPOLLIN|unix.EPOLLET)
	if err == nil {
		err = l.watchFor(g, g.pacer.theirs, unix.EPOLLIN)
	}
	for _, c := range g.byFD {
		if err == nil && !c.leaving {
			err = l.watchFor(g, c.FD, interest(!c.unread))
		}
	}
	if err != nil {
		l.server.log.Debug("an event loop cannot watch a guest's sockets", "error", err)
		l.takeBack(g)
	}
	return err == nil
}

// takeBack makes the host watch none of a guest's sockets.
func (l *loop) takeBack(g *loop) {
	for fd := range g.byFD {
		unix.EpollCtl(l.poller, unix.EPOLL_CTL_DEL, int(fd), nil) // fails if it is not watched
	}
	unix.EpollCtl(l.poller, unix.EPOLL_CTL_DEL, g.pacer.theirs, nil)
	unix.EpollCtl(l.poller, unix.EPOLL_CTL_DEL, g.chores, nil)
	g.brings = false
	l.brought -= len(g.byFD)
}

// watchFor watches a socket of a guest.
func (l *loop) watchFor(g *loop, fd int, events uint32) error {
	event := unix.EpollEvent{Fd: int32(fd), Events: events, Pad: g.mark()}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.poller, unix.EPOLL_CTL_ADD, fd, &event))
}

// mark returns what tells the events of the loop's sockets from those of its host's: 0.
func (l *loop) mark() int32 { return int32(l.index) + 1 }

// bringOne makes the loop's host watch a new connection, if the loop has brought its sockets.
func (l *loop) bringOne(c *conn) {
	if !l.brings {
		return
	}
	host := l.host.Load()
	host.brought++
	err := host.watchFor(l, c.FD, interest(true))
	if err != nil {
		l.server.log.Debug("an event loop cannot watch a guest's socket", "error", err)
	}
	if err != nil || host.brought > 2*l.server.guestsBring {
		l.homesick = true // it comes again, and brings nothing
	}
}

// takeBackOne makes the loop's host no longer watch a connection that is about to be closed.
func (l *loop) takeBackOne(c *conn) {
	if l.brings {
		l.host.Load().brought--
		l.leaveUnwatched(c)
	}
}

// leaveUnwatched makes the loop's host no longer watch a connection, which stays open and counts as brought.
func (l *loop) leaveUnwatched(c *conn) {
	if l.brings {
		unix.EpollCtl(l.host.Load().poller, unix.EPOLL_CTL_DEL, c.FD, nil) // fails if it is not watched
	}
}

// listenAtHost is listen for the loop's host.
func (l *loop) listenAtHost(c *conn, on bool) error {
	if !l.brings {
		return nil
	}
	event := unix.EpollEvent{Fd: int32(c.FD), Events: interest(on), Pad: l.mark()}
	err := unix.EpollCtl(l.host.Load().poller, unix.EPOLL_CTL_MOD, c.FD, &event)
	if err == unix.ENOENT && l.homesick {
		return nil // bringOne has failed
	}
	return err
}

// marked returns the guest with a mark, or nil.
func (l *loop) marked(mark int32) *loop {
	for _, g := range l.lodgers() {
		if g.mark() == mark {
			return g
		}
	}
	return nil
}

// serveMarked serves an event of a socket that a guest has brought.
func (l *loop) serveMarked(ev *unix.EpollEvent) {
	if g := l.marked(ev.Pad); g != nil {
		g.full = g.full || l.full
		l.serveGuest(g, func() {
			if int(ev.Fd) == g.chores {
				g.tasked = g.tasked || g.hasChores()
			} else {
				g.serveEvent(ev)
			}
		})
	}
}

// hasChores reports whether gnet has something to do for a guest whose host has had an event of gnet's wake-up. There is
// one when the host begins to watch it, whatever happened before. The guest's own epoll knows whether gnet has seen it.
func (l *loop) hasChores() bool {
	l.asked = lookEvents // whatever ask has decided
	n := l.pollNow()
	for i := range n {
		if int(l.ready[i].Fd) == l.chores {
			l.remindGnet()
			return true
		}
	}
	return n == l.asked // it may be behind these
}

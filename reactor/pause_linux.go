package reactor

import (
	"reflect"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// pollerOf returns the epoll descriptor of a gnet loop, or -1: gnet offers no way to leave a connection
// unread for a while.
func pollerOf(events gnet.EventLoop) (fd int) { return pollerField(events, "fd") }

// pollerField returns a descriptor of a gnet loop's poller, or -1 if gnet has changed.
func pollerField(events gnet.EventLoop, name string) (fd int) {
	defer func() {
		if recover() != nil {
			fd = -1
		}
	}()
	poller := reflect.ValueOf(events).Elem().FieldByName("poller").Elem()
	return int(poller.FieldByName(name).Int())
}

// listen makes gnet read a connection's socket, or leave it unread. Errors of the socket are noticed in
// either case, the end of its input only when it is read.
func (l *loop) listen(c *conn, on bool) {
	event := unix.EpollEvent{Fd: int32(c.FD), Events: interest(on)}
	err := unix.EpollCtl(l.poller, unix.EPOLL_CTL_MOD, c.FD, &event)
	if err == nil {
		err = l.listenAtHost(c, on)
	}
	if err != nil {
		l.server.log.Error("could not change whether a connection is read", "peer", c.Addr, "error", err)
		l.doom(c)
	}
}

// interest returns the events of a socket that is read, or left unread.
func interest(on bool) uint32 {
	if on {
		return unix.EPOLLIN | unix.EPOLLPRI
	}
	return 0
}

package reactor

import (
	"cmp"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// writable waits, with an epoll of its own, for sockets that did not accept all of their output. gnet does
// that only for output that it buffers itself. Connections are found by descriptor, under a lock that also
// keeps a descriptor from changing its owner unnoticed: OnClose calls unwatch before the close.
type writable struct {
	server *Server
	epoll  int
	file   *os.File        // owns epoll
	raw    syscall.RawConn // of file
	event  int             // an eventfd that ends the goroutine
	ended  sync.WaitGroup

	mu    sync.Mutex
	conns map[int]*conn // by descriptor
}

func newWritable(s *Server) (*writable, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(event)})
	}
	if err != nil {
		unix.Close(epoll)
		return nil, err
	}
	var file *os.File
	var raw syscall.RawConn
	if err == nil {
		err = unix.SetNonblock(epoll, true) // so that os.NewFile has Go's poller watch it
	}
	if err == nil {
		file = os.NewFile(uintptr(epoll), "epoll")
		raw, err = file.SyscallConn()
	}
	if err != nil {
		unix.Close(epoll)
		unix.Close(event)
		return nil, err
	}
	w := &writable{server: s, epoll: epoll, file: file, raw: raw, event: event, conns: map[int]*conn{}}
	w.ended.Go(w.run)
	return w, nil
}

// watch posts a writableMessage when the connection's socket accepts more.
func (w *writable) watch(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c.FD] = c
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(c.FD)}
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, c.FD, &event)
	if err == unix.ENOENT {
		err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, c.FD, &event)
	}
	if err != nil {
		w.server.log.Error("could not wait for a socket to take output", "peer", c.Addr, "error", err)
		delete(w.conns, c.FD)
		c.loop.doom(c)
	}
}

// unwatch forgets a connection that is about to be closed.
func (w *writable) unwatch(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c.FD)
	unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.FD, nil)
}

func (w *writable) run() {
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := w.wait(events)
		if err != nil && err != unix.EINTR {
			w.server.log.Error("could not wait for sockets to take output", "error", err)
			return
		}
		for i := range max(n, 0) {
			fd := int(events[i].Fd)
			if fd == w.event {
				return
			}
			w.mu.Lock()
			c := w.conns[fd]
			delete(w.conns, fd)
			w.mu.Unlock()
			if c != nil {
				c.loop.mail.post(message{kind: writableMessage, conn: c})
			}
		}
	}
}

// wait waits until sockets take more. Go's poller waits for the epoll descriptor: a goroutine in a blocking
// system call would keep a processor until the runtime's monitor thread takes it away, which then looks every
// 20 µs for a while.
func (w *writable) wait(events []unix.EpollEvent) (n int, err error) {
	readErr := w.raw.Read(func(fd uintptr) bool {
		n, err = unix.EpollWait(int(fd), events, 0)
		return n != 0 || err != nil
	})
	return n, cmp.Or(err, readErr)
}

// stop ends the goroutine. Connections may still be unwatched.
func (w *writable) stop() {
	unix.Write(w.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	w.ended.Wait()
}

// close closes the descriptors when no connection is left.
func (w *writable) close() {
	w.file.Close()
	unix.Close(w.event)
}

package load

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// turnEvents bounds the connections served before output is written.
const turnEvents = 256

// event is what a descriptor is ready for. An error counts as both.
type event struct {
	fd              int
	readable, write bool
}

// poller waits for descriptors to be ready, level-triggered.
type poller struct {
	epoll  int
	coarse bool // the kernel does not support timeouts in nanoseconds
	raw    [turnEvents]unix.EpollEvent
	ready  []event
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &poller{epoll: fd}, os.NewSyscallError("epoll_create1", err)
}

func (p *poller) close() { unix.Close(p.epoll) }

func (p *poller) add(fd int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
}

// remove forgets fd, which is about to be closed.
func (p *poller) remove(int) {} // the kernel does it

// watch sets whether fd is also watched for room to write.
func (p *poller) watch(fd int, write bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if write {
		ev.Events |= unix.EPOLLOUT
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &ev))
}

// wait waits for at most limit; a negative limit means no limit. The result is valid until the next call.
func (p *poller) wait(limit time.Duration) ([]event, error) {
	n, err := p.poll(limit)
	if err == unix.EINTR {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("epoll_wait", err)
	}
	p.ready = p.ready[:0]
	for _, ev := range p.raw[:n] {
		p.ready = append(p.ready, event{int(ev.Fd), ev.Events&^unix.EPOLLOUT != 0, ev.Events&^unix.EPOLLIN != 0})
	}
	return p.ready, nil
}

func (p *poller) poll(limit time.Duration) (int, error) {
	switch {
	case limit < 0:
		return unix.EpollWait(p.epoll, p.raw[:], -1)
	case limit == 0:
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.raw[0])), turnEvents, 0, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	case !p.coarse:
		ts := unix.NsecToTimespec(int64(limit))
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.raw[0])),
			turnEvents, uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno != unix.ENOSYS {
			if errno != 0 {
				return 0, errno
			}
			return int(n), nil
		}
		p.coarse = true
	}
	return unix.EpollWait(p.epoll, p.raw[:], int((limit+time.Millisecond-1)/time.Millisecond))
}

// read and write never block, so Go's scheduler is not told of them.

func readFD(fd int, buf []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func writeFD(fd int, buf []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// maxVectors is how many slices one call writes.
const maxVectors = 64

// writeVectors writes at most the first maxVectors slices.
func writeVectors(fd int, vecs [][]byte) (int, error) {
	return unix.SendmsgBuffers(fd, vecs[:min(len(vecs), maxVectors)], nil, nil, unix.MSG_NOSIGNAL)
}

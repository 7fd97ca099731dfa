//go:build !linux

package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// event is what a descriptor is ready for. An error counts as both.
type event struct {
	fd              int
	readable, write bool
}

// poller waits for descriptors to be ready. It passes all of them to each poll(2): correct, not fast.
type poller struct {
	watched []unix.PollFd
	index   map[int]int // index in watched by descriptor
	ready   []event
}

func newPoller() (*poller, error) { return &poller{index: map[int]int{}}, nil }

func (p *poller) close() {}

func (p *poller) add(fd int) error {
	p.index[fd] = len(p.watched)
	p.watched = append(p.watched, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return nil
}

// remove forgets fd, which is about to be closed.
func (p *poller) remove(fd int) {
	i, last := p.index[fd], len(p.watched)-1
	p.watched[i] = p.watched[last]
	p.index[int(p.watched[i].Fd)] = i
	p.watched = p.watched[:last]
	delete(p.index, fd)
}

// watch sets whether fd is also watched for room to write.
func (p *poller) watch(fd int, write bool) error {
	w := &p.watched[p.index[fd]]
	if w.Events = unix.POLLIN; write {
		w.Events |= unix.POLLOUT
	}
	return nil
}

// wait waits for at most limit; a negative limit means no limit. The result is valid until the next call.
func (p *poller) wait(limit time.Duration) ([]event, error) {
	ms := -1
	if limit >= 0 {
		ms = int((limit + time.Millisecond - 1) / time.Millisecond)
	}
	_, err := unix.Poll(p.watched, ms)
	if err == unix.EINTR {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("poll", err)
	}
	p.ready = p.ready[:0]
	for _, w := range p.watched {
		if w.Revents != 0 {
			p.ready = append(p.ready, event{int(w.Fd), w.Revents&^unix.POLLOUT != 0, w.Revents&^unix.POLLIN != 0})
		}
	}
	return p.ready, nil
}

func readFD(fd int, buf []byte) (int, error) { return unix.Read(fd, buf) }

func writeFD(fd int, buf []byte) (int, error) { return unix.Write(fd, buf) }

// writeVectors writes the first of vecs.
func writeVectors(fd int, vecs [][]byte) (int, error) { return unix.Write(fd, vecs[0]) }

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
)

const (
	// stallLimit is how long a storm may make no progress before it is given up. A SYN that the server's backlog
	// has no room for is sent again after 1, 3, 7 and 15 seconds.
	stallLimit = 40 * time.Second
	// perSource is how many connections come from one address: more of them make finding a free port slow.
	perSource = 5000
	hello     = "here"
)

// workerHello is what a worker of a function sends at first; the server answers its last packet only.
func workerHello(function string) []byte {
	b := codec.AppendRequest(nil, codec.CanDo, function)
	b = codec.AppendRequest(b, codec.PreSleep)
	return codec.AppendRequest(b, codec.EchoReq, hello)
}

// declarerHello declares n functions from a number on.
func declarerHello(first, n int) (b []byte) {
	for i := range n {
		b = codec.AppendRequest(b, codec.CanDo, fmt.Sprintf("declared_%d", first+i))
	}
	return codec.AppendRequest(b, codec.EchoReq, hello)
}

// answer is how many bytes a server answers to either: ECHO_RES.
const answer = 12 + len(hello)

// crowd is connections served by some threads.
type crowd []*thread

// thread serves its connections with few system calls, so that the server is what is measured.
type thread struct {
	target unix.SockaddrInet4
	epoll  int
	member map[int]*member // by descriptor
}

type member struct {
	out     []byte // not sent yet
	missing int    // bytes of the answer
}

func newCrowd(addr string, threads int) (crowd, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	target := unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	var all crowd
	for range threads {
		c := &thread{target: target, epoll: -1, member: map[int]*member{}}
		all = append(all, c)
		if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			all.close()
			return nil, os.NewSyscallError("epoll_create1", err)
		}
	}
	return all, nil
}

// each calls a function for each thread, all at once, and returns their errors.
func (all crowd) each(f func(k int, c *thread) error) error {
	var running sync.WaitGroup
	errs := make([]error, len(all))
	for k, c := range all {
		running.Go(func() { errs[k] = f(k, c) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// connect opens n connections at once, and returns when the server has answered each of them.
func (all crowd) connect(ctx context.Context, n int, hello func(i int) []byte) error {
	return all.each(func(k int, c *thread) error { return c.connect(ctx, k, len(all), n, hello) })
}

// close closes all connections.
func (all crowd) close() {
	all.each(func(_ int, c *thread) error { c.close(); return nil })
}

// connect opens each step-th of n connections.
func (c *thread) connect(ctx context.Context, first, step, n int, hello func(i int) []byte) error {
	waiting, opened := 0, 0
	for i := first; i < n; i += step {
		if err := c.open(i, hello(i)); err != nil {
			return err
		}
		waiting++
		if opened++; opened%64 == 0 { // look after those who are connected
			done, err := c.turn(0)
			if waiting -= done; err != nil {
				return err
			}
		}
	}
	for progress := time.Now(); waiting > 0; {
		done, err := c.turn(100)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case done > 0:
			progress = time.Now()
		case time.Since(progress) > stallLimit:
			return fmt.Errorf("%d of %d connections were not answered within %v", waiting, opened, stallLimit)
		}
		waiting -= done
	}
	return nil
}

// open begins the i-th connection.
func (c *thread) open(i int, out []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.member[fd] = &member{out: out, missing: answer}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(i/perSource + 1)}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	target := c.target
	if err := unix.Connect(fd, &target); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	return c.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLOUT)
}

func (c *thread) watch(op, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(c.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// turn serves the connections that are ready, and returns how many of them got their answer.
func (c *thread) turn(milliseconds int) (done int, err error) {
	var ready [256]unix.EpollEvent
	n, err := unix.EpollWait(c.epoll, ready[:], milliseconds)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	for i := range n {
		fd := int(ready[i].Fd)
		m := c.member[fd]
		if len(m.out) > 0 {
			if err := c.send(fd, m); err != nil {
				return done, err
			}
			continue
		}
		var in [64]byte
		got, err := unix.Read(fd, in[:])
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil || got == 0 {
			return done, fmt.Errorf("the server has closed a connection: %w", os.NewSyscallError("read", err))
		}
		if m.missing -= got; m.missing == 0 {
			done++
		}
	}
	return done, nil
}

// send sends as much as the socket takes.
func (c *thread) send(fd int, m *member) error {
	n, err := unix.Write(fd, m.out)
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("write", err)
	}
	if m.out = m.out[n:]; len(m.out) > 0 {
		return nil
	}
	return c.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
}

// close closes all connections.
func (c *thread) close() {
	for fd := range c.member {
		unix.Close(fd)
	}
	clear(c.member)
	if c.epoll >= 0 {
		unix.Close(c.epoll)
	}
	c.epoll = -1
}

// raiseDescriptors lets this process have as many descriptors as it may.
func raiseDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = limit.Max
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
}

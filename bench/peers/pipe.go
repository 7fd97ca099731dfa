package main

import (
	"bufio"
	"errors"
	"net"
	"runtime"
	"sync"
)

// pipe is a connection that goroutines share. What they send while a write is under way is written with the next one.
type pipe struct {
	conn net.Conn
	in   *bufio.Reader
	kick chan struct{} // wakes the writer; closed when err is set

	mu      sync.Mutex
	out     []byte
	waiting []waiter // in the order of the requests
	err     error
}

// waiter awaits an answer. A twofold one first has a response that says that the answer will come.
type waiter struct {
	done    chan answer
	twofold bool
}

type answer struct {
	data []byte
	err  error
}

var channels = sync.Pool{New: func() any { return make(chan answer, 1) }}

// dialPipe connects. read handles all input until an error, which ends the pipe.
func dialPipe(addr string, read func(*pipe) error) (*pipe, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &pipe{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), kick: make(chan struct{}, 1)}
	go p.write()
	go func() { p.fail(read(p)) }()
	return p, nil
}

// do sends what add appends and awaits the answer to it.
func (p *pipe) do(twofold bool, add func(out []byte) []byte) ([]byte, error) {
	w := waiter{channels.Get().(chan answer), twofold}
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		return nil, p.err
	}
	p.out = add(p.out)
	p.waiting = append(p.waiting, w)
	select {
	case p.kick <- struct{}{}:
	default:
	}
	p.mu.Unlock()
	a := <-w.done
	channels.Put(w.done)
	return a.data, a.err
}

// next removes who awaits the oldest response.
func (p *pipe) next() (waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return waiter{}, errors.New("a response to no request")
	}
	first := p.waiting[0]
	p.waiting = p.waiting[1:]
	return first, nil
}

func (p *pipe) write() {
	var spare []byte
	for range p.kick {
		runtime.Gosched() // lets the others that are ready add theirs
		p.mu.Lock()
		out := p.out
		p.out = spare[:0]
		p.mu.Unlock()
		if _, err := p.conn.Write(out); err != nil {
			p.fail(err)
			return
		}
		spare = out
	}
}

// fail closes the connection, and answers all who wait with the error.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	for _, w := range p.waiting {
		w.done <- answer{err: err}
	}
	p.waiting = nil
	close(p.kick)
	p.conn.Close()
}

func (p *pipe) close() { p.fail(net.ErrClosed) }

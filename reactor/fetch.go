package reactor

import (
	"errors"
	"io"
	"sync"
	"time"

	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/store"
)

// fetcher reads arguments that the store alone has, one after the other: a worker waits for each,
// and together they must not fill the memory that they were kept out of.
type fetcher struct {
	server *Server
	kick   chan struct{}
	done   chan struct{}
	ended  sync.WaitGroup

	mu    sync.Mutex
	queue []sched.Fetch
}

func newFetcher(s *Server) *fetcher {
	return &fetcher{server: s, kick: make(chan struct{}, 1), done: make(chan struct{})}
}

func (f *fetcher) start() {
	f.ended.Add(1)
	go f.run()
}

func (f *fetcher) stop() {
	close(f.done)
	f.ended.Wait()
}

// add has an argument read, from any goroutine.
func (f *fetcher) add(want sched.Fetch) {
	f.mu.Lock()
	f.queue = append(f.queue, want)
	f.mu.Unlock()
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *fetcher) next() (want sched.Fetch, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		f.queue = nil
		return want, false
	}
	want = f.queue[0]
	f.queue[0] = sched.Fetch{}
	f.queue = f.queue[1:]
	return want, true
}

func (f *fetcher) run() {
	defer f.ended.Done()
	for {
		if want, ok := f.next(); ok {
			if !f.waitForRoom() || !f.fetch(&want) {
				return
			}
			continue
		}
		select {
		case <-f.kick:
		case <-f.done:
			return
		}
	}
}

// waitForRoom waits until workers have taken enough of what was read for them; false when the server ends.
func (f *fetcher) waitForRoom() bool {
	for f.server.buffered() > f.server.shareOfMemory()/2 {
		select {
		case <-time.After(fetchPause):
		case <-f.done:
			return false
		}
	}
	return true
}

// fetch reads an argument and hands it to the worker's loop; false when the server ends.
func (f *fetcher) fetch(want *sched.Fetch) bool {
	c := want.To.User.(*conn)
	p := payload.New(want.Size)
	read := make(chan error, 1)
	f.server.cfg.Sched.Read(want, filler{p}, func(err error) { read <- err })
	// Also when the server ends: until then the store may write to the payload.
	err := <-read
	if err == nil && p.Missing() > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, store.ErrGone) { // that has ended meanwhile
		f.server.log.Error("reading a stored argument", "error", err)
	}
	c.loop.do(func() {
		f.server.cfg.Sched.Fetched(want, payload.Of(p), err, c.loop.now, &c.loop.fx)
		c.loop.carry(c)
	})
	select {
	case <-f.done:
		return false
	default:
		return true
	}
}

// filler fills a payload with what is written to it.
type filler struct{ payload *payload.Payload }

func (w filler) Write(b []byte) (int, error) {
	if n := w.payload.Fill(b); n < len(b) {
		return n, io.ErrShortWrite
	}
	return len(b), nil
}

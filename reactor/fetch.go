package reactor

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/internal/payload"
	"gearloop/sched"
	"gearloop/store"
)

// fetcher reads arguments that only the store has, several at a time, in the order in which workers asked.
// Together they must not fill the memory that they were kept out of, so each waits for room, but no longer
// than fetchWait: room may depend on peers that do not read.
type fetcher struct {
	server *Server
	kick   chan struct{} // signals that an argument was added or has been read
	done   chan struct{}
	ended  sync.WaitGroup // run and all reads

	mu      sync.Mutex
	queue   []sched.Fetch
	since   time.Time    // since when the first of the queue waits for room; zero: it does not
	putOff  bool         // arguments that are not being read yet never will be
	reading int          // arguments being read
	bytes   atomic.Int64 // their size; changed under mu
}

func newFetcher(s *Server) *fetcher {
	return &fetcher{server: s, kick: make(chan struct{}, 1), done: make(chan struct{})}
}

func (f *fetcher) start() { f.ended.Go(f.run) }

func (f *fetcher) stop() {
	close(f.done)
	f.ended.Wait()
}

// add queues an argument to be read. Any goroutine may call it.
func (f *fetcher) add(want sched.Fetch) {
	f.mu.Lock()
	putOff := f.putOff
	if !putOff {
		f.queue = append(f.queue, want)
	}
	f.mu.Unlock()
	if putOff {
		f.giveUp(want)
		return
	}
	f.wake()
}

// putOffAll gives up all arguments that are not being read yet, now and later: the server ends, and their
// jobs stay in the store.
func (f *fetcher) putOffAll() {
	f.mu.Lock()
	f.putOff = true
	queue := f.queue
	f.queue = nil
	f.mu.Unlock()
	for _, want := range queue {
		f.giveUp(want)
	}
}

// giveUp returns a job to its queue.
func (f *fetcher) giveUp(want sched.Fetch) {
	c := want.To.User.(*conn)
	c.loop.do(func() {
		f.server.cfg.Sched.PutOff(&want, c.loop.now, &c.loop.fx)
		c.loop.carry(c)
	})
}

func (f *fetcher) wake() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *fetcher) run() {
	for {
		switch begun, waits := f.next(time.Now()); {
		case begun:
		case waits:
			select {
			case <-time.After(fetchPause):
			case <-f.done:
				return
			}
		default:
			select {
			case <-f.kick:
			case <-f.done:
				return
			}
		}
	}
}

// next starts to read the first argument of the queue if there is room for it, or if it has waited long
// enough. waits says that it waits for room.
func (f *fetcher) next(now time.Time) (begun, waits bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) > 0 && f.queue[0].To.Gone() {
		f.drop() // its job waits for another worker already
	}
	if len(f.queue) == 0 || f.reading == maxFetches {
		return false, false
	}
	size := int64(f.queue[0].Size)
	if !f.mayRead(size, now) {
		if f.since.IsZero() {
			f.since = now
			f.server.pressure.fetching.Store(true)
			f.server.pressure.kick()
		}
		return false, true
	}
	want := f.queue[0]
	f.drop()
	f.reading++
	f.bytes.Add(size)
	f.ended.Go(func() { f.fetch(&want) })
	return true, false
}

// mayRead reports whether there is room for an argument: like large packets, arguments are read one at a time
// under pressure. After fetchWait the first one is read regardless.
func (f *fetcher) mayRead(size int64, now time.Time) bool {
	s := f.server
	total := s.inTransit() + size
	switch {
	case total <= s.soft():
		return true
	case f.reading > 0:
		return false
	}
	return total <= s.hard() || !f.since.IsZero() && now.Sub(f.since) >= fetchWait
}

// drop removes the first one from the queue.
func (f *fetcher) drop() {
	if !f.since.IsZero() {
		f.since = time.Time{}
		f.server.pressure.fetching.Store(false)
	}
	f.queue[0] = sched.Fetch{}
	if f.queue = f.queue[1:]; len(f.queue) == 0 {
		f.queue = nil
	}
}

// fetch reads an argument and passes it to the worker's loop.
func (f *fetcher) fetch(want *sched.Fetch) {
	c := want.To.User.(*conn)
	p := payload.New(want.Size)
	read := make(chan error, 1)
	f.server.cfg.Sched.Read(want, filler{p}, func(err error) { read <- err })
	// Also when the server ends: until then the store may write to the payload.
	err := <-read
	if err == nil && p.Missing() > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, store.ErrGone) { // the job has ended meanwhile
		handle, function := f.server.cfg.Sched.Name(want)
		f.server.log.Error("the argument of a stored job can't be read: the job is put aside until the next start, and its "+
			"unique id is free", "job", handle, "function", function, "error", err)
	}
	c.loop.do(func() {
		f.server.cfg.Sched.Fetched(want, payload.Of(p), err, c.loop.now, &c.loop.fx)
		c.loop.carry(c)
		// From here on it counts as output.
		f.mu.Lock()
		f.reading--
		f.bytes.Add(-int64(want.Size))
		f.mu.Unlock()
		f.wake()
	})
}

// filler is an io.Writer that fills a payload.
type filler struct{ payload *payload.Payload }

func (w filler) Write(b []byte) (int, error) {
	if n := w.payload.Fill(b); n < len(b) {
		return n, io.ErrShortWrite
	}
	return len(b), nil
}

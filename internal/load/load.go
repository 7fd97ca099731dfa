package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// window bounds the connections that the server has not answered yet while connecting: some servers have a
// small backlog.
const window = 16

// Load is a set of clients, workers and sleepers connected to a server.
type Load struct {
	cfg     Config
	names   []string      // of functions
	padding []byte        // source of payloads
	uniques string        // prefix of all unique ids
	base    time.Time     // origin of all times
	target  unix.Sockaddr // of the server, when clients connect for each job
	loops   []*loop
	running sync.WaitGroup
	readied chan struct{} // an element for each connection that the server has answered

	limited atomic.Bool
	tickets atomic.Int64 // jobs left to submit, if limited

	failOnce sync.Once
	failed   error // valid once failing is closed
	failing  chan struct{}
	closing  atomic.Bool

	growth Growth
}

// Growth is the growth of the server's memory while the load connected.
type Growth struct {
	Before, Connected int64 // resident bytes
	Connections       int
}

// Open connects everything and waits until the server has answered each connection. If pid is not 0 it
// samples the server's memory.
func Open(ctx context.Context, cfg Config, pid int) (*Load, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.Loops = min(cfg.Loops, cfg.Clients)
	l := &Load{
		cfg: cfg, names: cfg.functionNames(), padding: make([]byte, max(cfg.Payload, cfg.Result)),
		uniques: rand.Text()[:8] + "-", base: time.Now(),
		readied: make(chan struct{}, window), failing: make(chan struct{}),
	}
	for i := range l.padding {
		l.padding[i] = byte(i)>>1 | 1 // no NUL, and the last byte depends on the size
	}
	if cfg.Connect {
		var err error
		if l.target, err = socketAddress(cfg.Addr); err != nil {
			return nil, err
		}
	}
	for range cfg.Loops {
		lp, err := newLoop(l)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.loops = append(l.loops, lp)
		l.running.Go(lp.run)
	}
	if err := l.connectAll(ctx, pid); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Load) connectAll(ctx context.Context, pid int) error {
	memory := func() int64 {
		if pid == 0 {
			return 0
		}
		u, _ := SampleUsage(pid) // Run reports if this is impossible
		return u.Resident
	}
	cfg := &l.cfg
	l.growth.Before = memory()
	if err := l.connect(ctx, cfg.Idle, func(c *conn, _ int) {
		newWorker(c, "idle worker", []string{cfg.Function + "_idle"}, true)
	}); err != nil {
		return err
	}
	if err := l.connect(ctx, cfg.Sleepers, func(c *conn, i int) {
		newWorker(c, "sleeper", l.abilities(i), true)
	}); err != nil {
		return err
	}
	l.growth.Connected, l.growth.Connections = memory(), cfg.Idle+cfg.Sleepers
	if err := l.connect(ctx, cfg.Workers, func(c *conn, i int) {
		c.loop.workers = append(c.loop.workers, newWorker(c, "worker", l.abilities(i), false))
	}); err != nil {
		return err
	}
	return l.connect(ctx, cfg.Clients, func(c *conn, i int) {
		c.loop.clients = append(c.loop.clients, newClient(c, i))
	})
}

// abilities returns the functions of the i-th worker.
func (l *Load) abilities(i int) []string {
	var names []string
	for k := range l.cfg.Abilities {
		names = append(names, l.names[(i*l.cfg.Abilities+k)%len(l.names)])
	}
	return names
}

// connect opens n connections, spread over the loops.
func (l *Load) connect(ctx context.Context, n int, begin func(c *conn, i int)) error {
	open, waiting := 0, 0
	timeout := time.NewTimer(stallLimit)
	defer timeout.Stop()
	for open < n || waiting > 0 {
		if open < n && waiting < window {
			fd, err := dial(l.cfg.Addr)
			if err != nil {
				return err
			}
			i, lp := open, l.loops[open%len(l.loops)]
			open++
			waiting++
			lp.do(func() {
				c, err := lp.add(fd)
				if err != nil {
					l.fail(err)
					return
				}
				begin(c, i)
			})
			continue
		}
		select {
		case <-l.readied:
			waiting--
			timeout.Reset(stallLimit)
		case <-l.failing:
			return l.failed
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout.C:
			return fmt.Errorf("no answer to ECHO_REQ within %v", stallLimit)
		}
	}
	return nil
}

// Growth returns how the server's memory grew with the sleepers and idle workers.
func (l *Load) Growth() Growth { return l.growth }

// Close closes all connections.
func (l *Load) Close() {
	l.closing.Store(true)
	for _, lp := range l.loops {
		lp.do(func() { lp.ended = true })
	}
	l.running.Wait()
}

// ticket takes the right to submit one more job.
func (l *Load) ticket() bool { return !l.limited.Load() || l.tickets.Add(-1) >= 0 }

func (l *Load) now() int64 { return int64(time.Since(l.base)) }

// fail gives up the run; the first error is reported.
func (l *Load) fail(err error) {
	if l.closing.Load() {
		return
	}
	l.failOnce.Do(func() {
		l.failed = err
		close(l.failing)
	})
}

var errStalled = errors.New("no job was done for " + stallLimit.String())

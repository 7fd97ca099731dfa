package bench

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stallLimit is after how long without any job done a run is given up.
const stallLimit = 20 * time.Second

// MinPayload is the smallest argument of a job, in bytes: what tells jobs apart.
const MinPayload = 8

// LoadConfig says what load there is.
type LoadConfig struct {
	Addr     string // of the server: host:port or unix:/path
	Function string
	Clients  int // connections that submit
	Depth    int // jobs that each of them has under way
	Workers  int // connections that work, one job at a time
	Payload  int // size of argument and result in bytes, at least MinPayload
}

// Load is clients and workers that are connected to a server. Each connection has one goroutine,
// which answers all that one read brought with one write.
type Load struct {
	cfg     LoadConfig
	clients []*client
	workers []*worker
	running sync.WaitGroup // the workers' goroutines

	tickets  atomic.Int64 // jobs of this run not submitted yet
	done     atomic.Int64 // jobs done since the beginning
	failOnce sync.Once
	failed   error // valid once failing is closed
	failing  chan struct{}
	closing  atomic.Bool
}

// Result is what a run has shown.
type Result struct {
	Jobs    int
	Elapsed time.Duration
	Latency Latencies // from submission to result, of each job
}

// Open connects everything and waits until the workers are known to the server.
func Open(cfg LoadConfig) (*Load, error) {
	if cfg.Payload < MinPayload || cfg.Clients < 1 || cfg.Depth < 1 || cfg.Workers < 1 {
		return nil, fmt.Errorf("no load of this shape: %+v", cfg)
	}
	l := &Load{cfg: cfg, failing: make(chan struct{})}
	for range cfg.Workers {
		c, err := dial(cfg.Addr)
		if err != nil {
			l.Close()
			return nil, err
		}
		w := &worker{load: l, stream: stream{conn: c}}
		l.workers = append(l.workers, w)
		if err := w.register(cfg.Function); err != nil {
			l.Close()
			return nil, fmt.Errorf("worker: %w", err)
		}
		l.running.Go(w.run)
	}
	for range cfg.Clients {
		c, err := dial(cfg.Addr)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.clients = append(l.clients, newClient(l, c))
	}
	return l, nil
}

// Run submits jobs and waits until all are done. Any error ends it, and the load with it: a
// connection that is lost, a job that fails, a wrong result, no progress.
func (l *Load) Run(jobs int) (Result, error) {
	l.tickets.Store(int64(jobs))
	start := time.Now()
	var all sync.WaitGroup
	for _, c := range l.clients {
		all.Go(func() {
			if err := c.run(); err != nil {
				l.fail(fmt.Errorf("client: %w", err))
			}
		})
	}
	over := make(chan struct{})
	go l.watch(over)
	all.Wait()
	close(over)
	res := Result{Jobs: jobs, Elapsed: time.Since(start)}
	select {
	case <-l.failing:
		return res, l.failed
	default:
	}
	for _, c := range l.clients {
		res.Latency.Merge(&c.latency)
		c.latency = Latencies{}
	}
	if n := res.Latency.Count(); n != jobs {
		return res, fmt.Errorf("%d results for %d jobs", n, jobs)
	}
	return res, nil
}

// Close ends all connections.
func (l *Load) Close() {
	l.closing.Store(true)
	l.disconnect()
	l.running.Wait()
}

// ticket takes the right to submit one more job.
func (l *Load) ticket() bool { return l.tickets.Add(-1) >= 0 }

// fail gives everything up; the first error is the one that is told.
func (l *Load) fail(err error) {
	if l.closing.Load() {
		return
	}
	l.failOnce.Do(func() {
		l.failed = err
		close(l.failing)
		l.disconnect()
	})
}

func (l *Load) disconnect() {
	for _, c := range l.clients {
		c.conn.Close()
	}
	for _, w := range l.workers {
		w.conn.Close()
	}
}

// watch gives up when nothing gets done any more.
func (l *Load) watch(over <-chan struct{}) {
	tick := time.NewTicker(stallLimit)
	defer tick.Stop()
	for before := l.done.Load(); ; {
		select {
		case <-over:
			return
		case <-tick.C:
			now := l.done.Load()
			if now == before {
				l.fail(errors.New("no job was done for " + stallLimit.String()))
				return
			}
			before = now
		}
	}
}

func dial(addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	return net.DialTimeout(network, addr, stallLimit)
}

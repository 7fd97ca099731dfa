package postgres

import (
	"context"
	"sync"
	"time"
)

const (
	// lookFor is how long a look at the cluster is shown before the next one.
	lookFor = 10 * time.Second
	// countFor is the same for the number of rows and the oldest, which cost the database a scan. After a scan that
	// took long, it is countShare times as long as that.
	countFor   = time.Minute
	countShare = 50
	// lookLimit bounds a look.
	lookLimit = 10 * time.Second
)

// looks shares looks at the cluster among all who ask.
type looks struct {
	mu      sync.Mutex
	last    Cluster
	err     error
	seen    bool          // last is one
	at      time.Time     // when the last attempt ended
	running chan struct{} // closed when the attempt that is under way ends; nil: none
	counted time.Time
	count   time.Duration // that the last count took
}

// Cluster returns what there is to see of all brokers and of the database, up to lookFor old. It waits for the database if
// that has to be asked. The error is that of the last attempt; what was seen before comes with it.
func (e *Engine) Cluster(ctx context.Context) (Cluster, error) {
	l := &e.looks
	l.mu.Lock()
	running := e.glanceIfOld()
	l.mu.Unlock()
	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			return Cluster{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.err
}

// LastCluster returns what was seen last, if anything was, without waiting, and has the database asked if that was more
// than lookFor ago.
func (e *Engine) LastCluster() (c Cluster, seen bool) {
	l := &e.looks
	l.mu.Lock()
	defer l.mu.Unlock()
	e.glanceIfOld()
	return l.last, l.seen && l.err == nil
}

// glanceIfOld has the database asked if the last attempt is too long ago, and returns what to wait for; nil: nothing.
// looks is locked.
func (e *Engine) glanceIfOld() <-chan struct{} {
	l := &e.looks
	if l.running == nil && time.Since(l.at) >= lookFor && e.ctx.Err() == nil {
		l.running = make(chan struct{})
		go e.lookAtCluster()
	}
	return l.running
}

func (e *Engine) lookAtCluster() {
	l := &e.looks
	l.mu.Lock()
	before := l.last
	counts := time.Since(l.counted) >= max(countFor, countShare*l.count)
	l.mu.Unlock()
	c, took, err := e.seeCluster(before, counts)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.err = time.Now(), err
	if err == nil {
		l.last, l.seen = c, true
		if counts {
			l.counted, l.count = l.at, took
		}
	}
	close(l.running)
	l.running = nil
}

func (e *Engine) seeCluster(before Cluster, counts bool) (c Cluster, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(e.ctx, lookLimit)
	defer cancel()
	pool, err := e.readers(ctx)
	if err != nil {
		return c, 0, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return c, 0, err
	}
	defer conn.Release()
	if c, err = glance(ctx, conn.Conn()); err != nil || c.Format == 0 {
		return c, 0, err
	}
	if !counts {
		c.Rows, c.Oldest = before.Rows, before.Oldest
		return c, 0, nil
	}
	begin := time.Now()
	err = c.count(ctx, conn.Conn())
	return c, time.Since(begin), err
}

// IsConnected reports whether the connection for batches is open.
func (e *Engine) IsConnected() bool { return e.connected.Load() }

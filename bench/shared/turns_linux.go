package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/internal/load"
	"gearloop/internal/rounds"
	"gearloop/store"
	"gearloop/store/postgres"
	"gearloop/test/pgtest"
)

const (
	warmup       = time.Second
	functions    = 16
	argumentSize = 100
	batchJobs    = 512
)

var argument = make([]byte, argumentSize)

// counts are what submitters and workers count.
type counts struct {
	in, out atomic.Int64
	mu      sync.Mutex
	times   []time.Duration
}

func (c *counts) took(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, d)
}

// span measures a load that runs already.
func (c *counts) span(ctx context.Context, db *pgtest.Cluster, s shape, o options, cpu func() time.Duration) (result, error) {
	counted := &c.in
	if s.out {
		counted = &c.out
	}
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	wait(warmup)
	c.mu.Lock()
	c.times = c.times[:0]
	c.mu.Unlock()
	m, err := begin(db)
	if err != nil {
		return result{}, err
	}
	before, used := counted.Load(), cpu()
	wait(time.Duration(o.seconds * float64(time.Second)))
	jobs := counted.Load() - before
	r, err := m.end(jobs)
	if err != nil {
		return r, err
	}
	r.broker = (cpu() - used).Seconds() / float64(jobs)
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.times)
	if len(c.times) > 0 {
		r.p50 = c.times[len(c.times)/2].Seconds()
	}
	return r, ctx.Err()
}

// rawTurn measures drivers, one in the place of each broker. Its submitters wait for their jobs as clients
// do.
func rawTurn(ctx context.Context, db *pgtest.Cluster, s shape, o options) (result, error) {
	running, stop := context.WithCancel(ctx)
	var c counts
	var all sync.WaitGroup
	errs := make(chan error, brokers)
	for range brokers {
		d, err := postgres.NewDriver(ctx, postgres.Options{URL: db.URL(rawOf), Node: "raw"})
		if err != nil {
			stop()
			return result{}, err
		}
		all.Go(func() {
			defer d.Close()
			if err := drive(running, d, s, &c); err != nil {
				errs <- err
				stop()
			}
		})
	}
	r, err := c.span(running, db, s, o, func() time.Duration { return 0 })
	stop()
	all.Wait()
	select {
	case err = <-errs:
	default:
	}
	if err == nil {
		err = db.Nodes[0].Do("truncate " + rawOf + ".job")
	}
	return r, err
}

// waiter is a submission that waits for its acknowledgement.
type waiter struct {
	job  store.Job
	done chan struct{}
}

// drive commits what the submitters of one driver gather, one batch at a time.
func drive(ctx context.Context, d *postgres.Driver, s shape, c *counts) error {
	ctx, stop := context.WithCancel(ctx)
	gathered := make(chan *waiter, s.inFlight)
	var submitters sync.WaitGroup
	defer submitters.Wait()
	defer stop()
	for k := range s.inFlight / brokers {
		submitters.Go(func() {
			for n := 0; ; n++ {
				begin := time.Now()
				w := &waiter{done: make(chan struct{}), job: store.Job{
					Function: fmt.Sprint("f", (k+n)%functions), Unique: unique(), Argument: [][]byte{argument},
				}}
				gathered <- w
				select {
				case <-w.done:
				case <-ctx.Done():
					return
				}
				c.in.Add(1)
				c.took(time.Since(begin))
			}
		})
	}
	var ended []uint64
	for ctx.Err() == nil {
		var batch []*waiter
		select {
		case w := <-gathered:
			batch = append(batch, w)
		case <-ctx.Done():
			return nil
		}
		for more := true; more && len(batch) < batchJobs; {
			select {
			case w := <-gathered:
				batch = append(batch, w)
			default:
				more = false
			}
		}
		jobs := make([]store.Job, len(batch))
		for i, w := range batch {
			jobs[i] = w.job
		}
		if err := d.Commit(context.WithoutCancel(ctx), jobs, ended); err != nil {
			return err
		}
		if s.out {
			c.out.Add(int64(len(ended)))
			ended = ended[:0]
			for i := range jobs {
				ended = append(ended, jobs[i].Number)
			}
		}
		for _, w := range batch {
			close(w.done)
		}
	}
	return nil
}

// uniques makes unique ids that no other submission has.
var uniques atomic.Int64

func unique() string { return fmt.Sprintf("%032x", uniques.Add(1)) }

// brokerTurn measures brokers, with clients that have as many submissions in flight.
func brokerTurn(ctx context.Context, db *pgtest.Cluster, servers []rounds.Server, s shape, o options) (result, error) {
	running, stop := context.WithCancel(ctx)
	var c counts
	var clients, workers sync.WaitGroup
	errs := make(chan error, 64)
	spawn := func(group *sync.WaitGroup, f func() error) {
		group.Go(func() {
			if err := f(); err != nil {
				errs <- err
				stop()
			}
		})
	}
	const connections = 4 // of clients, at each broker
	working, rest := context.WithCancel(ctx)
	for _, server := range servers {
		for range connections {
			spawn(&clients, func() error { return client(running, server.Addr, s.inFlight/len(servers)/connections, &c) })
		}
		if s.out {
			for range connections {
				spawn(&workers, func() error { return worker(working, server.Addr, &c) })
			}
		}
	}
	r, err := c.span(running, db, s, o, func() (sum time.Duration) {
		for _, server := range servers {
			u, _ := load.SampleUsage(server.PID)
			sum += u.CPU
		}
		return sum
	})
	stop()
	clients.Wait()
	for _, server := range servers { // what is left goes, before the next turn
		for range connections {
			spawn(&workers, func() error { return worker(working, server.Addr, &c) })
		}
	}
	for ctx.Err() == nil && c.out.Load() < c.in.Load() && len(errs) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	rest()
	workers.Wait()
	select {
	case err = <-errs:
	default:
	}
	return r, err
}

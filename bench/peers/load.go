package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	payload = 64
	// headSize is how many bytes identify a job: its slot and its number.
	headSize = 8
	// stall is how long a job may take before the run is given up.
	stall = 20 * time.Second
	// filler is the slot of jobs that only fill the queue.
	filler = 1<<32 - 1
)

// broker is a server as its clients and workers see it.
type broker interface {
	// client connects for submissions; n tells clients apart.
	client(n int) (client, error)
	// worker connects for the jobs of a queue. What do returns is the result of a request.
	worker(queue string, do func(job []byte) []byte) (*worker, error)
}

// client is a connection that goroutines share.
type client interface {
	// submit returns when the server has acknowledged the job.
	submit(queue string, job []byte) error
	// request returns the job's result.
	request(queue string, job []byte) ([]byte, error)
	close()
}

// worker does jobs, one at a time.
type worker struct {
	run   func() error // until an error, which close causes too
	close func()
}

// shape is how much is in flight.
type shape struct{ clients, depth, workers int }

var shapes = []shape{{4, 64, 8}, {1, 1, 1}}

func (s shape) String() string { return fmt.Sprintf("%d × %d", s.clients, s.depth) }

// Queues are called by what is in them and by their workers: job8, call1.
const (
	jobQueue  = "job"
	callQueue = "call"
)

func jobQueues() (names []string) {
	for _, s := range shapes {
		names = append(names, fmt.Sprint(jobQueue, s.workers))
	}
	return names
}

func queues() []string {
	names := jobQueues()
	for _, s := range shapes {
		names = append(names, fmt.Sprint(callQueue, s.workers))
	}
	return names
}

func isCall(queue string) bool { return strings.HasPrefix(queue, callQueue) }

// slot is where a job in flight is known to client and worker.
type slot struct {
	number atomic.Uint32 // of the job
	done   chan struct{} // a worker has done it
}

// driven is one server and its load.
type driven struct {
	broker  broker
	pid     int
	clients []client
	workers map[string][]*worker
	slots   []slot
	failed  chan error
	closing atomic.Bool
}

func drive(b broker, pid int) (*driven, error) {
	most := shapes[0]
	l := &driven{broker: b, pid: pid, workers: map[string][]*worker{}, slots: make([]slot, most.clients*most.depth), failed: make(chan error, 1)}
	for i := range l.slots {
		l.slots[i].done = make(chan struct{}, 1)
	}
	for n := range most.clients {
		c, err := b.client(n)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("connecting a client: %w", err)
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

func (l *driven) close() {
	l.closing.Store(true)
	for _, c := range l.clients {
		c.close()
	}
	for _, of := range l.workers {
		for _, w := range of {
			w.close()
		}
	}
}

func (l *driven) fail(err error) {
	if l.closing.Load() {
		return
	}
	select {
	case l.failed <- err:
	default:
	}
}

// work connects the workers of a queue, once.
func (l *driven) work(queue string, n int) error {
	for len(l.workers[queue]) < n {
		do := l.do
		if isCall(queue) {
			do = func(job []byte) []byte { return job }
		}
		w, err := l.broker.worker(queue, do)
		if err != nil {
			return fmt.Errorf("connecting a worker: %w", err)
		}
		l.workers[queue] = append(l.workers[queue], w)
		go func() {
			if err := w.run(); err != nil {
				l.fail(fmt.Errorf("worker: %w", err))
			}
		}()
	}
	return nil
}

// do is what a worker does with a background job.
func (l *driven) do(job []byte) []byte {
	if len(job) != payload {
		l.fail(fmt.Errorf("a job has %d bytes, not %d", len(job), payload))
		return nil
	}
	i, number := binary.BigEndian.Uint32(job), binary.BigEndian.Uint32(job[4:])
	if int(i) >= len(l.slots) || l.slots[i].number.Load() != number {
		l.fail(fmt.Errorf("job %d of slot %d came again, or late", number, i))
		return nil
	}
	select {
	case l.slots[i].done <- struct{}{}:
	default:
		l.fail(fmt.Errorf("job %d of slot %d came twice", number, i))
	}
	return nil
}

// took is when a job ended, since the turn began, and how long it took.
type took struct{ end, time time.Duration }

// turn puts the load on for a time, of which a part at the beginning does not count.
func (l *driven) turn(ctx context.Context, request bool, s shape, warmup, length time.Duration) (figures, error) {
	queue := fmt.Sprint(jobQueue, s.workers)
	if request {
		queue = fmt.Sprint(callQueue, s.workers)
	}
	if err := l.work(queue, s.workers); err != nil {
		return figures{}, err
	}
	var stop atomic.Bool
	var group sync.WaitGroup
	all := make([][]took, s.clients*s.depth)
	begin := time.Now()
	for i := range all {
		c, at := l.clients[i/s.depth], i
		group.Go(func() {
			if err := l.submitter(c, queue, at, request, begin, &stop, &all[at]); err != nil {
				l.fail(err)
			}
		})
	}
	var before, after mark
	err := l.wait(ctx, warmup, nil)
	if err == nil {
		before, err = l.mark(begin)
	}
	if err == nil {
		err = l.wait(ctx, length, nil)
	}
	if err == nil {
		after, err = l.mark(begin)
	}
	stop.Store(true)
	idle := make(chan struct{})
	go func() {
		group.Wait()
		close(idle)
	}()
	if err == nil {
		err = l.wait(ctx, stall, idle)
	}
	if err != nil {
		return figures{}, err
	}
	return figuresOf(all, before, after)
}

// submitter keeps one job in flight.
func (l *driven) submitter(c client, queue string, at int, request bool, begin time.Time, stop *atomic.Bool, times *[]took) error {
	s := &l.slots[at]
	for !stop.Load() {
		job := make([]byte, payload)
		number := s.number.Add(1)
		binary.BigEndian.PutUint32(job, uint32(at))
		binary.BigEndian.PutUint32(job[4:], number)
		start := time.Since(begin)
		if request {
			result, err := c.request(queue, job)
			if err != nil {
				return fmt.Errorf("request: %w", err)
			}
			if string(result) != string(job) {
				return fmt.Errorf("a request for %x has the result %x", job, result)
			}
		} else {
			if err := c.submit(queue, job); err != nil {
				return fmt.Errorf("submit: %w", err)
			}
			<-s.done
		}
		end := time.Since(begin)
		*times = append(*times, took{end, end - start})
	}
	return nil
}

// mark is what has been used at a time.
type mark struct {
	at     time.Duration
	server usage
	own    time.Duration
}

func (l *driven) mark(begin time.Time) (mark, error) {
	server, err := sample(l.pid)
	return mark{time.Since(begin), server, ownCPU()}, err
}

// wait waits for a time, or for done, without which the time is a limit.
func (l *driven) wait(ctx context.Context, d time.Duration, done <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		if done != nil {
			return fmt.Errorf("jobs have no end after %v", d)
		}
		return nil
	case err := <-l.failed:
		return err
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

// fill submits jobs that nobody takes, at most for a time, and returns how many and what the server's memory grew by.
func (l *driven) fill(ctx context.Context, jobs int, limit time.Duration) (n int, grown int64, err error) {
	s := shapes[0]
	queue := fmt.Sprint(jobQueue, s.workers)
	submit := func(jobs int) (int, error) {
		var submitted, tickets atomic.Int64
		var group sync.WaitGroup
		end := time.Now().Add(limit)
		for i := range l.slots {
			c := l.clients[i/s.depth]
			group.Go(func() {
				for time.Now().Before(end) && tickets.Add(1) <= int64(jobs) {
					job := make([]byte, payload)
					binary.BigEndian.PutUint32(job, filler)
					if err := c.submit(queue, job); err != nil {
						l.fail(fmt.Errorf("submit: %w", err))
						return
					}
					submitted.Add(1)
				}
			})
		}
		idle := make(chan struct{})
		go func() {
			group.Wait()
			close(idle)
		}()
		err := l.wait(ctx, limit+stall, idle)
		return int(submitted.Load()), err
	}
	if _, err = submit(jobs / 100); err != nil { // what the first jobs take is no memory of jobs
		return 0, 0, err
	}
	before, err := sample(l.pid)
	if err != nil {
		return 0, 0, err
	}
	if n, err = submit(jobs); err != nil {
		return 0, 0, err
	}
	after, err := sample(l.pid)
	return n, after.resident - before.resident, err
}

// figuresOf returns the figures of the jobs that ended between two marks.
func figuresOf(all [][]took, before, after mark) (figures, error) {
	var times []time.Duration
	for _, of := range all {
		for _, t := range of {
			if t.end > before.at && t.end <= after.at {
				times = append(times, t.time)
			}
		}
	}
	if len(times) == 0 {
		return figures{}, errors.New("no job was done")
	}
	slices.Sort(times)
	jobs := float64(len(times))
	micros := func(d time.Duration) float64 { return float64(d) / 1e3 }
	return figures{
		PerSecond: jobs / (after.at - before.at).Seconds(),
		CPU:       micros(after.server.cpu-before.server.cpu) / jobs,
		Load:      micros(after.own-before.own) / jobs,
		P50:       micros(times[len(times)/2]),
		P99:       micros(times[len(times)*99/100]),
	}, nil
}

// ownCPU returns the processor time of this process so far.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

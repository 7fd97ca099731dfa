package main

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gearloop/codec"
)

const (
	bystanderFunction = "bystander"
	// pace is the time between two jobs of the bystander.
	pace = 2 * time.Millisecond
	// lostAfter is how long the bystander waits for its last jobs.
	lostAfter = 30 * time.Second
)

// bystander is a client that submits a job each pace, and the worker that does it.
type bystander struct {
	client, worker net.Conn
	end            chan struct{}
	running        sync.WaitGroup
	failed         chan error

	mu   sync.Mutex
	due  map[string]time.Time // of jobs without a result, by handle
	next []time.Time          // of jobs without a handle, in order
	done []doneJob
}

// doneJob is a job that has got its result.
type doneJob struct {
	due  time.Time
	took time.Duration
}

func newBystander(addr string) (*bystander, error) {
	client, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	worker, err := net.Dial("tcp", addr)
	if err != nil {
		client.Close()
		return nil, err
	}
	b := &bystander{
		client: client, worker: worker, end: make(chan struct{}), failed: make(chan error, 3),
		due: map[string]time.Time{},
	}
	for _, part := range []func() error{b.submit, b.read, b.work} {
		b.running.Go(func() {
			if err := part(); err != nil && !errors.Is(err, net.ErrClosed) {
				b.failed <- err
			}
		})
	}
	return b, nil
}

// submit submits a job each pace until the end.
func (b *bystander) submit() error {
	packet := codec.AppendRequest(nil, codec.SubmitJob, bystanderFunction, "", "x")
	for due := time.Now(); ; due = due.Add(pace) {
		select {
		case <-b.end:
			return nil
		case <-time.After(time.Until(due)):
		}
		b.mu.Lock()
		b.next = append(b.next, due)
		b.mu.Unlock()
		if _, err := b.client.Write(packet); err != nil {
			return err
		}
	}
}

// read records the times of jobs.
func (b *bystander) read() error {
	in := bufio.NewReader(b.client)
	for {
		p, err := codec.ReadResponse(in, 1<<20)
		if err != nil {
			return err
		}
		handle, _, _ := codec.Cut(p.Data)
		b.mu.Lock()
		switch p.Type {
		case codec.JobCreated:
			b.due[string(handle)] = b.next[0]
			b.next = b.next[1:]
		case codec.WorkComplete:
			due := b.due[string(handle)]
			b.done = append(b.done, doneJob{due, time.Since(due)})
			delete(b.due, string(handle))
		default:
			err = errors.New("the bystander got " + p.Type.String())
		}
		b.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// work does the jobs.
func (b *bystander) work() error {
	in := bufio.NewReader(b.worker)
	grab := codec.AppendRequest(nil, codec.GrabJob)
	out := append(codec.AppendRequest(nil, codec.CanDo, bystanderFunction), grab...)
	for {
		if _, err := b.worker.Write(out); err != nil {
			return err
		}
		p, err := codec.ReadResponse(in, 1<<20)
		if err != nil {
			return err
		}
		switch p.Type {
		case codec.JobAssign:
			handle, _, _ := codec.Cut(p.Data)
			out = append(codec.AppendRequest(out[:0], codec.WorkComplete, string(handle), "y"), grab...)
		case codec.NoJob:
			out = codec.AppendRequest(out[:0], codec.PreSleep)
		default: // NOOP
			out = append(out[:0], grab...)
		}
	}
}

// during records the p99 and the longest time, in milliseconds, of the jobs that were due while f ran, in two
// rows of figures. A row without a name is not recorded.
func (b *bystander) during(into figures, p99, longest string, f func() error) error {
	b.mu.Lock()
	b.done = nil
	b.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	// Those that are due and have no result yet count, too, and there is one at least.
	b.mu.Lock()
	open := make([]string, 0, len(b.due))
	for h := range b.due {
		open = append(open, h)
	}
	unanswered := len(b.next)
	b.mu.Unlock()
	for deadline := time.Now().Add(lostAfter); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		left := len(b.done) == 0 || unanswered > 0 && len(b.next) > 0 && time.Since(b.next[0]) > time.Second
		for _, h := range open {
			_, waits := b.due[h]
			left = left || waits
		}
		b.mu.Unlock()
		select {
		case err := <-b.failed:
			return err
		default:
		}
		if !left {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("a job of the bystander has got no result")
		}
	}
	times := b.times(time.Time{}, time.Now())
	into[p99] = float64(times.ValueAtQuantile(99)) / 1e6
	if longest != "" {
		into[longest] = float64(times.Max()) / 1e6
	}
	return nil
}

// times returns the times of the jobs that were under way in a part of the last call of during.
func (b *bystander) times(from, to time.Time) *hdrhistogram.Histogram {
	b.mu.Lock()
	defer b.mu.Unlock()
	times := hdrhistogram.New(1, int64(10*time.Minute), 3)
	for _, j := range b.done {
		if j.due.Before(to) && j.due.Add(j.took).After(from) {
			times.RecordValue(int64(j.took))
		}
	}
	return times
}

func (b *bystander) close() {
	close(b.end)
	b.client.Close()
	b.worker.Close()
	b.running.Wait()
}

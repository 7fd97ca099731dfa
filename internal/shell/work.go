package shell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/codec"
	"gearloop/internal/client"
)

// Work is a worker that runs a command for each job.
type Work struct {
	Servers   []client.Target // it takes jobs from all of them
	Functions []string
	Command   []string      // program and arguments
	Parallel  int           // concurrent commands
	Timeout   time.Duration // of a command; 0 = none
	MaxResult int           // largest result in bytes; a larger one fails the job
	Jobs      int           // jobs to do before it ends; 0 = no limit
	ClientID  string
	// Exceptions sends the standard error of a failed command as WORK_EXCEPTION.
	Exceptions bool
	// NoRetry ends the worker if a server cannot be reached, instead of trying again.
	NoRetry bool
	Log     *slog.Logger

	slots   chan struct{} // an element for each running command
	permits chan struct{} // with Jobs: an element for each job that may still be requested
	done    atomic.Int64  // finished jobs
	enough  context.CancelFunc
}

// Pauses before reconnecting, the first and the longest.
const (
	firstPause = 250 * time.Millisecond
	mostPause  = 15 * time.Second
)

// closeLimit is how long an ending worker waits until the server has its last result.
const closeLimit = 10 * time.Second

// Run does jobs until leave ends; then it finishes the jobs in hand and returns. When kill ends it kills the
// commands and disconnects without results, so that the server may give the jobs to other workers.
func (w *Work) Run(leave, kill context.Context) error {
	w.slots = make(chan struct{}, w.Parallel)
	if w.Jobs > 0 {
		w.permits = make(chan struct{}, w.Jobs)
		for range w.Jobs {
			w.permits <- struct{}{}
		}
	}
	leave, w.enough = context.WithCancel(leave)
	defer w.enough()
	var all sync.WaitGroup
	failed := make(chan error, len(w.Servers)*w.Parallel)
	for _, t := range w.Servers {
		for range w.Parallel {
			all.Go(func() {
				if err := w.serve(t, leave, kill); err != nil {
					failed <- err
					w.enough()
				}
			})
		}
	}
	all.Wait()
	close(failed)
	return <-failed
}

// serve stays connected to a server and does its jobs.
func (w *Work) serve(t client.Target, leave, kill context.Context) error {
	pause := firstPause
	for leave.Err() == nil {
		begun := time.Now()
		err := w.connect(t, leave, kill)
		if leave.Err() != nil || err == nil {
			return nil
		}
		if w.NoRetry {
			return err
		}
		if time.Since(begun) > mostPause {
			pause = firstPause // it was connected for a while
		}
		w.Log.Warn("connection lost, trying again", "server", t.String(), "error", err, "in", pause.Round(time.Millisecond))
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-leave.Done():
		}
		pause = min(2*pause, mostPause)
	}
	return nil
}

// errKilled: the commands were killed.
var errKilled = errors.New("killed")

// connect does jobs over one connection. nil: the worker is ending.
func (w *Work) connect(t client.Target, leave, kill context.Context) error {
	c, err := client.Dial(leave, t)
	if err != nil {
		return err
	}
	defer c.Close()
	s := &station{Work: w, Conn: c, grab: codec.GrabJobUniq}
	// A sleeping worker can end at once.
	defer context.AfterFunc(leave, s.interrupt)()
	defer context.AfterFunc(kill, func() { c.Close() })()
	if w.ClientID != "" {
		if err := c.Send(codec.SetClientID, w.ClientID); err != nil {
			return err
		}
	}
	for _, f := range w.Functions {
		if err := c.Send(codec.CanDo, f); err != nil {
			return err
		}
	}
	w.Log.Debug("connected", "server", t.String())
	for leave.Err() == nil {
		if err := s.turn(leave, kill); err != nil {
			return err
		}
	}
	s.goodbye()
	return nil
}

// station is one connection of a worker.
type station struct {
	*Work
	*client.Conn
	grab codec.Type // the packet that asks for a job

	mu          sync.Mutex
	busy        bool // it has a job or is asking for one: it must not be interrupted
	interrupted bool
}

// interrupt ends waiting for the server.
func (s *station) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupted = true
	if !s.busy {
		s.SetReadDeadline(time.Unix(1, 0))
	}
}

// setBusy records whether the connection has a job.
func (s *station) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
	if busy {
		s.SetReadDeadline(time.Time{})
	} else if s.interrupted {
		s.SetReadDeadline(time.Unix(1, 0))
	}
}

// turn asks for a job and does it, or sleeps until there may be one.
func (s *station) turn(leave, kill context.Context) error {
	if !s.enter(leave) {
		return nil
	}
	// After GRAB_JOB a job may be on its way, which must not be lost.
	s.setBusy(true)
	j, err := s.ask()
	if j == nil {
		s.setBusy(false)
		s.leaveWith(false)
		if err != nil {
			return err
		}
		return s.sleep()
	}
	err = s.do(j, kill)
	s.setBusy(false)
	s.leaveWith(true)
	return err
}

// enter waits until one more command may run; false: the worker is ending.
func (s *station) enter(leave context.Context) bool {
	if s.permits != nil {
		select {
		case <-s.permits:
		case <-leave.Done():
			return false
		}
	}
	select {
	case s.slots <- struct{}{}:
	case <-leave.Done():
		return false
	}
	return leave.Err() == nil
}

// leaveWith undoes enter, but keeps the permit of a finished job.
func (s *station) leaveWith(done bool) {
	<-s.slots
	switch {
	case s.permits == nil:
	case !done:
		s.permits <- struct{}{}
	case s.done.Add(1) == int64(s.Jobs):
		s.enough()
	}
}

// job is a job in hand.
type job struct {
	handle, function, unique string
	argument                 []byte
}

// ask asks for a job; nil: there is none.
func (s *station) ask() (*job, error) {
	if err := s.Send(s.grab); err != nil {
		return nil, err
	}
	for {
		p, err := s.Receive()
		if err != nil {
			return nil, err
		}
		switch p.Type {
		case codec.NoJob:
			return nil, nil
		case codec.JobAssign:
			if a := p.Args(3); len(a) == 3 {
				return &job{handle: a[0], function: a[1], argument: p.Data[len(p.Data)-len(a[2]):]}, nil
			}
		case codec.JobAssignUniq:
			if a := p.Args(4); len(a) == 4 {
				return &job{handle: a[0], function: a[1], unique: a[2], argument: p.Data[len(p.Data)-len(a[3]):]}, nil
			}
		case codec.Error:
			if a := p.Args(2); strings.EqualFold(a[0], "not_allowed") {
				// It would wait for jobs in vain. When the rights have changed, a new connection has them.
				return nil, fmt.Errorf("the server gives no right to one of the functions: %s", strings.Join(a, " "))
			}
			if a := p.Args(2); s.grab == codec.GrabJobUniq && !strings.EqualFold(a[0], "JOB_NOT_FOUND") && !strings.EqualFold(a[0], "not_worker") {
				// The server does not know the packet.
				s.grab = codec.GrabJob
				if err := s.Send(s.grab); err != nil {
					return nil, err
				}
				continue
			}
			s.Log.Debug("the server answers with an error", "error", p.String())
		case codec.Noop:
		default:
			return nil, fmt.Errorf("%v from the server instead of a job", p)
		}
	}
}

// sleep waits until there may be a job.
func (s *station) sleep() error {
	if err := s.Send(codec.PreSleep); err != nil {
		return err
	}
	for {
		p, err := s.Receive()
		if err != nil {
			return err
		}
		if p.Type == codec.Noop {
			return nil
		}
	}
}

// do runs the command for a job and reports its outcome to the server.
func (s *station) do(j *job, kill context.Context) error {
	begun := time.Now()
	r := s.command(j).run(kill, func(numerator, denominator string) {
		s.Send(codec.WorkStatus, j.handle, numerator, denominator)
	})
	log := s.Log.With("function", j.function, "handle", j.handle, "took", time.Since(begun).Round(time.Millisecond))
	if kill.Err() != nil {
		log.Warn("job left undone")
		return errKilled
	}
	if r.err == nil {
		log.Debug("job done", "bytes", len(r.out))
		if err := s.Send(codec.WorkComplete, j.handle, string(r.out)); err != nil {
			log.Error("job done, but its result could not be sent", "error", err)
			return err
		}
		return nil
	}
	log.Warn("job failed", "error", r.err)
	if s.Exceptions {
		why := r.err.Error()
		if len(r.said) > 0 {
			why = string(r.said)
		}
		if err := s.Send(codec.WorkException, j.handle, why); err != nil {
			return err
		}
	}
	return s.Send(codec.WorkFail, j.handle)
}

// goodbye waits until the server has handled everything that was sent.
func (s *station) goodbye() {
	s.Within(closeLimit)
	if s.Send(codec.EchoReq, "goodbye") != nil {
		return
	}
	for {
		if p, err := s.Receive(); err != nil || p.Type == codec.EchoRes {
			return
		}
	}
}

package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"gearloop/codec"
	"gearloop/internal/client"
)

// Priority is the priority of a submission.
type Priority uint8

// The priorities.
const (
	Normal Priority = iota
	High
	Low
)

// Submission is a job to submit.
type Submission struct {
	Servers    []client.Target // tried in order until one can be reached
	Function   string
	Unique     string
	Priority   Priority
	Background bool
	Due        time.Time // SUBMIT_JOB_EPOCH, for a background job of normal priority; zero = at once
	Argument   []byte

	Out    io.Writer    // gets the result as it arrives, or the handle of a background job
	Err    io.Writer    // gets warnings and exceptions
	Status func(string) // called with "numerator/denominator" of the worker; may be nil
}

// ErrFailed: the job has failed.
var ErrFailed = errors.New("the job has failed")

// Submit submits a job, and waits for its end unless it is a background job.
func Submit(ctx context.Context, s *Submission) error {
	c, err := dialFirst(ctx, s.Servers)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	err = s.submit(c)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("server %v has closed the connection", c.Target())
	}
	return err
}

// dialFirst connects to the first server that can be reached.
func dialFirst(ctx context.Context, servers []client.Target) (*client.Conn, error) {
	var all []error
	for _, t := range servers {
		c, err := client.Dial(ctx, t)
		if err == nil {
			return c, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

func (s *Submission) submit(c *client.Conn) error {
	if !s.Background {
		if err := c.Send(codec.OptionReq, "exceptions"); err != nil {
			return err
		}
	}
	if err := s.send(c); err != nil {
		return err
	}
	for {
		p, err := c.Receive()
		if err != nil {
			return err
		}
		if done, err := s.handle(p); done || err != nil {
			return err
		}
	}
}

func (s *Submission) send(c *client.Conn) error {
	args := []string{s.Function, s.Unique}
	t := s.packet()
	if t == codec.SubmitJobEpoch {
		args = append(args, strconv.FormatInt(s.Due.Unix(), 10))
	}
	return c.Send(t, append(args, string(s.Argument))...)
}

func (s *Submission) packet() codec.Type {
	switch {
	case !s.Due.IsZero():
		return codec.SubmitJobEpoch
	case s.Background:
		return [...]codec.Type{Normal: codec.SubmitJobBg, High: codec.SubmitJobHighBg, Low: codec.SubmitJobLowBg}[s.Priority]
	}
	return [...]codec.Type{Normal: codec.SubmitJob, High: codec.SubmitJobHigh, Low: codec.SubmitJobLow}[s.Priority]
}

// handle handles a packet from the server; done says that it was the last.
func (s *Submission) handle(p codec.Response) (done bool, err error) {
	args := p.Args(2)
	rest := ""
	if len(args) == 2 {
		rest = args[1]
	}
	switch p.Type {
	case codec.JobCreated:
		if s.Background {
			_, err = fmt.Fprintln(s.Out, args[0])
		}
		return s.Background, err
	case codec.WorkData:
		_, err = io.WriteString(s.Out, rest)
	case codec.WorkComplete:
		_, err = io.WriteString(s.Out, rest)
		return true, err
	case codec.WorkWarning:
		_, err = fmt.Fprintln(s.Err, rest)
	case codec.WorkException:
		return true, fmt.Errorf("%w: %s", ErrFailed, rest)
	case codec.WorkFail:
		return true, ErrFailed
	case codec.WorkStatus:
		if numbers := p.Args(3); len(numbers) == 3 && s.Status != nil {
			s.Status(numbers[1] + "/" + numbers[2])
		}
	case codec.Error:
		if args[0] == "" || s.Background || !isOptionError(args[0]) {
			return true, fmt.Errorf("the server refuses the job: %s %s", args[0], rest)
		}
	}
	return false, err
}

// isOptionError reports whether an ERROR only says that the server does not support the option exceptions.
func isOptionError(code string) bool { return code == "unknown_option" || code == "UNKNOWN_OPTION" }

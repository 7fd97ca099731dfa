package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// killAfter is how long a command has to end after SIGTERM before it is killed.
	killAfter = 5 * time.Second
	// saidKept is how many bytes of the end of standard error are kept.
	saidKept = 4 << 10
	// maxStatusLine is the longest line that may be a status, in bytes.
	maxStatusLine = 64
)

// command is the command for a job.
type command struct {
	argv    []string
	env     []string
	in      []byte
	timeout time.Duration
	most    int // limit of the output, in bytes
	stderr  io.Writer
}

// outcome is the result of a command.
type outcome struct {
	out  []byte
	said []byte // the end of its standard error
	err  error  // nil: exit status 0
}

// command returns the command for a job. Its environment describes the job.
func (s *station) command(j *job) *command {
	c := &command{argv: s.Command, in: j.argument, timeout: s.Timeout, most: s.MaxResult, stderr: os.Stderr, env: os.Environ()}
	for name, value := range map[string]string{"HANDLE": j.handle, "FUNCTION": j.function, "UNIQUE": j.unique} {
		if !strings.Contains(value, "\x00") {
			c.env = append(c.env, "GEARMAN_"+name+"="+value)
		}
	}
	return c
}

var (
	errTooLong = errors.New("out of time")
	errTooMuch = errors.New("the result is too large")
)

// run runs the command. It calls status for each line "numerator/denominator" on standard error.
func (c *command) run(kill context.Context, status func(numerator, denominator string)) outcome {
	ctx, cancel := context.WithCancelCause(kill)
	defer cancel(nil)
	if c.timeout > 0 {
		defer time.AfterFunc(c.timeout, func() { cancel(fmt.Errorf("%w after %v", errTooLong, c.timeout)) }).Stop()
	}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env, cmd.Stdin = c.env, bytes.NewReader(c.in)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals for the worker's group must not reach the command
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	out := &bounded{most: c.most, over: func() { cancel(fmt.Errorf("%w: more than %d bytes", errTooMuch, c.most)) }}
	said := &listener{pass: c.stderr, status: status}
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // kill what it left behind
	}
	said.end()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well, but left a process that holds its output open
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return outcome{out: out.output, said: said.tail, err: err}
}

// bounded buffers at most most bytes; beyond that it calls over.
type bounded struct {
	output []byte
	most   int
	over   func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.output)+len(p) > b.most {
		b.over()
		return 0, errTooMuch
	}
	b.output = append(b.output, p...)
	return len(p), nil
}

// listener forwards standard error, except for status lines.
type listener struct {
	pass   io.Writer
	status func(numerator, denominator string)

	mu   sync.Mutex
	line []byte // the beginning of a line that may be a status
	open bool   // inside a line that is too long for a status
	tail []byte
}

var statusLine = regexp.MustCompile(`^([0-9]{1,18})/([0-9]{1,18})\r?\n$`)

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, more, whole := bytes.Cut(rest, []byte("\n"))
		if whole {
			part = rest[:len(part)+1]
		}
		rest = more
		if !l.open && len(l.line)+len(part) <= maxStatusLine {
			if l.line = append(l.line, part...); !whole {
				continue
			}
			if m := statusLine.FindSubmatch(l.line); m != nil {
				l.status(string(m[1]), string(m[2]))
			} else {
				l.forward(l.line)
			}
			l.line = l.line[:0]
			continue
		}
		l.forward(l.line)
		l.forward(part)
		l.line, l.open = l.line[:0], !whole
	}
	return len(p), nil
}

// forward forwards b and keeps the end of everything.
func (l *listener) forward(b []byte) {
	l.pass.Write(b)
	l.tail = append(l.tail, b...)
	if over := len(l.tail) - saidKept; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
}

// end forwards an unfinished line.
func (l *listener) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forward(l.line)
	l.line = nil
}

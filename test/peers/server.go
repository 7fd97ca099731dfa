package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gearloop/test/await"
)

var (
	// startLimit bounds the time from exec to the listening socket.
	startLimit = await.Limit
	// stopLimit is how long a server has to end after SIGTERM before it is killed.
	stopLimit = await.Limit
)

const (
	// bindAttempts is how many free ports are tried for a reference server.
	bindAttempts = 8
)

// Server is one running job server.
type Server struct {
	// Name is Kind's name, for messages.
	Name string
	Kind Kind
	// Addr is the address to dial: host:port, or unix:/path if the server listens there first.
	Addr string
	// Addrs are all addresses, in the order the server printed them. A reference
	// server has one.
	Addrs []string
	// PID is the process id.
	PID int
	// Args is the command line behind the program.
	Args []string

	tb     testing.TB // of a server started with Start
	dir    string     // removed by End; "" = none
	cmd    *exec.Cmd
	stderr tail
	done   chan struct{} // closed when the process has been waited for
	code   int           // valid after done is closed

	expected atomic.Bool // the test has asked the process to end, or about its end
	endOnce  sync.Once
}

// Web returns the address of Gearloop's --web, http://host:port or https://host:port; "" without that option.
func (s *Server) Web() string {
	for _, a := range s.Addrs {
		if strings.HasPrefix(a, "http") {
			return a
		}
	}
	return ""
}

// Options configure the start of a server.
type Options struct {
	// Args are further command-line arguments. If they contain -L or --listen Gearloop listens there, otherwise
	// on a free port of 127.0.0.1.
	Args []string
	// Env are further environment variables, NAME=value. The test's own GEARLOOP_ variables are not passed on.
	Env []string
	// Program is run instead of Gearloop as it is built from this tree.
	Program string
}

// Launch starts a server of the given kind and waits until it listens. The caller ends it with End. An error
// says what is missing, does not build, or does not listen.
func Launch(kind Kind, opts Options) (s *Server, err error) {
	if kind == Gearloop {
		s, err = startGearloop(opts)
	} else {
		s, err = startReference(kind, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("peers: starting %v: %w", kind, err)
	}
	return s, nil
}

func startGearloop(opts Options) (*Server, error) {
	args := []string{"serve"}
	gearman, want := listenArgs(opts.Args)
	if gearman == 0 {
		args = append(args, "--listen", "127.0.0.1:0")
		want++
	}
	program := opts.Program
	if program == "" {
		var err error
		if program, err = Build(); err != nil {
			return nil, err
		}
	}
	s := newServer(Gearloop, append([]string{program}, append(args, opts.Args...)...), opts.Env)
	out := newAnnouncements(want)
	s.cmd.Stdout = out
	if err := s.launch(); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(startLimit)
	defer timeout.Stop()
	select {
	case <-out.complete:
	case <-s.done:
		return nil, fmt.Errorf("it ended with code %d:\n%s%s", s.code, out.String(), s.Stderr())
	case <-timeout.C:
		s.kill()
		return nil, fmt.Errorf("not listening after %v:\n%s%s", startLimit, out.String(), s.Stderr())
	}
	s.Addrs = out.addrs()
	s.Addr = s.Addrs[0]
	return s, nil
}

func startReference(kind Kind, opts Options) (s *Server, err error) {
	dir, err := os.MkdirTemp("", "gearloop-reference-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	var last error
	for range bindAttempts {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		argv, err := commandLine(kind, port, dir, opts.Args)
		if err != nil {
			return nil, err
		}
		s := newServer(kind, argv, opts.Env)
		s.dir = dir
		if err := s.launch(); err != nil {
			return nil, err
		}
		last = s.awaitPort(port)
		if last == nil {
			s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			s.Addrs = []string{s.Addr}
			return s, nil
		}
		s.kill()
		// Only a lost race for the port justifies another attempt.
		if !strings.Contains(strings.ToLower(s.Stderr()), "address already in use") {
			return nil, last
		}
	}
	return nil, last
}

func newServer(kind Kind, argv, env []string) *Server {
	s := &Server{Name: kind.String(), Kind: kind, Args: argv[1:], done: make(chan struct{})}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GEARLOOP_") {
			s.cmd.Env = append(s.cmd.Env, v)
		}
	}
	// By default the race detector waits a second at exit.
	s.cmd.Env = append(s.cmd.Env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.Stderr = &s.stderr
	BindToTest(s.cmd)
	return s
}

// launch starts the process and the goroutine that waits for its end.
func (s *Server) launch() error {
	if err := spawn(s.cmd); err != nil {
		return err
	}
	s.PID = s.cmd.Process.Pid
	go func() {
		s.cmd.Wait()
		s.code = exitCode(s.cmd.ProcessState)
		close(s.done)
	}()
	return nil
}

func (s *Server) awaitPort(port int) error {
	deadline := time.Now().Add(startLimit)
	for !listens(s.PID, port) {
		if !s.Alive() {
			return fmt.Errorf("it ended with code %d:\n%s", s.code, s.Stderr())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not listening on port %d after %v:\n%s", port, startLimit, s.Stderr())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func (s *Server) kill() {
	s.expected.Store(true)
	s.cmd.Process.Kill()
	<-s.done
}

// End ends the server and waits for it: first SIGTERM (several for Gearloop, because the first one lets it
// drain), then SIGKILL. It returns an error if the server died before it was asked to end, did not end when
// asked, or reported a data race. Further calls do nothing.
func (s *Server) End() (err error) {
	s.endOnce.Do(func() {
		diedAlone := !s.Alive() && !s.expected.Load() && s.code != 0
		err = s.end()
		switch {
		case err != nil:
		case diedAlone:
			err = fmt.Errorf("peers: %s died with code %d:\n%s", s.Name, s.code, s.Stderr())
		case strings.Contains(s.Stderr(), "WARNING: DATA RACE"):
			err = fmt.Errorf("peers: %s has a data race:\n%s", s.Name, s.Stderr())
		}
		if s.dir != "" {
			os.RemoveAll(s.dir)
		}
	})
	return err
}

func (s *Server) end() error {
	if !s.Alive() {
		return nil
	}
	s.expected.Store(true)
	// Gearloop drains at the first signal and ends at the second, and two in a row may be merged: it gets one
	// after the other until it has ended.
	for n := 0; s.Kind == Gearloop && n < 10; n++ {
		s.cmd.Process.Signal(syscall.SIGTERM)
		if s.gone(20 * time.Millisecond) {
			return nil
		}
	}
	// The C server sometimes misses SIGTERM, or crashes at it and hangs in its handler; that is no fault of the
	// test.
	for n := 0; s.Kind == C && n < 5; n++ {
		s.cmd.Process.Signal(syscall.SIGTERM)
		if s.gone(time.Second) {
			return nil
		}
	}
	if s.Kind == C {
		s.kill()
		return nil
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if s.gone(stopLimit) {
		return nil
	}
	defer s.kill()
	return fmt.Errorf("peers: %s did not end within %v of SIGTERM:\n%s", s.Name, stopLimit, s.Stderr())
}

func (s *Server) gone(limit time.Duration) bool {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case <-s.done:
		return true
	case <-timeout.C:
		return false
	}
}

// Wait waits until the process has ended by itself or by a signal, and returns its exit code, or 128 plus the
// signal's number. It fails if the process is still running after limit.
func (s *Server) Wait(limit time.Duration) (int, error) {
	s.expected.Store(true)
	if !s.gone(limit) {
		return -1, fmt.Errorf("peers: %s is still running after %v", s.Name, limit)
	}
	return s.code, nil
}

// Signal sends sig to the process. It fails once the process has ended.
func (s *Server) Signal(sig os.Signal) error {
	s.expected.Store(true)
	return s.cmd.Process.Signal(sig)
}

// Freeze stops the process until a SIGCONT. It returns when all its threads are stopped: the kernel lets one thread begin the
// stop, and until that thread gets a processor the others go on running.
func (s *Server) Freeze() error {
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for limit := time.Now().Add(stopLimit); !standsStill(s.PID); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			return fmt.Errorf("process %d is not stopped within %v", s.PID, stopLimit)
		}
	}
	return nil
}

// Alive reports whether the process is running.
func (s *Server) Alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Stderr returns what the server wrote to standard error; of much output only the end (at least 256 KiB).
func (s *Server) Stderr() string { return s.stderr.String() }

// Dial connects to the server's first address.
func (s *Server) Dial() (net.Conn, error) {
	if path, ok := strings.CutPrefix(s.Addr, "unix:"); ok {
		return net.DialTimeout("unix", path, startLimit)
	}
	return net.DialTimeout("tcp", s.Addr, startLimit)
}

func exitCode(st *os.ProcessState) int {
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return st.ExitCode()
}

package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gearloop/test/await"
	"gearloop/test/peers"
)

// Role is the database role that owns everything on a server.
const Role = "gearloop"

// Options say how a server is set up.
type Options struct {
	// Settings are PostgreSQL's own, as name=value. They hold for each start.
	Settings []string

	// Durable keeps the data through the loss of the machine. Without it the server is quicker.
	Durable bool

	// Wrap is put before each command of the server, as the nsenter that shows it a mounted file system. It runs as root.
	Wrap []string

	// Dir, if not empty, is where the data is; the caller removes it. It has to be empty and belong to who runs the server.
	Dir string

	// Log is a directory for write-ahead log of its own, with the same rules as Dir.
	Log string
}

// Server is a PostgreSQL server, running or not.
type Server struct {
	Port int
	Dir  string // of its data

	opts    Options
	remove  string // directory that ends with the server
	schemas atomic.Int64

	mu   sync.Mutex
	cmd  *exec.Cmd // nil: it does not run
	done chan struct{}
	out  *output
}

// Start starts a server with settings, as name=value. It keeps its data as little as can be: it is quick, and loses
// them with the machine.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return StartWith(tb, Options{Settings: settings})
}

// StartWith is Start with all options.
func StartWith(tb testing.TB, opts Options) *Server {
	tb.Helper()
	s, err := Launch(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.End)
	return s
}

// Launch starts a server. The caller ends it with End.
func Launch(opts Options) (*Server, error) {
	s, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	args := []string{"-D", s.Dir, "-A", "trust", "-U", Role, "-E", "UTF8", "--locale=C", "--no-instructions"}
	if !opts.Durable {
		args = append(args, "--no-sync")
	}
	if opts.Log != "" {
		args = append(args, "-X", opts.Log)
	}
	if err := s.tool("initdb", args...); err != nil {
		s.End()
		return nil, err
	}
	if err := s.Launch(); err != nil {
		s.End()
		return nil, err
	}
	return s, nil
}

// prepare makes the directory of a server that has no data yet.
func prepare(opts Options) (*Server, error) {
	s := &Server{Dir: opts.Dir, opts: opts}
	var err error
	if s.Port, err = peers.FreePort(); err != nil {
		return nil, err
	}
	if s.Dir == "" {
		if s.remove, err = TempDir("pgtest"); err != nil {
			return nil, err
		}
		s.Dir = filepath.Join(s.remove, "data")
	}
	return s, nil
}

// tool runs a program of PostgreSQL to its end.
func (s *Server) tool(name string, args ...string) error {
	path, err := Tool(name)
	if err != nil {
		return err
	}
	cmd, err := command(s.opts.Wrap, path, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Run starts the server on its data, again.
func (s *Server) Run(tb testing.TB, settings ...string) {
	tb.Helper()
	if err := s.Launch(settings...); err != nil {
		tb.Fatal(err)
	}
}

// Launch starts a server that does not run, with further settings, and waits until it answers.
func (s *Server) Launch(settings ...string) error {
	if err := s.Begin(settings...); err != nil {
		return err
	}
	limit := time.Now().Add(await.Limit)
	for !s.answers() {
		switch {
		case !s.Runs():
			return fmt.Errorf("PostgreSQL has ended:\n%s", s.Output())
		case time.Now().After(limit):
			return fmt.Errorf("PostgreSQL does not answer within %v:\n%s", await.Limit, s.Output())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// Begin is Launch without the wait.
func (s *Server) Begin(settings ...string) error {
	path, err := Tool("postgres")
	if err != nil {
		return err
	}
	args := []string{"-D", s.Dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-k", ""}
	// Shared memory in files of the data directory does not stay behind when the server is killed.
	all := []string{"max_connections=300", "shared_buffers=64MB", "wal_keep_size=256MB", "dynamic_shared_memory_type=mmap"}
	if !s.opts.Durable {
		all = append(all, "fsync=off", "full_page_writes=off")
	}
	for _, set := range slices.Concat(all, s.opts.Settings, settings) {
		args = append(args, "-c", set)
	}
	cmd, err := command(s.opts.Wrap, path, args...)
	if err != nil {
		return err
	}
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	done, err := spawn(cmd, syscall.SIGQUIT)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.cmd, s.done, s.out = cmd, done, out
	s.mu.Unlock()
	return nil
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// Runs reports whether the server's process is there.
func (s *Server) Runs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Output returns what the server has logged since its last start.
func (s *Server) Output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return ""
	}
	return s.out.String()
}

// Kill ends the server with a signal: SIGQUIT as a crash, SIGINT in order. It waits until it has ended.
func (s *Server) Kill(signal syscall.Signal) {
	cmd, done := s.release()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(signal)
	<-done
}

// Crash kills all processes of the server at once with SIGKILL, frozen ones too, as the loss of its machine does.
func (s *Server) Crash() {
	cmd, done := s.release()
	if cmd == nil {
		return
	}
	// The children first would be started again, so the server is stopped meanwhile.
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	killTree(cmd.Process.Pid)
	<-done
	freeMemory(s.Dir)
}

// release gives its caller the process to end: from now on the server counts as not running. nil: there is none.
func (s *Server) release() (cmd *exec.Cmd, done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd, s.cmd = s.cmd, nil
	return cmd, s.done
}

// Freeze stops all processes of the server; Thaw has them go on.
func (s *Server) Freeze() { s.signalAll(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.signalAll(syscall.SIGCONT) }

func (s *Server) signalAll(signal syscall.Signal) {
	pid := s.PID()
	_ = syscall.Kill(pid, signal)
	for _, child := range children(pid) {
		_ = syscall.Kill(child, signal)
	}
}

// End ends the server, and removes its data unless the caller has chosen the directory.
func (s *Server) End() {
	if s.Runs() {
		s.Thaw()
	}
	s.Kill(syscall.SIGQUIT)
	if s.remove != "" {
		os.RemoveAll(s.remove)
	}
}

// PID returns the process id of the server, 0 if it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// URL returns how a schema of the server is reached; "" is the default one.
func (s *Server) URL(schema string) string { return url(schema, s.Port) }

func url(schema string, ports ...int) string {
	var hosts []string
	for _, port := range ports {
		hosts = append(hosts, fmt.Sprint("127.0.0.1:", port))
	}
	text := fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", Role, strings.Join(hosts, ","))
	if schema != "" {
		text += "&search_path=" + schema
	}
	return text
}

// Schema makes an empty schema and returns its name.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("s%d", s.schemas.Add(1))
	s.Exec(tb, "create schema "+name)
	return name
}

// Exec has statements executed.
func (s *Server) Exec(tb testing.TB, statements string) {
	tb.Helper()
	if err := s.Do(statements); err != nil {
		tb.Fatal(err)
	}
}

// Do has statements executed.
func (s *Server) Do(statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("%s: %w", statements, err)
	}
	return nil
}

// Ask returns the only value of the only row of a query.
func (s *Server) Ask(query string, value any) error { return ask(s.URL(""), query, value) }

package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
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

// output keeps what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Tool returns the path of a program of the newest PostgreSQL there is.
func Tool(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("there is no %s: install PostgreSQL (make test-deps does)", name)
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return found[len(found)-1], nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// command makes a command of the server. PostgreSQL refuses root, so it runs as postgres then.
func command(wrap []string, name string, args ...string) (*exec.Cmd, error) {
	uid, gid, err := owner()
	if err != nil {
		return nil, err
	}
	argv := append([]string{name}, args...)
	if len(wrap) > 0 {
		argv = slices.Concat(wrap, []string{"setpriv", "--pdeathsig", "QUIT", "--reuid", fmt.Sprint(uid), "--regid", fmt.Sprint(gid), "--clear-groups"}, argv)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 && len(wrap) == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd, nil
}

// owner returns who runs servers.
func owner() (uid, gid uint32, err error) {
	if os.Getuid() != 0 {
		return uint32(os.Getuid()), uint32(os.Getgid()), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, err
	}
	number := func(text string) uint32 {
		n, _ := strconv.ParseUint(text, 10, 32)
		return uint32(n)
	}
	return number(u.Uid), number(u.Gid), nil
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

// TempDir makes a temporary directory that belongs to who runs servers.
func TempDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", err
	}
	uid, gid, err := owner()
	if err == nil {
		err = os.Chown(dir, int(uid), int(gid))
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
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

// spawn starts a command that ends, by a signal, with this process, whatever that ends by. done is closed when the
// command has ended. Linux takes the thread that started a command for its parent.
func spawn(cmd *exec.Cmd, signal syscall.Signal) (done chan struct{}, err error) {
	cmd.SysProcAttr.Pdeathsig = signal
	cmd.SysProcAttr.Setpgid = true // Ctrl-C reaches it through this process only
	done = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(done)
		}
	}()
	return done, <-started
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
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(signal)
	<-done
}

// Crash kills all processes of the server at once with SIGKILL, frozen ones too, as the loss of its machine does.
func (s *Server) Crash() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	// The children first would be started again, so the server is stopped meanwhile.
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	killTree(cmd.Process.Pid)
	<-done
	freeMemory(s.Dir)
}

func killTree(pid int) {
	for _, child := range children(pid) {
		_ = syscall.Kill(child, syscall.SIGSTOP)
		killTree(child)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
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

// children returns the processes whose parent is pid.
func children(pid int) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		rest := stat[bytes.LastIndexByte(stat, ')')+1:] // the name may have blanks
		if fields := strings.Fields(string(rest)); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, n)
		}
	}
	return found
}

// CPU returns how much processor time the server has used, with all its processes, those that have ended too.
func (s *Server) CPU() time.Duration {
	pid := s.PID()
	ticks := ticksOf(pid, true)
	for _, child := range children(pid) {
		ticks += ticksOf(child, false)
	}
	return time.Duration(ticks) * time.Second / 100
}

// ticksOf returns the processor time of a process in hundredths of a second: with that of children that have ended.
func ticksOf(pid int, ended bool) (ticks int64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // begins with the third field, the state
	last := 12
	if ended {
		last = 14
	}
	for i := 11; i <= last && i < len(fields); i++ {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		ticks += n
	}
	return ticks
}

// freeMemory removes the piece of System V memory that a killed server leaves; dir is that of its data.
func freeMemory(dir string) {
	lock, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return
	}
	lines := strings.Split(string(lock), "\n")
	if len(lines) < 7 {
		return
	}
	if fields := strings.Fields(lines[6]); len(fields) == 2 {
		if id, err := strconv.Atoi(fields[1]); err == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), 0 /* IPC_RMID */, 0)
		}
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

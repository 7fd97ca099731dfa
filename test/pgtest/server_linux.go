package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"gearloop/test/await"
)

// Server is a running PostgreSQL server.
type Server struct {
	Port    int
	Dir     string // of its data
	cmd     *exec.Cmd
	schemas atomic.Int64
	done    chan error
}

// tool returns the path of a program of the newest PostgreSQL there is.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		tb.Fatalf("there is no %s: install PostgreSQL (make test-deps does)", name)
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return found[len(found)-1]
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// as has a command run as somebody who may run a server: that is not root.
func as(tb testing.TB, cmd *exec.Cmd) *exec.Cmd {
	tb.Helper()
	cmd.Dir = "/"
	if os.Getuid() != 0 {
		return cmd
	}
	uid, gid := postgres(tb)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

func postgres(tb testing.TB) (uid, gid int) {
	tb.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// Start starts a server that keeps its data as little as can be: it is quick, and loses them with the machine.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		uid, gid := postgres(tb)
		if err := os.Chown(dir, uid, gid); err != nil {
			tb.Fatal(err)
		}
	}
	s := &Server{Dir: filepath.Join(dir, "data"), Port: freePort(tb)}
	s.must(tb, "initdb", "-D", s.Dir, "-A", "trust", "-U", "gearloop", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	s.Run(tb, append([]string{"fsync=off", "full_page_writes=off", "max_connections=300", "shared_buffers=64MB"}, settings...)...)
	return s
}

func (s *Server) must(tb testing.TB, name string, args ...string) {
	tb.Helper()
	if out, err := as(tb, exec.Command(tool(tb, name), args...)).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Run starts the server on its data, again.
func (s *Server) Run(tb testing.TB, settings ...string) {
	tb.Helper()
	args := []string{"-D", s.Dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-k", ""}
	for _, set := range settings {
		args = append(args, "-c", set)
	}
	var log bytes.Buffer
	s.cmd = as(tb, exec.Command(tool(tb, "postgres"), args...))
	s.cmd.Stderr = &log
	// The server ends with this process, whatever that ends by. The system takes the thread for the process.
	if s.cmd.SysProcAttr == nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	s.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	s.done = make(chan error, 1)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.done <- s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Kill(syscall.SIGQUIT) })
	await.Until(tb, "PostgreSQL answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.URL(""))
		if err != nil {
			return false
		}
		return conn.Close(ctx) == nil
	})
}

// Kill ends the server with a signal: SIGQUIT as a crash, SIGINT in order. It waits until it has ended.
func (s *Server) Kill(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	<-s.done
	s.cmd = nil
}

// PID returns the process id of the server.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// URL returns how a schema of the server is reached; "" is the default one.
func (s *Server) URL(schema string) string {
	url := fmt.Sprintf("postgres://gearloop@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
	if schema != "" {
		url += "&search_path=" + schema
	}
	return url
}

// Schema makes an empty schema and returns its name.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("s%d", s.schemas.Add(1))
	s.Exec(tb, "create schema "+name)
	return name
}

// Exec has a statement executed.
func (s *Server) Exec(tb testing.TB, statement string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

package systest

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/test/peers"
	"gearloop/test/wire"
)

// The pid file exists when the server says that it listens, and is removed at its end. A unix socket that was
// left behind is replaced.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidfile, socket := filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	left, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	if err := os.WriteFile(pidfile, []byte("99999999\nleft behind\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := peers.Start(t, peers.Gearloop, "--pidfile", pidfile, "--listen", "unix:"+socket)
	if pid, err := os.ReadFile(pidfile); err != nil || string(pid) != strconv.Itoa(s.PID)+"\n" {
		t.Errorf("pid file: %q, %v; the server is %d", pid, err, s.PID)
	}
	wire.Dial(t, s.Addr).Sync()
	// A socket that is in use is not replaced.
	r := run(t, nil, "serve", "--listen", "unix:"+socket)
	if r.code != 1 || !strings.Contains(r.stderr, "address already in use") {
		t.Errorf("a second server on the socket: exit status %d, says %q", r.code, r.stderr)
	}
	wire.Dial(t, s.Addr).Sync()
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// Whoever reads the pid file may signal the server at once, and it ends in order. The server is delayed just
// after the file got its name.
func TestSignalAfterPidfile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidfile := filepath.Join(dir, "pid")
	const calls = "rename,renameat,renameat2,link,linkat"
	p := launch(t, command("strace", nil, "-f", "-qq", "-o", os.DevNull, "-e", "trace="+calls,
		"-e", "inject="+calls+":delay_exit=200000",
		peers.Binary(t), "serve", "--listen", "127.0.0.1:0", "--pidfile", pidfile))
	pid := 0
	wire.Await(t, "there is a pid file", func() bool {
		text, err := os.ReadFile(pidfile)
		if err != nil {
			return false
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			t.Fatalf("pid file: %q", text)
		}
		return true
	})
	syscall.Kill(pid, syscall.SIGTERM)
	if r := p.wait(); r.code != 0 || !strings.Contains(r.stderr, "msg=ended") {
		t.Errorf("exit status %d\n%s", r.code, r.stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Options that only ask for information print it on standard output and start no server.
func TestQuestions(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"":             "Usage:",
		"help":         "Usage:",
		"--help":       "serve",
		"-h":           "serve",
		"help serve":   "--wakeup-delay",
		"serve --help": "--max-memory",
		"serve -h":     "--max-memory",
		"version":      "gearloop ",
		"--version":    "gearloop ",
		"serve -V":     "gearloop ",
	} {
		r := run(t, nil, strings.Fields(args)...)
		if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, says) {
			t.Errorf("%s: exit status %d, prints %q, says %q", args, r.code, r.stdout, r.stderr)
		}
	}
}

// -d returns when the server listens. The server then lives on without terminal, pipes or directory, and logs
// to its file.
func TestDaemon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	logfile := filepath.Join(dir, "log")
	if err := os.WriteFile(logfile, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(peers.Binary(t), nil, "serve", "-d", "--pidfile", "pid", "--log-file", "log", "--listen", "unix:socket")
	cmd.Dir = dir
	if r := launch(t, cmd).wait(); r.code != 0 || r.stdout+r.stderr != "" {
		t.Fatalf("exit status %d, prints %q, says %q", r.code, r.stdout, r.stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	proc := "/proc/" + strconv.Itoa(pid)
	if where, err := os.Readlink(proc + "/cwd"); err != nil || where != "/" {
		t.Errorf("it lives in %q, %v", where, err)
	}
	for _, fd := range []string{"0", "1", "2"} {
		if file, err := os.Readlink(proc + "/fd/" + fd); err != nil || file != os.DevNull {
			t.Errorf("descriptor %s is %q, %v", fd, file, err)
		}
	}
	if session, err := syscall.Getpgid(pid); err != nil || session != pid {
		t.Errorf("it is in group %d, %v; its process is %d", session, err, pid)
	}
	c := wire.Dial(t, "unix:"+filepath.Join(dir, "socket"))
	c.Sync()
	c.Line("shutdown")
	if line := c.ReadLine(); line != "OK" {
		t.Errorf("got %q", line)
	}
	wire.Await(t, "it has ended", func() bool {
		_, err := os.Stat(proc + "/exe")
		return err != nil
	})
	log, err := os.ReadFile(logfile)
	if err != nil || !strings.HasPrefix(string(log), "before\ntime=") || !strings.Contains(string(log), "msg=ended") {
		t.Errorf("log: %q, %v", log, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// -d sets a variable for its own process. An inherited variable of that name has no effect: the server logs,
// a mistake is printed on standard error, and the descriptor that the variable names is not touched.
func TestBackgroundVariableInherited(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"1", strconv.Itoa(os.Getpid())} {
		path := filepath.Join(t.TempDir(), "precious")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		start := func(args ...string) *program {
			cmd := command(peers.Binary(t), []string{"GEARLOOP_BACKGROUND=" + value}, append([]string{"serve"}, args...)...)
			cmd.ExtraFiles = []*os.File{file} // descriptor 3
			return launch(t, cmd)
		}
		if r := start("--listen", "unix:"+path).wait(); r.code != 1 || !strings.Contains(r.stderr, path) {
			t.Errorf("a mistake: exit status %d, says %q", r.code, r.stderr)
		}
		p := start("--listen", "127.0.0.1:0")
		wire.Await(t, "it logs", func() bool { return strings.Contains(p.stderr.String(), "msg=started") })
		p.cmd.Process.Signal(syscall.SIGTERM)
		r := p.wait()
		if r.code != 0 || !strings.Contains(r.stderr, "msg=ended") || !strings.HasPrefix(r.stdout, "listening on ") ||
			!strings.Contains(r.stderr, "ignoring environment variable GEARLOOP_BACKGROUND") {
			t.Errorf("exit status %d, prints %q, says %q", r.code, r.stdout, r.stderr)
		}
		if text, err := os.ReadFile(path); err != nil || len(text) > 0 {
			t.Errorf("descriptor 3 was written to: %q, %v", text, err)
		}
	}
}

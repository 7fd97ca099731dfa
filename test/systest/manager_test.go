package systest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// serviceManager is the part of systemd to which a server reports.
type serviceManager struct {
	env []string // of the server

	mu    sync.Mutex
	heard []string // messages, lines joined by blanks
}

// newServiceManager listens until the test ends.
func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m := &serviceManager{env: []string{"NOTIFY_SOCKET=" + path}}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, strings.ReplaceAll(string(b[:n]), "\n", " "))
			m.mu.Unlock()
		}
	}()
	return m
}

// hears waits for a message with this beginning, and returns and removes all messages before it.
func (m *serviceManager) hears(t *testing.T, message string) (before []string) {
	t.Helper()
	found := false
	wire.Await(t, "the service manager hears "+message, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, h := range m.heard {
			if strings.HasPrefix(h, message) {
				before, m.heard, found = m.heard[:i], m.heard[i+1:], true
				return true
			}
		}
		return false
	})
	if !found {
		t.FailNow()
	}
	return before
}

// A server reports to the service manager: that its store is loading and needs more time, that it is ready,
// that it is alive, that it reads files again, that it ends, and how long that may take.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	m := newServiceManager(t)
	s, err := peers.Launch(peers.Gearloop, peers.Options{
		Args: []string{"--data-dir", filepath.Join(t.TempDir(), "jobs"), "--drain-timeout", "20s"},
		Env:  append(m.env, "WATCHDOG_USEC=200000"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.End()
	if before := m.hears(t, "STATUS=loading stored jobs EXTEND_TIMEOUT_USEC="); len(before) > 0 {
		t.Errorf("first of all it hears %q", before)
	}
	m.hears(t, "READY=1 STATUS=0 connections, 0 workers, jobs: 0 waiting, 0 running")
	for range 3 {
		m.hears(t, "WATCHDOG=1")
	}
	s.Signal(syscall.SIGHUP)
	m.hears(t, "RELOADING=1 MONOTONIC_USEC=")
	m.hears(t, "READY=1")
	client, worker := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
	client.Submit(codec.SubmitJob, "f", "", "x")
	worker.Send(codec.CanDo, "f")
	handle, _ := worker.Grab()
	s.Signal(syscall.SIGTERM)
	m.hears(t, "WATCHDOG=1 STOPPING=1 EXTEND_TIMEOUT_USEC=50000000 STATUS=ending, ")
	worker.Send(codec.WorkComplete, handle, "y")
	m.hears(t, "STOPPING=1 STATUS=ended")
	ended(t, s, 0)
}

// The main process of a unit stays in the foreground even if PARAMS of a unit for the C server asks for a
// daemon, because the unit would end with it. Its children can go into the background as usual.
func TestMainProcessStays(t *testing.T) {
	t.Parallel()
	for _, main := range []bool{true, false} {
		m := newServiceManager(t)
		script, log := `exec "$@"`, filepath.Join(t.TempDir(), "log")
		if main {
			script = "SYSTEMD_EXEC_PID=$$ " + script
		}
		cmd := command("/bin/sh", append(m.env, "SYSTEMD_EXEC_PID=1"), "-c", script, "sh", gearmand(t), "-d", "-L", "127.0.0.1", "-p", "0",
			"-l", log, "-P", log+".pid", "--verbose", "INFO")
		p := launch(t, cmd)
		m.hears(t, "READY=1 ")
		if !main {
			if r := p.wait(); r.code != 0 {
				t.Errorf("not the main process: %+v", r)
			}
		}
		pid, err := os.ReadFile(log + ".pid")
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err != nil || (number == cmd.Process.Pid) != main {
			t.Errorf("main %v: started as %d, runs as %s, %v", main, cmd.Process.Pid, pid, err)
		}
		syscall.Kill(number, syscall.SIGTERM)
		m.hears(t, "STOPPING=1 STATUS=ended")
	}
}

// A server that cannot start reports the reason, which systemctl status then shows.
func TestServiceManagerHearsWhy(t *testing.T) {
	t.Parallel()
	m := newServiceManager(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := run(t, m.env, "serve", "--listen", l.Addr().String())
	if r.code != 1 {
		t.Errorf("exit status %d", r.code)
	}
	m.hears(t, "STATUS=cannot listen on "+l.Addr().String()+": address already in use")
}

// passedTo starts a server as a service manager does, with sockets of these names.
func passedTo(t *testing.T, names string, sockets []net.Listener, args ...string) *program {
	t.Helper()
	script := `LISTEN_PID=$$ exec "$@"`
	env := []string{fmt.Sprintf("LISTEN_FDS=%d", len(sockets)), "LISTEN_FDNAMES=" + names}
	cmd := command("/bin/sh", env, append([]string{"-c", script, "sh", peers.Binary(t), "serve"}, args...)...)
	for _, l := range sockets {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return launch(t, cmd)
}

// listenOn opens a socket for a server. It stays open after the server has ended, as a service manager's
// does.
func listenOn(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A server uses the service manager's sockets by name, or all of them if no address is given. It serves
// connections that were made before it ran. The sockets remain for the next server.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	tcp, local := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "unix", filepath.Join(t.TempDir(), "socket"))
	both := []net.Listener{tcp, local}
	addr := func(l net.Listener) string {
		if l == local {
			return "unix:" + l.Addr().String()
		}
		return l.Addr().String()
	}
	for _, c := range []struct {
		what  string
		names string
		args  []string
		used  []net.Listener
		warns string // "" is nothing
	}{
		{"all of them", "gearman:local", nil, both, ""},
		{"without names", "", nil, both, ""},
		{"by name", "gearman:local", []string{"--listen", "fd:local", "--listen", "fd:gearman"}, both, ""},
		{"several of a name", "g:g", []string{"--listen", "fd:g"}, both, ""},
		{"by number", "gearman:local", []string{"--listen", "fd:3"}, both[:1], "name=local"},
		{"one is left", "gearman:local", []string{"--listen", "fd:local"}, both[1:], "name=gearman"},
		{"a port beside them", "gearman:local", []string{"--port", "4999"}, both, "port=4999 set_by=flag"},
		{"and own ones", "gearman:local", []string{"--listen", "fd:gearman", "--listen", "fd:local", "--listen", "127.0.0.1", "-p", "0"}, both, ""},
	} {
		early := make([]*wire.Conn, len(c.used))
		for i, l := range c.used {
			early[i] = wire.Dial(t, addr(l))
		}
		p := passedTo(t, c.names, both, c.args...)
		for _, conn := range early {
			conn.Sync()
			conn.Close()
		}
		wire.Await(t, "it has started", func() bool { return strings.Contains(p.stderr.String(), "msg=started") })
		log := p.stderr.String()
		if strings.Contains(log, "WARN") != (c.warns != "") || !strings.Contains(log, c.warns) {
			t.Errorf("%s: want a warning of %q, got\n%s", c.what, c.warns, log)
		}
		p.cmd.Process.Signal(syscall.SIGTERM)
		if r := p.wait(); r.code != 0 {
			t.Errorf("%s: %+v", c.what, r)
		}
		if _, err := os.Stat(local.Addr().String()); err != nil {
			t.Errorf("%s: the service manager's socket is gone: %v", c.what, err)
		}
	}
	if r := passedTo(t, "gearman:local", both, "--listen", "fd:nosuch").wait(); r.code != 2 || !strings.Contains(r.stderr, `"fd:nosuch": no socket of that name`) {
		t.Errorf("a name that was not passed: %+v", r)
	}
	if r := passedTo(t, "gearman:local", both, "--listen", "tls://fd:local", "--ssl-certificate", "/nosuch").wait(); r.code == 0 {
		t.Errorf("TLS on a unix socket: %+v", r)
	}
	if r := run(t, nil, "serve", "--listen", "fd:"); r.code != 2 {
		t.Errorf("no name: %+v", r)
	}
}

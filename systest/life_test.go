package systest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/peers"
	"gearloop/systest/wire"
)

// ended wants the server to have ended with a status.
func ended(t *testing.T, s *peers.Server, status int) {
	t.Helper()
	if code, err := s.Wait(wire.Limit); err != nil || code != status {
		t.Errorf("exit status %d, %v; want %d\n%s", code, err, status, s.Stderr())
	}
}

// A signal lets queued and running jobs end, refuses new connections, and then ends the server.
func TestSignalDrains(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		s := peers.Start(t, peers.Gearloop)
		worker, client := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		worker.Send(codec.CanDo, "f")
		first := client.Submit(codec.SubmitJob, "f", "", "1")
		second := client.Submit(codec.SubmitJob, "f", "", "2")
		worker.Grab()
		s.Signal(signal)
		wire.Await(t, "new connections are refused", func() bool {
			c, err := net.Dial("tcp", s.Addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		worker.Send(codec.WorkComplete, first, "one")
		client.Want(codec.WorkComplete, first, "one")
		worker.Grab()
		worker.Send(codec.WorkComplete, second, "two")
		client.Want(codec.WorkComplete, second, "two")
		ended(t, s, 0)
	}
}

// A second signal ends a server that has jobs left, and so does the drain timeout.
func TestEndWithJobsLeft(t *testing.T) {
	for _, args := range [][]string{nil, {"--drain-timeout", "0.05"}} {
		s := peers.Start(t, peers.Gearloop, args...)
		client := wire.Dial(t, s.Addr)
		client.Submit(codec.SubmitJobBg, "f", "", "nobody does it")
		s.Signal(syscall.SIGTERM)
		if args == nil {
			wire.Await(t, "it drains", func() bool { return strings.Contains(s.Stderr(), "ending gracefully") })
			s.Signal(syscall.SIGTERM)
		}
		ended(t, s, 0)
	}
}

// What is buffered for a peer is written before the end.
func TestShutdownFlushes(t *testing.T) {
	s := peers.Start(t, peers.Gearloop)
	client := wire.Dial(t, s.Addr)
	data := strings.Repeat("x", 8<<20)
	go func() {
		client.Send(codec.EchoReq, data)
		client.Line("shutdown")
	}()
	client.Want(codec.EchoRes, data)
	if line := client.ReadLine(); line != "OK\n" && line != "OK" {
		t.Errorf("got %q", line)
	}
	client.WantEnd()
	ended(t, s, 0)
}

// The pid file is there when the server says that it listens, and gone after its end; a unix socket that
// was left behind is replaced.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	pidfile, socket := filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	left, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	s := peers.Start(t, peers.Gearloop, "--pidfile", pidfile, "--listen", "127.0.0.1:0", "--listen", "unix:"+socket)
	if pid, err := os.ReadFile(pidfile); err != nil || strings.TrimSpace(string(pid)) != strconv.Itoa(s.PID) {
		t.Errorf("pid file: %q, %v; the server is %d", pid, err, s.PID)
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := wire.New(t, c)
	w.Send(codec.EchoReq, "over a unix socket")
	w.Want(codec.EchoRes, "over a unix socket")
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
	for _, f := range []string{pidfile, socket} {
		if _, err := os.Stat(f); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", f, err)
		}
	}
}

// A start that fails says why in one line, and its exit status tells a mistake from misfortune.
func TestRefusedStarts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		args   string
	}{
		{2, "serve --nosuch"}, {2, "serve --port x"}, {2, "serve --wakeup -7"}, {2, "nosuch"}, {2, "serve more"},
		{2, "serve --listen 127.0.0.1:99999"}, {2, "serve --listen unix:"}, {2, "serve --dialect latin"},
		{1, "serve --listen " + taken.Addr().String()}, {1, "serve -d --listen " + taken.Addr().String()},
		{1, "serve --listen unix:" + file}, {1, "serve --listen 127.0.0.1:0 --pidfile /nosuch/dir/pid"},
		{2, "serve -d --port x"},
	} {
		cmd := exec.Command(peers.Binary(t), strings.Fields(c.args)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != c.status {
			t.Errorf("%s: exit status %d, want %d", c.args, code, c.status)
		}
		if text := errs.String(); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "gearloop: ") {
			t.Errorf("%s: not one clear line: %q", c.args, text)
		}
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("a regular file was taken for a socket that was left behind")
	}
}

// -d returns when the server listens; started under the name gearmand it serves.
func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	link, pidfile, socket := filepath.Join(dir, "gearmand"), filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	if err := os.Symlink(peers.Binary(t), link); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(link, "-d", "--pidfile", pidfile, "--listen", "unix:"+socket).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wire.New(t, c).Line("shutdown")
	wire.Await(t, "it has ended", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
		return err != nil
	})
}

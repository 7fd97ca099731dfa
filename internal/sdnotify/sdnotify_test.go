package sdnotify

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/test/await"
)

// manager is the socket of a service manager.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// heard returns the next message.
func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(await.Limit))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// Messages arrive whole, at a path and at an abstract address. The variables are removed.
func TestSend(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@gearloop-test-" + strconv.Itoa(os.Getpid())} {
		m := manager(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "3000000")
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
		n, err := FromEnvironment()
		if err != nil || n == nil || n.Watchdog() != 3*time.Second || os.Getenv("NOTIFY_SOCKET")+os.Getenv("WATCHDOG_USEC") != "" {
			t.Fatalf("%v, %v", n, err)
		}
		if err := n.Send(Ready, Status("%d jobs\nand more", 3), Extend(1500*time.Millisecond)); err != nil {
			t.Error(err)
		}
		if got := heard(t, m); got != "READY=1\nSTATUS=3 jobs and more\nEXTEND_TIMEOUT_USEC=1500000" {
			t.Errorf("the manager hears %q", got)
		}
		if err := n.Send(Reload()); err != nil {
			t.Error(err)
		}
		if got := heard(t, m); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("the manager hears %q", got)
		}
		n.Close()
	}
}

// A manager that has reopened its socket is found again. A manager that is gone causes only an error.
func TestSendAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	m := manager(t, path)
	t.Setenv("NOTIFY_SOCKET", path)
	n, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Send(Ready); err != nil || heard(t, m) != Ready {
		t.Fatal(err)
	}
	m.Close()
	os.Remove(path)
	if err := n.Send(Alive); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("nobody listens: %v", err)
	}
	m = manager(t, path)
	if err := n.Send(Alive); err != nil || heard(t, m) != Alive {
		t.Errorf("after a restart: %v", err)
	}
}

// Without a manager nothing happens. Malformed variables are an error.
func TestFromEnvironment(t *testing.T) {
	for _, c := range []struct {
		socket, usec, pid string
		some              bool
		watchdog          time.Duration
		err               string
	}{
		{"", "", "", false, 0, ""},
		{"", "1000", "", false, 0, ""},
		{"/x", "", "", true, 0, ""},
		{"/x", "1000", "", true, time.Millisecond, ""},
		{"/x", "1000", "1", true, 0, ""}, // another process's
		{"/x", "0", "", true, 0, `"0"`},
		{"/x", "soon", "", true, 0, `"soon"`},
		{"/x", "99999999999999999999", "", true, 0, "WATCHDOG_USEC"},
		{"relative", "", "", false, 0, "NOTIFY_SOCKET"},
		{"vsock:2:1", "", "", false, 0, "NOTIFY_SOCKET"},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		n, err := FromEnvironment()
		if (n != nil) != c.some || n.Watchdog() != c.watchdog || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, %v", c, n, err)
		}
	}
	var nobody *Notifier
	if err := nobody.Send(Ready); err != nil {
		t.Error(err)
	}
	nobody.Close()
}

// passed puts descriptors where a manager would put them and returns the first.
func passed(t *testing.T, fds ...int) (first int) {
	t.Helper()
	first = 200
	for i, fd := range fds {
		if err := unix.Dup2(fd, first+i); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(first + i) })
	}
	return first
}

func descriptor(t *testing.T, c interface{ File() (*os.File, error) }) int {
	t.Helper()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

// Sockets are taken over with their names. They accept connections, and later child processes do not inherit
// them.
func TestSockets(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	first := passed(t, descriptor(t, tcp.(*net.TCPListener)), descriptor(t, local.(*net.UnixListener)))
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", "2")
	t.Setenv("LISTEN_FDNAMES", "gearman")
	all, err := sockets(first)
	if err != nil || len(all) != 2 || all[0].Name != "gearman" || all[1].Name != "unknown" || all[0].FD != first || all[1].FD != first+1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if os.Getenv("LISTEN_FDS") != "" {
		t.Error("the variables are left")
	}
	for _, s := range all {
		defer s.Listener.Close()
		at := s.Listener.Addr()
		c, err := net.Dial(at.Network(), at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in, err := s.Listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	if _, err := os.Stat(local.Addr().String()); err != nil {
		t.Error("the manager's socket is removed:", err)
	}
}

// Sockets for another process are not touched. The error about one that does not listen names it.
func TestSocketsAtFault(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	self := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		pid, count string
		fd         int
		err        string
	}{
		{"", "", -1, ""},
		{"1", "1", -1, ""},
		{"", "1", -1, ""},
		{self, "0", -1, ""},
		{self, "-1", -1, "LISTEN_FDS"},
		{self, "many", -1, "LISTEN_FDS"},
		{self, "99999", -1, "LISTEN_FDS"},
		{self, "1", descriptor(t, udp.(*net.UDPConn)), "the socket x that the service manager has passed: descriptor 200 does not listen for streams"},
		{self, "1", int(file.Fd()), "the socket x that the service manager has passed: descriptor 200: "},
	} {
		first := 0
		if c.fd >= 0 {
			first = passed(t, c.fd)
		}
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.count)
		t.Setenv("LISTEN_FDNAMES", "x")
		all, err := sockets(first)
		if len(all) != 0 || (err != nil) != (c.err != "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%+v: %v, %v", c, all, err)
		}
	}
}

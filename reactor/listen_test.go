package reactor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/admin"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/sched"
	"gearloop/test/wire"
)

// idle returns a server that does not run. Its listeners are closed when the test ends.
func idle(t *testing.T) *Server {
	t.Helper()
	s, err := New(Config{Dialect: dialect.Perl, Sched: sched.New(sched.Config{Dialect: dialect.Perl}), Admin: &admin.Admin{}, Log: noLog(), Accept: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drain)
	return s
}

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// The forms of an address, and its parts.
func TestSplitAddress(t *testing.T) {
	for address, want := range map[string]string{
		"":                "|4730",
		":80":             "|80",
		":0":              "|0",
		"localhost":       "localhost|4730",
		"localhost:80":    "localhost|80",
		"127.0.0.1":       "127.0.0.1|4730",
		"127.0.0.1:65535": "127.0.0.1|65535",
		"::1":             "::1|4730",
		"::":              "::|4730",
		"[::1]":           "::1|4730",
		"[::1]:80":        "::1|80",
		"fe80::1%eth0":    "fe80::1%eth0|4730",
	} {
		host, service, err := splitAddress(address, 4730)
		if got := host + "|" + service; err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", address, got, err, want)
		}
	}
	for _, address := range []string{":http", "localhost:", "localhost:65536", "localhost:-1", "[::1", "[::1]80", "[::1]:x", ":", "[::1]:1:2"} {
		host, service, err := splitAddress(address, 4730)
		if !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %s, %s, %v; want ErrAddress", address, host, service, err)
		}
	}
}

// IPv4 addresses may have the forms of the C library, which both old servers accept.
func TestClassicAddress(t *testing.T) {
	for host, want := range map[string]string{
		"0": "0.0.0.0", "127.1": "127.0.0.1", "127.0.1": "127.0.0.1", "127.0.0.1": "127.0.0.1", "2130706433": "127.0.0.1",
		"0x7f.1": "127.0.0.1", "0177.0.0.1": "127.0.0.1", "0X7F000001": "127.0.0.1", "255.255": "255.0.0.255",
		"1.2.65535": "1.2.255.255", "4294967295": "255.255.255.255",
	} {
		if ip, ok := classicAddress(host); !ok || ip.String() != want {
			t.Errorf("%s: %v, %v; want %s", host, ip, ok, want)
		}
	}
	for _, host := range []string{
		"", ".", "1.", ".1", "256.1", "1.2.3.4.5", "1.2.3.256", "1.2.65536", "4294967296", "09", "0x", "-1", "+1", "1_0",
		"0b1", "0o7", "a", "a.1", "1.a", "f00d", " 1", "1 ",
	} {
		if ip, ok := classicAddress(host); ok {
			t.Errorf("%q is taken for %v", host, ip)
		}
	}
	for address, want := range map[string]string{"0:0": "0.0.0.0:", "127.1:0": "127.0.0.1:", "*:0": "[::]:", "*": "[::]:"} {
		names, err := idle(t).Listen(address, 0)
		if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], want) {
			t.Errorf("%s: listens on %v, %v; want %s", address, names, err, want)
		}
	}
}

// Text that is not an address is refused with an error that states the text, the rule and, if known, what was
// meant.
func TestCheckAddress(t *testing.T) {
	long := "/" + strings.Repeat("x", maxSocketPath)
	for address, want := range map[string]string{
		"tls:/x":        `"tls:/x" is not an address: one for TLS begins with tls://`,
		"TLS://x":       `"TLS://x" is not an address: one for TLS begins with tls://`,
		"tcp://x:1":     `"tcp://x:1" is not an address: it must be HOST:PORT, with tls:// before it for TLS, or unix:PATH`,
		"tls://unix:/x": `"tls://unix:/x" is TLS on a unix socket, which is not possible: leave tls:// out`,
		"unix:":         `"unix:" has no path: it must be unix:PATH`,
		"unix:" + long:  fmt.Sprintf("unix:%s is %d bytes long: the path of a unix socket must have at most %d", long, len(long), maxSocketPath),
		"x:99999":       `the port of "x:99999" must be a number from 0 to 65535`,
		"[::1":          `"[::1" is not an address: it must be HOST, HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH`,
		"[]:1":          `"[]:1" has no address between its brackets: it must be [IPV6]:PORT`,
	} {
		err := CheckAddress(address)
		if !errors.Is(err, ErrAddress) || err.Error() != want {
			t.Errorf("%s: %v; want %s", address, err, want)
		}
		if _, listens := idle(t).Listen(address, 0); !errors.Is(listens, ErrAddress) {
			t.Errorf("Listen(%s): %v", address, listens)
		}
	}
	for _, address := range []string{"", "x", ":1", "*:1", "[::1]:1", "::1", "tls://x", "unix:x", "unix:" + long[:maxSocketPath]} {
		if err := CheckAddress(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// An address means only that address: 0.0.0.0 is all of IPv4 and nothing of IPv6, [::] is the opposite, and
// no host is both. All can exist side by side.
func TestListenFamilies(t *testing.T) {
	reaches := func(network, address, port string) bool {
		c, err := net.Dial(network, net.JoinHostPort(address, port))
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
	for address, want := range map[string]struct {
		name   string
		v4, v6 bool
	}{
		"0.0.0.0:0":   {"0.0.0.0:", true, false},
		"[::]:0":      {"[::]:", false, true},
		":0":          {"[::]:", true, true},
		"127.0.0.1:0": {"127.0.0.1:", true, false},
		"[::1]:0":     {"[::1]:", false, true},
	} {
		// Another process may have the same port in the other family, but hardly each time.
		var v4, v6 bool
		for range 20 {
			names, err := idle(t).Listen(address, 1)
			if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], want.name) {
				t.Fatalf("%s: %v, %v; want %s", address, names, err, want.name)
			}
			_, port, _ := net.SplitHostPort(names[0])
			if v4, v6 = reaches("tcp4", "127.0.0.1", port), reaches("tcp6", "::1", port); v4 == want.v4 && v6 == want.v6 {
				break
			}
		}
		if v4 != want.v4 || v6 != want.v6 {
			t.Errorf("%s: reached by IPv4 %v, by IPv6 %v", address, v4, v6)
		}
	}
	// Both get the same port. Here, too, another process may have it.
	var err error
	for range 20 {
		s := idle(t)
		names, first := s.Listen("0.0.0.0:0", 1)
		if first != nil {
			t.Fatal(first)
		}
		_, port, _ := net.SplitHostPort(names[0])
		if _, err = s.Listen("[::]:"+port, 1); err == nil {
			return
		}
	}
	t.Error(err)
}

// A name stands for all its addresses, all with the given port.
func TestListenName(t *testing.T) {
	names, err := idle(t).Listen("localhost", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		c, err := net.Dial("tcp", n)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if host, _, _ := net.SplitHostPort(n); !net.ParseIP(host).IsLoopback() {
			t.Errorf("localhost listens on %s", n)
		}
	}
	if _, err := idle(t).Listen("no.such.name.invalid:0", 0); err == nil {
		t.Error("listens on a name that does not exist")
	}
}

// A port in use is an error, and so is an address that is not this machine's.
func TestListenImpossible(t *testing.T) {
	names, err := idle(t).Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idle(t).Listen(names[0], 0); !inUse(err) {
		t.Errorf("listens on %s a second time: %v", names[0], err)
	}
	if _, err := idle(t).Listen("192.0.2.1:0", 0); err == nil {
		t.Error("listens on an address of another machine")
	}
	for _, address := range []string{"unix:", "unix:" + filepath.Join(t.TempDir(), "none", "s"), "unix:" + strings.Repeat("x", 200)} {
		if names, err := idle(t).Listen(address, 0); err == nil {
			t.Errorf("%q: listens on %v", address, names)
		}
	}
}

// The socket file of a dead server is replaced. A socket that somebody listens on is not, nor is a file that
// is no socket.
func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if _, err := idle(t).Listen("unix:"+path, 0); !inUse(err) {
		t.Errorf("takes a socket away from its owner: %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the owner is not reached any more: %v", err)
	} else {
		c.Close()
	}
	left.Close()
	r := newRig(t, func(s *setup) { s.listen = []string{"unix:" + path} })
	if r.addrs[0] != "unix:"+path {
		t.Errorf("listens on %s", r.addrs[0])
	}
	r.dial().Sync()
	r.server.Shutdown()
	r.wantEnd()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file is still there: %v", err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{file, link, dir} {
		if names, err := idle(t).Listen("unix:"+p, 0); err == nil {
			t.Errorf("%s: listens on %v", p, names)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link has become %v, %v", info, err)
	}
}

// One server has listeners of all kinds.
func TestListenOnMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := newRig(t, func(s *setup) { s.listen = []string{"127.0.0.1:0", "[::1]:0", "unix:" + path, ":0"} })
	client := wire.Dial(t, r.addrs[0])
	for _, a := range r.addrs {
		w := wire.Dial(t, strings.Replace(a, "[::]", "[::1]", 1))
		h := client.Submit(codec.SubmitJob, "f", "", a)
		w.Send(codec.CanDo, "f")
		got, argument := w.Grab()
		if got != h || argument != a {
			t.Errorf("%s: got job %s with %q", a, got, argument)
		}
		w.Send(codec.WorkComplete, h, "y")
		client.Want(codec.WorkComplete, h, "y")
		w.Close()
	}
}

package systest

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/test/certs"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// A server that must verify its clients does not start if clients could connect without a certificate. It
// prints one line and has an exit status.
func TestVerifyClientDoesNotFailOpen(t *testing.T) {
	t.Parallel()
	a := certs.New(t)
	p := a.Sign("server")
	files := []string{"--ssl-certificate", p.Certificate, "--ssl-key", p.Key, "--ssl-ca-file", a.File, "--ssl-verify-client"}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--ssl-verify-client", "--ssl-ca-file", "/nonexistent", "-L", "127.0.0.1:0"}, "no address speaks it: add --ssl"},
		{[]string{"--ssl", "--ssl-verify-client", "--ssl-ca-file", "/nonexistent", "--ssl-certificate", p.Certificate,
			"--ssl-key", p.Key, "-L", "127.0.0.1:0"}, "CA file"},
		{append(files, "-L", "127.0.0.1:0", "-L", "tls://127.0.0.1:0"), "127.0.0.1:0 has no TLS"},
		{append(files, "--ssl", "-L", "127.0.0.1:0", "-r", "http", "--http-port", "0"), "--protocol http has no TLS"},
	} {
		if !strings.Contains(strings.Join(test.args, " "), "http") {
			r := run(t, nil, append([]string{"serve"}, test.args...)...)
			wantRefused(t, test.args, r, test.says, map[bool]int{true: 1, false: 2}[strings.Contains(test.says, "CA file")])
		}
		r := launch(t, command(gearmand(t), nil, append([]string{"-l", "stderr", "-P", filepath.Join(t.TempDir(), "pid")}, test.args...)...)).wait()
		wantRefused(t, test.args, r, test.says, 1)
	}
}

func wantRefused(t *testing.T, args []string, r result, says string, code int) {
	t.Helper()
	if r.code != code || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, says) {
		t.Errorf("%q: exit status %d, says %q", args, r.code, r.stderr)
	}
}

// With --ssl-allow-plain both kinds of address are open: one for everybody, one for verified clients only.
func TestAllowPlain(t *testing.T) {
	t.Parallel()
	a := certs.New(t)
	p := a.Sign("server")
	s := peers.Start(t, peers.Gearloop, "--dialect", "c", "--listen", "tls://127.0.0.1:0", "--listen", "127.0.0.1:0",
		"-r", "http", "--http-port", "0", "--ssl-certificate", p.Certificate, "--ssl-key", p.Key, "--ssl-ca-file", a.File,
		"--ssl-verify-client", "--ssl-allow-plain")
	wire.Dial(t, s.Addrs[1]).Sync()
	if status := background(t, s.Addrs[2]+"/f", "localhost", ""); status != http.StatusOK {
		t.Errorf("HTTP: status %d", status)
	}
	addr := strings.TrimPrefix(s.Addrs[0], "tls://")
	for name, wanted := range map[string]bool{"": false, "client": true} {
		c, err := tls.Dial("tcp", addr, a.Client(name))
		if err == nil {
			c.Write([]byte("version\n"))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if (err == nil) != wanted {
			t.Errorf("a client named %q: %v", name, err)
		}
	}
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
}

// The server warns at its start of files that are most likely a mistake. After a SIGHUP that makes it read a
// file which blocks, it still handles SIGTERM.
func TestTLSFilesAtFault(t *testing.T) {
	t.Parallel()
	a := certs.New(t)
	p := a.Sign("server")
	if err := os.Chmod(p.Key, 0o604); err != nil {
		t.Fatal(err)
	}
	s := peers.Start(t, peers.Gearloop, "--listen", "tls://127.0.0.1:0", "--ssl-certificate", p.Certificate,
		"--ssl-key", p.Key, "--ssl-ca-file", a.File)
	for _, part := range []string{p.Key + " is open to everybody", a.File + " is not used"} {
		wire.Await(t, part, func() bool { return strings.Contains(s.Stderr(), part) })
	}
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.Addr, "tls://"), a.Client(""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	worker := wire.New(t, c)
	os.Remove(p.Key)
	if err := syscall.Mkfifo(p.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	wire.Await(t, "the file is being opened", func() bool {
		// Without a reader opening the pipe fails.
		pipe, err := os.OpenFile(p.Key, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		t.Cleanup(func() { pipe.Close() })
		return true
	})
	worker.Sync()
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
}

// After the server has become another user it cannot read a key that only root may read, so SIGHUP could not
// reload it. The server says so at its start. A test that is not run as root cannot change the user; then
// nothing is printed.
func TestKeyOfRoot(t *testing.T) {
	t.Parallel()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	name, root := who.Username, who.Uid == "0"
	if root {
		name = "nobody"
	}
	a := certs.New(t)
	p := a.Sign("server")
	s := launch(t, command(gearmand(t), nil, "-l", "stderr", "--verbose", "INFO", "-L", "127.0.0.1:0",
		"--ssl", "--ssl-certificate", p.Certificate, "--ssl-key", p.Key, "-u", name))
	wire.Await(t, "it has started, or ended", func() bool {
		return strings.Contains(s.stderr.String(), "msg=started") || s.isDone()
	})
	if said := strings.Contains(s.stderr.String(), "key file "+p.Key+" can't be read again on SIGHUP"); said != root {
		t.Errorf("as root: %v, it says\n%s", root, &s.stderr)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if r := s.wait(); r.code != 0 {
		t.Errorf("exit status %d\n%s", r.code, r.stderr)
	}
}

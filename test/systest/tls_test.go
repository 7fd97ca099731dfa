package systest

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/test/certs"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// A server that is to verify its clients does not start where others could come in. Exit status and one line.
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

// With --ssl-allow-plain both ways in are open, the one for everybody and the one for verified clients only.
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

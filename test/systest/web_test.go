package systest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// ask sends a request; socket is the path of a unix socket, "" for none.
func ask(t *testing.T, socket, url string, header ...string) (status int, body string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	if socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: transport, Timeout: wire.Limit}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// The operator's listener exists when it is asked for. While the server drains it reports that the server is
// not ready. Nothing is left behind.
func TestWeb(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "admin")
	s := peers.Start(t, peers.Gearloop, "--web", "127.0.0.1:0", "--admin-socket", socket, "--data-dir", filepath.Join(dir, "jobs"))
	if info, err := os.Lstat(socket); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	web := s.Web()
	for _, url := range []string{web + "/healthz", web + "/readyz"} {
		if status, body := ask(t, "", url); status != http.StatusOK || !strings.HasPrefix(body, "ok\n") {
			t.Errorf("%s: %d %q", url, status, body)
		}
	}
	if status, body := ask(t, socket, "http://localhost/readyz?require=store"); status != http.StatusOK || !strings.Contains(body, "+store: ") {
		t.Errorf("over the socket: %d %q", status, body)
	}
	if status, _ := ask(t, "", web+"/healthz", "Host", "x"); status != http.StatusOK {
		t.Error(status) // net/http does not use a header of that name as the request's Host
	}
	c := wire.Dial(t, s.Addr)
	c.Submit(codec.SubmitJob, "f", "", "x")
	c.Sync()
	s.Signal(syscall.SIGTERM)
	wire.Await(t, "the server says that it drains", func() bool {
		status, body := ask(t, socket, "http://localhost/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "-not_draining: draining")
	})
	if status, _ := ask(t, socket, "http://localhost/healthz"); status != http.StatusOK {
		t.Errorf("a server that drains is not alive: %d", status)
	}
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// Without an option that asks for it there is no operator's listener. Mistakes are one line.
func TestWebMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, m := range []struct {
		code int
		args string
		says string
	}{
		{2, "--web 0.0.0.0:0", "--web 0.0.0.0:0: other machines could do everything there: add --web-tokens FILE"},
		{2, "--web :0 --web-tokens " + tokens, "--web-tokens: " + tokens + ":1: "},
		{2, "--web :0 --web-tokens " + dir + "/none", "no such file"},
		{2, "--admin-socket " + strings.Repeat("x", 200), "--admin-socket: "},
		{1, "--admin-socket " + tokens, "there is a file, not a socket"},
		{1, "--web " + taken.Addr().String(), "another server listens there"},
		{1, "--web tls://127.0.0.1:0 --ssl-certificate /none", "no such file"},
	} {
		r := run(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0"}, strings.Fields(m.args)...)...)
		if r.code != m.code || !strings.Contains(r.stderr, m.says) || strings.Count(r.stderr, "\n") != 1 || r.stdout != "" {
			t.Errorf("%s: exit status %d, says %q", m.args, r.code, r.stderr)
		}
	}
	s := peers.Start(t, peers.Gearloop)
	if len(s.Addrs) != 1 {
		t.Errorf("listens on %v", s.Addrs)
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.PID))
	if err != nil || len(fds) == 0 {
		t.Fatal(err)
	}
}

// Tokens decide who has access. SIGHUP reads them again.
func TestWebTokens(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens")
	write := func(token string) {
		text := fmt.Sprintf("# who may come in\nprom viewer sha256:%x\n", sha256.Sum256([]byte(token)))
		if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	s := peers.Start(t, peers.Gearloop, "--web", "0.0.0.0:0", "--web-tokens", tokens)
	web := s.Web()
	web = "http://127.0.0.1" + web[strings.LastIndexByte(web, ':'):]
	status := func(token string) int {
		var header []string
		if token != "" {
			header = []string{"Authorization", "Bearer " + token}
		}
		status, body := ask(t, "", web+"/metrics", header...)
		if status == http.StatusOK && !strings.Contains(body, "\ngearman_up 1\n") {
			t.Errorf("metrics are\n%s", body)
		}
		return status
	}
	for token, want := range map[string]int{"": 401, "wrong": 401, "first": 200} {
		if got := status(token); got != want {
			t.Errorf("token %q: %d, want %d", token, got, want)
		}
	}
	if got, _ := ask(t, "", web+"/healthz"); got != http.StatusOK {
		t.Errorf("a probe needs a token: %d", got)
	}
	write("second")
	s.Signal(syscall.SIGHUP)
	wire.Await(t, "the new token counts", func() bool { return status("second") == http.StatusOK })
	if got := status("first"); got != http.StatusUnauthorized {
		t.Errorf("the old token: %d", got)
	}
}

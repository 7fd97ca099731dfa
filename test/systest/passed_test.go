package systest

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// Every option that listens takes sockets of the service manager, and what they do not name is for clients.
func TestSocketActivationOfAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tcp := func() net.Listener { return listenOn(t, "tcp", "127.0.0.1:0") }
	gearman, web, debug, gate := tcp(), tcp(), tcp(), tcp()
	socket := listenOn(t, "unix", filepath.Join(dir, "admin"))
	p := passedTo(t, "gearman:web:debug:gate:admin", []net.Listener{gearman, web, debug, gate, socket}, "--dialect", "c",
		"--web", "fd:web", "--admin-socket", "fd:admin", "--debug-listen", "fd:debug", "-r", "http", "--http-port", "fd:gate", "-l", "stderr",
		"-P", filepath.Join(dir, "pid"), "--verbose", "INFO")
	wire.Await(t, "it has started", func() bool { return strings.Contains(p.stderr.String(), "started") || p.isDone() })
	if strings.Contains(p.stderr.String(), "is not used") || strings.Contains(p.stderr.String(), "has no effect") {
		t.Errorf("all are used: %s", &p.stderr)
	}
	wire.Dial(t, gearman.Addr().String()).Sync()
	for _, at := range []struct{ socket, url string }{
		{"", "http://" + web.Addr().String() + "/readyz"},
		{"", "http://" + debug.Addr().String() + "/debug/pprof/cmdline"},
		{socket.Addr().String(), "http://localhost/api/v1/server"},
	} {
		if status, body := ask(t, at.socket, at.url); status != http.StatusOK {
			t.Errorf("%s: %d %.200s", at.url, status, body)
		}
	}
	if status, body := ask(t, "", "http://"+gate.Addr().String()+"/f", "X-Gearman-Background", "true"); status != http.StatusOK {
		t.Errorf("the gateway: %d %.200s", status, body)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Process.Signal(syscall.SIGTERM) // the job waits
	if r := p.wait(); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(socket.Addr().String()); err != nil {
		t.Errorf("the service manager's socket is gone: %v", err)
	}
}

// What a socket of the service manager may not be used for is refused with the reason.
func TestSocketActivationMistakes(t *testing.T) {
	t.Parallel()
	all := []net.Listener{
		listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "unix", filepath.Join(t.TempDir(), "s")), listenOn(t, "tcp", "0.0.0.0:0"),
	}
	for _, c := range []struct{ want, args string }{
		{"--web fd:open: other machines could do everything there: add --web-tokens FILE", "--web fd:open"},
		{"--web fd:local: " + all[1].Addr().String() + " is a unix socket, and must be a TCP socket", "--web fd:local"},
		{"--admin-socket fd:tcp: " + all[0].Addr().String() + " is a TCP socket, and must be a unix socket", "--admin-socket fd:tcp"},
		{"--web fd:none: the service manager has passed no socket of that name; it has passed 3, 4, 5, local, open, tcp", "--web fd:none"},
		{"fd:tcp is named by --listen and --web: a socket serves one purpose", "--web fd:tcp --listen fd:tcp"},
		{`--web: "fd:" has no name`, "--web fd:"},
		{`"fd:" has no name`, "--debug-listen fd:"},
	} {
		r := passedTo(t, "tcp:local:open", all, strings.Fields(c.args)...).wait()
		if r.code != 2 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit %d, %s\nwant %s", c.args, r.code, r.stderr, c.want)
		}
	}
	if r := run(t, nil, "serve", "--web", "fd:web"); r.code != 2 || !strings.Contains(r.stderr, "it has passed none") {
		t.Errorf("without sockets: %+v", r)
	}
}

// The PROXY header counts at --web and the HTTP gateway: for rights and for the audit log.
func TestProxyProtocolOfHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "acl")
	writeACL(t, file, "[clients]\nnetwork = 192.0.2.0/24\nsubmit = f\n[workers]\nnetwork = 198.51.100.0/24\nwork = *\n")
	gate, web, gearman := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "tcp", "127.0.0.1:0")
	p := passedTo(t, "gate:web:gearman", []net.Listener{gate, web, gearman}, "--dialect", "c", "--web", "fd:web", "-r", "http",
		"--http-port", "fd:gate", "--acl", file, "--proxy-protocol", "127.0.0.1", "-l", "stderr", "-P", filepath.Join(dir, "pid"), "--verbose", "INFO")
	wire.Await(t, "it has started", func() bool { return strings.Contains(p.stderr.String(), "started") || p.isDone() })
	from := func(l net.Listener, client, request string) string {
		t.Helper()
		c := wire.Dial(t, l.Addr().String())
		c.Raw([]byte(client + request))
		answer, err := io.ReadAll(c)
		if err != nil && len(answer) > 0 {
			t.Error(err)
		}
		return string(answer)
	}
	const allowed, other = "PROXY TCP4 192.0.2.7 127.0.0.1 1234 80\r\n", "PROXY TCP4 203.0.113.9 127.0.0.1 1234 80\r\n"
	worker := wire.Dial(t, gearman.Addr().String())
	worker.Raw([]byte("PROXY TCP4 198.51.100.1 127.0.0.1 1234 4730\r\n"))
	worker.Send(codec.CanDo, "f")
	worker.Sync()
	post := "POST /f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\nX-Gearman-Background: true\r\n\r\nx"
	if answer := from(gate, allowed, post); !strings.HasPrefix(answer, "HTTP/1.1 200") && !strings.HasPrefix(answer, "HTTP/1.1 202") {
		t.Errorf("from a client that may submit: %q", answer)
	}
	if answer := from(gate, other, post); !strings.HasPrefix(answer, "HTTP/1.1 403") {
		t.Errorf("from one that may not: %q", answer)
	}
	get := "GET /api/v1/functions/f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if answer := from(web, allowed, get); !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("--web behind a proxy: %q", answer)
	}
	pause := "POST /api/v1/functions/f/pause HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if answer := from(web, allowed, pause); !strings.Contains(answer, `"changed":true`) {
		t.Errorf("an action behind a proxy: %q", answer)
	}
	wire.Await(t, "the log names the client", func() bool { return strings.Contains(p.stderr.String(), "192.0.2.7") })
	for name, l := range map[string]net.Listener{"--web": web, "the gateway": gate} {
		if answer := from(l, "", get); answer != "" {
			t.Errorf("%s without a header: %q", name, answer)
		}
	}
	wire.Await(t, "the log says why", func() bool { return strings.Contains(p.stderr.String(), `reason="no PROXY header"`) })
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.wait()
}

package systest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

const someACL = `[here]
network = 127.0.0.1
submit  = f
look    = *
[socket]
user    = *
work    = f
`

// writeACL writes an access list.
func writeACL(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The program applies the access list in both dialects: to addresses, to users of a unix socket and, after
// SIGHUP, to connections that exist already. A list with a mistake changes nothing.
func TestACL(t *testing.T) {
	t.Parallel()
	for dialect, code := range map[string]string{"perl": "not_allowed", "c": "NOT_ALLOWED"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "acl")
			writeACL(t, file, someACL)
			s := peers.Start(t, peers.Gearloop, "--dialect", dialect, "--acl", file, "--listen", "127.0.0.1:0",
				"--listen", "unix:"+filepath.Join(dir, "socket"))
			client, worker := wire.Dial(t, s.Addrs[0]), wire.Dial(t, s.Addrs[1])
			worker.Send(codec.CanDo, "f")
			handle := client.Submit(codec.SubmitJob, "f", "", "x")
			if h, _ := worker.Grab(); h != handle {
				t.Errorf("the worker has %q", h)
			}
			worker.Line("status")
			if got := worker.ReadLine(); !strings.HasPrefix(got, "ERR "+code) {
				t.Errorf("status: %q", got)
			}
			client.Line("shutdown")
			if got := client.ReadLine(); !strings.HasPrefix(got, "ERR "+code) {
				t.Errorf("shutdown: %q", got)
			}

			writeACL(t, file, strings.ReplaceAll(someACL, "= f", "= g")+"[bad]\n")
			s.Signal(syscall.SIGHUP)
			awaitLog(t, s, "cannot read the access list again; the old one stays in force")
			if want := file + ":8: [bad] does not say who"; !strings.Contains(s.Stderr(), want) {
				t.Errorf("the log does not say %q:\n%s", want, s.Stderr())
			}
			client.Submit(codec.SubmitJobBg, "f", "", "x")

			writeACL(t, file, strings.ReplaceAll(someACL, "= f", "= g"))
			s.Signal(syscall.SIGHUP)
			awaitLog(t, s, "the access list is in force")
			client.Send(codec.SubmitJobBg, "f", "", "x")
			client.WantError(code)
			worker.Send(codec.GrabJob)
			worker.Want(codec.NoJob)
			worker.Send(codec.WorkComplete, handle, "y") // it may finish what it has
			client.Want(codec.WorkComplete, handle, "y")
			awaitLog(t, s, "refused: the access list gives no right to it")
			s.Signal(syscall.SIGTERM)
		})
	}
}

// A peer over HTTP has the rights of its address.
func TestACLOverHTTP(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "acl")
	writeACL(t, file, "[here]\nnetwork = 127.0.0.1\nsubmit = f\n")
	var s *program
	var web string
	onFreePort(t, func(port string) bool {
		web = "http://127.0.0.1:" + port
		s = launch(t, command(peers.Binary(t), nil, "serve", "--dialect", "c", "-p", "0", "-L", "127.0.0.1", "--acl", file, "-r", "http",
			"--http-port", port, "--verbose=INFO"))
		wire.Await(t, "it listens, or has ended", func() bool {
			return strings.Contains(s.stderr.String(), "started") || s.isDone()
		})
		return s.isDone() && strings.Contains(s.stderr.String(), "already in use")
	})
	for path, want := range map[string]int{"/f": http.StatusOK, "/g": http.StatusForbidden} {
		if status := background(t, web+path, "localhost", ""); status != want {
			t.Errorf("%s: status %d, want %d", path, status, want)
		}
	}
	writeACL(t, file, "[elsewhere]\nnetwork = 192.0.2.0/24\nsubmit = *\n")
	s.cmd.Process.Signal(syscall.SIGHUP)
	wire.Await(t, "the list is in force", func() bool { return strings.Contains(s.stderr.String(), "is in force") })
	if status := background(t, web+"/f", "localhost", ""); status != http.StatusForbidden {
		t.Errorf("without any right: status %d, want 403", status)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if r := s.wait(); r.code != 0 {
		t.Errorf("exit status %d\n%s", r.code, r.stderr)
	}
}

// Behind a proxy the address in the PROXY header counts, in the log as well.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "acl")
	writeACL(t, file, "[clients]\nnetwork = 192.0.2.0/24\nsubmit = f\nlook = *\n")
	s := peers.Start(t, peers.Gearloop, "--acl", file, "--proxy-protocol", "127.0.0.1", "--proxy-protocol", "::1", "--listen", "127.0.0.1:0")
	c := wire.Dial(t, s.Addrs[0])
	c.Raw([]byte("PROXY TCP4 192.0.2.7 127.0.0.1 1234 4730\r\n"))
	handle := c.Submit(codec.SubmitJob, "f", "", "x")
	if rows := c.Table("clients"); len(rows) != 1+1 || rows[0] != "192.0.2.7:1234" {
		t.Errorf("clients: %q, with the job %s", rows, handle)
	}
	c.Send(codec.SubmitJob, "g", "", "x")
	c.WantError("not_allowed")
	awaitLog(t, s, `peer=192.0.2.7 right=submit function=g sections=clients`)
	other := wire.Dial(t, s.Addrs[0])
	other.Line("status")
	other.SetReadDeadline(time.Now().Add(wire.Limit))
	if n, _ := other.Read(make([]byte, 1)); n != 0 {
		t.Error("a connection without a header is answered")
	}
	awaitLog(t, s, `reason="no PROXY header"`)
}

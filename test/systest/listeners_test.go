package systest

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// Listeners of all kinds lead to one server, and a job passes between any two of them. Each is announced, in
// order. None accepts once the end has begun.
func TestListeners(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	s := peers.Start(t, peers.Gearloop, "--port", "0", "--listen", "127.0.0.1:0", "--listen", "[::1]:0",
		"--listen", "unix:"+socket, "--listen", "127.0.0.1", "--listen", "::1", "--listen", ":0")
	forms := []string{`127\.0\.0\.1:\d+`, `\[::1\]:\d+`, `unix:.*`, `127\.0\.0\.1:\d+`, `\[::1\]:\d+`, `\[::1\]:\d+`}
	if len(s.Addrs) != len(forms) {
		t.Fatalf("listens on %q", s.Addrs)
	}
	for i, form := range forms {
		if !regexp.MustCompile("^" + form + "$").MatchString(s.Addrs[i]) {
			t.Errorf("listener %d is %q, want %s", i, s.Addrs[i], form)
		}
	}
	// The last one is for both families.
	_, port, _ := net.SplitHostPort(s.Addrs[len(s.Addrs)-1])
	addrs := append(s.Addrs, net.JoinHostPort("127.0.0.1", port))

	worker := wire.Dial(t, addrs[0])
	worker.Send(codec.CanDo, "f")
	ips := map[string]bool{}
	for _, addr := range addrs {
		client := wire.Dial(t, addr)
		handle := client.Submit(codec.SubmitJob, "f", "", addr)
		if got, argument := worker.Grab(); got != handle || argument != addr {
			t.Errorf("got job %s with %q, want %s with %q", got, argument, handle, addr)
		}
		worker.Send(codec.WorkComplete, handle, addr)
		client.Want(codec.WorkComplete, handle, addr)
		for _, line := range client.Table("workers") {
			ips[strings.Fields(line)[1]] = true
		}
	}
	for _, ip := range []string{"127.0.0.1", "::1", "unix"} {
		if !ips[ip] {
			t.Errorf("no connection from %s in %v", ip, ips)
		}
	}
	// An address of one family is not one of the other.
	for i, other := range []string{"::1", "127.0.0.1"} {
		_, port, _ := net.SplitHostPort(s.Addrs[i])
		if c, err := net.Dial("tcp", net.JoinHostPort(other, port)); err == nil {
			c.Close()
			t.Errorf("%s: it can be reached over %s, too", s.Addrs[i], other)
		}
	}

	wire.Dial(t, s.Addr).Submit(codec.SubmitJobBg, "f", "", "keeps it from ending")
	s.Signal(syscall.SIGTERM)
	for _, addr := range addrs {
		wire.Await(t, addr+" refuses", func() bool {
			network := "tcp"
			if strings.HasPrefix(addr, "unix:") {
				network, addr = "unix", socket
			}
			c, err := net.Dial(network, addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
	worker.Sync()
}

// Every option may be given as a variable. The command line overrides it.
func TestVariables(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	env := []string{"GEARLOOP_MAX_PACKET=1K", "GEARLOOP_LOG_FORMAT=json", "GEARLOOP_LISTEN=127.0.0.1:1",
		// Names that container managers set for purposes of their own.
		"GEARLOOP_PORT=tcp://10.0.0.1:4730", "GEARLOOP_VERSION=7", "GEARLOOP_PORT_4730_TCP_ADDR=10.0.0.1"}
	s := peers.StartWith(t, peers.Gearloop, peers.Options{Args: []string{"-L", "127.0.0.1:0"}, Env: env})
	if len(s.Addrs) != 1 {
		t.Fatalf("listens on %q", s.Addrs)
	}
	c := wire.Dial(t, s.Addr)
	c.Send(codec.EchoReq, strings.Repeat("x", 1<<10))
	c.WantType(codec.EchoRes)
	c.Send(codec.EchoReq, strings.Repeat("x", 1<<10+1))
	c.WantError("packet_too_large")
	awaitLog(t, s, `"msg":"started"`)

	several := command(peers.Binary(t), []string{"GEARLOOP_LISTEN=127.0.0.1:0,unix:" + socket + ",[::1]:0"}, "serve")
	p := launch(t, several)
	wire.Await(t, "it listens on three addresses", func() bool { return strings.Count(p.stdout.String(), "\n") == 3 })
	for line := range strings.Lines(p.stdout.String()) {
		addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if !ok {
			t.Fatalf("prints %q", line)
		}
		wire.Dial(t, addr).Sync()
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if r := p.wait(); r.code != 0 {
		t.Errorf("exit status %d", r.code)
	}
}

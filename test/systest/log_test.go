package systest

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/test/peers"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// fullPipe returns both ends of a full pipe.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if failed := raw.Control(func(fd uintptr) {
		for err == nil { // the descriptor does not block
			_, err = unix.Write(int(fd), make([]byte, 4096))
		}
	}); failed != nil || err != unix.EAGAIN {
		t.Fatal(failed, err)
	}
	return r, w
}

// badConnections makes the server log a line or two for each, at level debug.
func badConnections(t *testing.T, network, addr string, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "\x00BAD magic\n")
		io.Copy(io.Discard, c)
		c.Close()
	}
}

// Nobody reads the pipes of the server's standard output and error. It starts, serves, handles signals, and
// ends.
func TestNobodyReadsLog(t *testing.T) {
	t.Parallel()
	for _, signals := range [][]os.Signal{{syscall.SIGTERM}, {syscall.SIGHUP, syscall.SIGTERM}} {
		socket := filepath.Join(t.TempDir(), "socket")
		_, stdout := fullPipe(t)
		_, stderr := fullPipe(t)
		cmd := command(peers.Binary(t), []string{"GEARLOOP_NOSUCH=1"}, "serve", "--listen", "unix:"+socket, "--log-level", "debug")
		cmd.Stdout, cmd.Stderr = stdout, stderr
		p := launch(t, cmd)
		wire.Await(t, "it listens", func() bool {
			c, err := net.Dial("unix", socket)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		badConnections(t, "unix", socket, 500)
		wire.Dial(t, "unix:"+socket).Sync()
		for _, s := range signals {
			p.cmd.Process.Signal(s)
		}
		if r := p.wait(); r.code != 0 {
			t.Errorf("exit status %d", r.code)
		}
	}
	// A start that fails ends although nobody reads its error. The line arrives when somebody reads.
	r, w := fullPipe(t)
	cmd := command(peers.Binary(t), nil, "serve", "--nosuch")
	cmd.Stderr = w
	p := launch(t, cmd)
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil || !bytes.HasSuffix(text, []byte("gearloop: unknown option --nosuch (see gearloop serve --help)\n")) {
		t.Errorf("says %q, %v", bytes.TrimLeft(text, "\x00"), err)
	}
	if r := p.wait(); r.code != 2 {
		t.Errorf("exit status %d", r.code)
	}
}

// A reader that comes late gets the queued lines, then the number of lines that are missing, then all later
// lines.
func TestLogReadLate(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	r, w := fullPipe(t)
	cmd := command(peers.Binary(t), nil, "serve", "--listen", "unix:"+socket, "--log-level", "debug")
	cmd.Stderr = w
	p := launch(t, cmd)
	w.Close()
	wire.Await(t, "it listens", func() bool { return strings.Contains(p.stdout.String(), "listening on") })
	badConnections(t, "unix", socket, 8000) // 3 lines each: more than are queued
	var got texts.Buffer
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(&got, r)
		done <- err
	}()
	wire.Await(t, "it says what is missing", func() bool { return strings.Contains(got.String(), "lines of the log were dropped") })
	badConnections(t, "unix", socket, 1)
	p.cmd.Process.Signal(syscall.SIGTERM)
	if r := p.wait(); r.code != 0 {
		t.Errorf("exit status %d", r.code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimLeft(got.String(), "\x00"), "\n"), "\n")
	gaps := 0
	for _, l := range lines {
		if !strings.HasPrefix(l, "time=") {
			t.Fatalf("a line is not whole: %q", l)
		}
		if regexp.MustCompile(`level=WARN msg="lines of the log were dropped.*" lines=\d+$`).MatchString(l) {
			gaps++
		}
	}
	if last := lines[len(lines)-1]; gaps != 1 || !strings.Contains(last, "msg=ended") {
		t.Errorf("%d gaps; the last line is %q", gaps, last)
	}
}

package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
)

// asRelay in the environment makes the test program a relay.
const asRelay = "GEARLOOP_TEST_FLOOR"

// TestMain is the relay itself, too: it blocks in system calls of which the runtime does not know, so that it
// needs a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(asRelay) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newTestRelay starts a relay, which has to end well when its standard input does, at the end of the test;
// and returns where it listens.
func newTestRelay(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asRelay+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(await.Limit, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		stdin.Close()
		late.Reset(await.Limit)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the relay: %v", err)
		}
		late.Stop()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the relay says %q, %v", line, err)
	}
	return addr
}

// peer is a connection to a relay.
type peer struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(await.Limit))
	return &peer{t, c}
}

func (p *peer) send(t codec.Type, args ...string) {
	p.t.Helper()
	if _, err := p.Write(codec.AppendRequest(nil, t, args...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) want(t codec.Type, args ...string) {
	p.t.Helper()
	want := codec.AppendPacket(nil, t, args...)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, want) {
		p.t.Fatalf("got %.200q, %v; want %.200q", got[:n], err, want)
	}
}

// A sleeping worker is woken for a job, and its result comes back to the client, whatever the size.
func TestRelay(t *testing.T) {
	addr := newTestRelay(t)
	client, worker := dial(t, addr), dial(t, addr)
	worker.send(codec.CanDo, "f")
	worker.send(codec.GrabJob)
	worker.want(codec.NoJob)
	for _, size := range []int{0, 100, directSize, readSize, 3*readSize + 7} {
		argument, result := string(bytes.Repeat([]byte("a"), size)), string(bytes.Repeat([]byte("r"), size))
		worker.send(codec.PreSleep)
		worker.send(codec.EchoReq, "asleep")
		worker.want(codec.EchoRes, "asleep")
		client.send(codec.SubmitJob, "f", "unique", argument)
		client.want(codec.JobCreated, "H:f:1") // a place is used again
		worker.want(codec.Noop)
		worker.send(codec.GrabJob)
		worker.want(codec.JobAssign, "H:f:1", "f", argument)
		worker.send(codec.WorkComplete, "H:f:1", result)
		client.want(codec.WorkComplete, "H:f:1", result)
	}
	// Who goes to sleep while a job waits is woken at once; of a background job nobody hears.
	client.send(codec.SubmitJobBg, "f", "", "x")
	client.want(codec.JobCreated, "H:f:1")
	worker.send(codec.PreSleep)
	worker.want(codec.Noop)
	worker.send(codec.GrabJob)
	worker.want(codec.JobAssign, "H:f:1", "f", "x")
	worker.send(codec.WorkComplete, "H:f:1", "y")
	client.send(codec.EchoReq, "nothing before it")
	client.want(codec.EchoRes, "nothing before it")
}

// A connection that is not understood ends, and only that.
func TestRelayFaults(t *testing.T) {
	addr := newTestRelay(t)
	other := dial(t, addr)
	for _, bad := range [][]byte{[]byte("status\n"), []byte("\x00BAD12345678"), codec.AppendRequest(nil, codec.GetStatus, "H:f:1")} {
		p := dial(t, addr)
		if _, err := p.Write(bad); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%q: %d bytes, %v", bad, n, err)
		}
	}
	other.send(codec.EchoReq, "still there")
	other.want(codec.EchoRes, "still there")
}

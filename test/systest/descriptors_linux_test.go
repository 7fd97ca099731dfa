package systest

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// A server that may have fewer connections than peers make serves as many as it can. The others wait, which
// costs nothing, and are served when some have left. The limit is a number, or follows from the descriptors.
func TestConnectionsWait(t *testing.T) {
	t.Parallel()
	const clients = 120
	for bound, cmd := range map[string]*exec.Cmd{
		"by number": command(peers.Binary(t), nil, "serve", "--listen", "127.0.0.1:0", "--max-connections", "20"),
		"by descriptors": command("/bin/sh", nil, "-c", `ulimit -n 150 && exec "$0" serve --listen 127.0.0.1:0`,
			peers.Binary(t)),
		// The C server needs one more.
		"by few descriptors": command("/bin/sh", nil, "-c", `ulimit -n 37 && exec "$0" serve --listen 127.0.0.1:0`,
			peers.Binary(t)),
	} {
		t.Run(bound, func(t *testing.T) {
			p := launch(t, cmd)
			wire.Await(t, "it listens", func() bool { return strings.Contains(p.stdout.String(), "\n") })
			addr := strings.TrimPrefix(strings.TrimSpace(p.stdout.String()), "listening on ")
			type answer struct {
				from *wire.Conn
				err  error
			}
			answers := make(chan answer, clients)
			for range clients {
				c := wire.Dial(t, addr)
				c.Send(codec.EchoReq, "served")
				go func() {
					_, err := c.Receive()
					answers <- answer{c, err}
				}()
			}
			next := func() *wire.Conn {
				t.Helper()
				a := <-answers
				if a.err != nil {
					t.Fatalf("a connection is not served: %v", a.err)
				}
				return a.from
			}
			served := []*wire.Conn{next()}
			number := func() int {
				n, err := strconv.Atoi(count(served[0], "connection"))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := -1
			wire.Await(t, "it takes no more", func() bool {
				was := before
				time.Sleep(600 * time.Millisecond)
				before = number()
				return before == was && len(answers) == before-1
			})
			rests(t, p.cmd.Process.Pid)
			if bound == "by number" && before != 20 || before >= clients-1 {
				t.Errorf("%d connections at a time", before)
			}
			// Each connection that is served closes, and makes room for one that waits.
			for range clients - 1 {
				served[len(served)-1].Close()
				served = append(served, next())
			}
			served[clients-1].Sync()
			p.cmd.Process.Signal(syscall.SIGTERM)
			if r := p.wait(); r.code != 0 {
				t.Errorf("exit status %d\n%s", r.code, r.stderr)
			}
		})
	}
}

// Without free descriptors, or with one or two, which is too few for a new connection, a server pauses:
// existing connections go on, and new ones wait. They are served when there are descriptors again. Waiting
// costs no CPU.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	const coming = 30
	for free := range 3 {
		t.Run(fmt.Sprint(free, " free"), func(t *testing.T) {
			t.Parallel()
			s := peers.Start(t, peers.Gearloop)
			client, worker := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
			worker.Send(codec.CanDo, "f")
			worker.Sync()
			client.Sync()
			restore := limitDescriptors(t, s.PID, free)
			waiting := make([]*wire.Conn, coming)
			for i := range waiting {
				waiting[i] = wire.Dial(t, s.Addr)
				waiting[i].Line("version")
			}
			wire.Await(t, "descriptors run out", func() bool { return count(client, "fault: accept failed") != "0" })
			rests(t, s.PID)
			for range 100 {
				handle := client.Submit(codec.SubmitJob, "f", "", "x")
				worker.Grab()
				worker.Send(codec.WorkComplete, handle, "y")
				client.Want(codec.WorkComplete, handle, "y")
			}
			restore()
			for i, c := range waiting {
				if line, err := c.Reader().ReadString('\n'); err != nil || !strings.HasPrefix(line, "v") {
					t.Fatalf("connection %d, which waited: %q, %v", i, line, err)
				}
			}
		})
	}
}

package systest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// A peer whose machine has vanished is disconnected after --dead-peer-after, whether it was silent before or
// was sent something that was never acknowledged. Its jobs go to others.
func TestDeadPeers(t *testing.T) {
	t.Parallel()
	const asked = 3 * time.Second
	options := map[string][]string{
		"perl": {"--dead-peer-after", "3s"},
		"c":    {"--dialect", "c", "--keepalive", "--keepalive-idle", "1", "--keepalive-interval", "1", "--keepalive-count", "2"},
	}
	for dialect, args := range options {
		for _, what := range []string{"nothing", "NOOP", "a pushed job", "a large job"} {
			if dialect == "c" && what == "a pushed job" {
				continue // ALL_YOURS is not of that dialect
			}
			t.Run(fmt.Sprintf("%s/%s", dialect, what), func(t *testing.T) {
				t.Parallel()
				here, there := newMachine(t), newMachine(t)
				connect(here, there)
				p, addrs := here.serve(1, append(args, "--listen", "198.18.0.1:0")...)
				client := here.dial(addrs[0])
				worker := there.dial(addrs[0])
				worker.Send(codec.CanDo, "f")
				if what == "a pushed job" {
					worker.Send(codec.AllYours)
				}
				worker.Send(codec.PreSleep)
				last := time.Now() // the peer answers at least until now
				worker.Sync()
				if n := count(client, "connection"); n != "2" {
					t.Fatalf("%s connections", n)
				}
				there.ip("route add blackhole 198.18.0.1") // the machine vanishes: it neither sends nor answers
				switch what {
				case "NOOP", "a pushed job":
					client.Submit(codec.SubmitJobBg, "f", "", "argument")
				case "a large job":
					client.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("x", 30<<20))
				}
				wire.Await(t, "the server notices", func() bool { return count(client, "connection") == "1" })
				if took := time.Since(last); took < asked/2 {
					t.Errorf("the peer is given up after %v", took)
				}
				if n := count(client, "fault: peer does not answer"); n != "1" {
					t.Errorf("%s dead peers counted", n)
				}
				if what != "nothing" {
					// The log is written beside the loops.
					wire.Await(t, "it is in the log", func() bool {
						return strings.Contains(p.stderr.String(), `msg="closing a connection: the peer's machine does not answer" peer=198.18.0.2:`)
					})
				}
			})
		}
	}
}

// A peer that does not read, but whose machine answers, is not disconnected, however long it takes.
func TestPeersThatDoNotReadAreNotDead(t *testing.T) {
	t.Parallel()
	const asked = 3 * time.Second
	here, there := newMachine(t), newMachine(t)
	connect(here, there)
	_, addrs := here.serve(1, "--dead-peer-after", asked.String(), "--listen", "198.18.0.1:0")
	c := there.dial(addrs[0])
	c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	data := strings.Repeat("x", 30<<20)
	c.Send(codec.EchoReq, data)
	// A peer that certainly answers, for comparison.
	admin := here.dial(addrs[0])
	worker := there.dial(addrs[0])
	worker.Send(codec.CanDo, "f")
	worker.Send(codec.PreSleep)
	worker.Sync()
	for range 6 { // longer than the system pauses between two probes
		time.Sleep(asked)
		admin.Sync()
	}
	if p := c.WantType(codec.EchoRes); string(p.Data) != data {
		t.Errorf("%d bytes come", len(p.Data))
	}
	if n := count(admin, "connection"); n != "3" {
		t.Errorf("%s connections", n)
	}
	if n := count(admin, "fault: peer does not answer"); n != "0" {
		t.Errorf("%s dead peers counted", n)
	}
}

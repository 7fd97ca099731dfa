package systest

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/peers"
	"gearloop/systest/wire"
)

// A server with few descriptors serves as many connections as it can; the others wait, and have their
// turn when some have left.
func TestFewDescriptors(t *testing.T) {
	const clients = 120
	cmd := exec.Command("sh", "-c", `ulimit -n 150 && exec "$0" serve --listen 127.0.0.1:0`, peers.Binary(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	all := make([]*wire.Conn, clients)
	answers := make(chan *wire.Conn, clients)
	for i := range all {
		c := wire.Dial(t, addr)
		c.Send(codec.EchoReq, "served")
		all[i] = c
		go func() {
			if _, err := c.Receive(); err == nil {
				answers <- c
			}
		}()
	}
	// Each one that is served leaves, and makes room for one that waits.
	for range clients {
		select {
		case c := <-answers:
			c.Close()
		case <-time.After(wire.Limit):
			t.Fatal("a connection that waits is not served")
		}
	}
}

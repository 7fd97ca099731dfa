package reactor

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// unacknowledged returns how many bytes that a client sent have not arrived in the server's kernel.
func unacknowledged(t *testing.T, c *wire.Conn) (n int) {
	t.Helper()
	raw, err := socketOf(c).SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A client submits jobs and closes its connection without reading the answers, which resets it. What it sent
// before is still handled, although most of it waited for a turn or was not read yet.
func TestBrokenConnectionHasAsked(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS=", secure), func(t *testing.T) {
			var r *rig
			var c *wire.Conn
			if secure {
				s := newTLSRig(t, false, loops(1))
				r, c = s.rig, s.secure()
			} else {
				r = newRig(t, loops(1))
				c = r.dial()
			}
			const jobs = 3000
			before := payloads()
			c.Sync()
			goOn := make(chan struct{})
			stopped := make(chan struct{})
			r.server.allLoops()[0].do(func() { close(stopped); <-goOn })
			<-stopped
			var b []byte
			for i := range jobs {
				b = codec.AppendRequest(b, codec.SubmitJobBg, "f", fmt.Sprint(i), strings.Repeat("x", 20))
			}
			c.Raw(b)
			await.Until(t, "all of it has arrived", func() bool { return unacknowledged(t, c) == 0 })
			socketOf(c).SetLinger(0)
			socketOf(c).Close()
			close(goOn)
			r.onlyJobsLeft(before, jobs)
		})
	}
}

// The loop changes which connections gnet reads behind gnet's back, by the names of gnet's fields. If this
// fails after an update of gnet see pollerField.
func TestPollerIsFound(t *testing.T) {
	r := newRig(t)
	for _, l := range r.server.allLoops() {
		if l.poller < 0 {
			t.Error("gnet's poller is not found")
		}
	}
}

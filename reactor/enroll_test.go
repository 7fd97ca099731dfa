package reactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/codec"
	"gearloop/test/wire"
)

// exhaustDescriptors opens descriptors until the process may open only so many more. It returns a function
// that closes as many of them as it is told.
func exhaustDescriptors(t *testing.T, left int) (give func(n int)) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lower := limit
	lower.Cur = 0
	for range openDescriptors(t) + 40 {
		lower.Cur++ // its type differs between systems
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	var opened []int
	give = func(n int) {
		for range min(n, len(opened)) {
			last := len(opened) - 1
			unix.Close(opened[last])
			opened = opened[:last]
		}
	}
	t.Cleanup(func() {
		give(len(opened))
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		opened = append(opened, fd)
	}
	give(left)
	return give
}

// However few descriptors are free, a peer that could be accepted is not disconnected. It waits until there
// are enough.
func TestPeersWaitForDescriptors(t *testing.T) {
	for _, portable := range []bool{false, true} {
		for _, secure := range []bool{false, true} {
			for free := range 4 {
				t.Run(fmt.Sprintf("free=%d/tls=%v/portable=%v", free, secure, portable), func(t *testing.T) {
					peersWaitForDescriptors(t, free, secure, portable)
				})
			}
		}
	}
}

func peersWaitForDescriptors(t *testing.T, free int, secure, portable bool) {
	r := newTLSRig(t, false, loops(1), func(s *setup) { s.Log, s.Accept, s.portable = noLog(), 2, portable })
	r.secure().Sync()
	r.plain().Sync() // descriptors that are opened only once
	wire.Await(t, "nobody is on the way", func() bool { return len(r.server.handovers) == 0 })
	failed := func() int64 { return r.server.Counters().AcceptErrors.Load() }
	give := exhaustDescriptors(t, 1) // the client's own
	before := failed()
	var c *wire.Conn
	if secure {
		c = wire.New(t, r.tcp())
	} else {
		c = r.plain()
	}
	wire.Await(t, "there is none for the peer", func() bool { return failed() > before })
	give(free)
	before = failed()
	if !secure && free < 3 {
		wire.Await(t, "the peer is kept waiting", func() bool { return failed() > before+2 })
	}
	give(20)
	if secure {
		c = r.secureOver(c.Conn, r.client)
	}
	c.Sync()
	give(20)
}

// A connection from inside the process behaves like any other.
func TestDial(t *testing.T) {
	r := newRig(t, loops(2), func(s *setup) { s.MaxConnections = 3 })
	dial := func() *wire.Conn {
		t.Helper()
		c, err := r.server.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return wire.New(t, c)
	}
	client, worker := dial(), r.worker("f")
	h := client.Submit(codec.SubmitJob, "f", "", "x")
	if got, argument := worker.Grab(); got != h || argument != "x" {
		t.Fatalf("got %s, %q", got, argument)
	}
	data := string(noise(8 << 20))
	worker.Send(codec.WorkComplete, h, data)
	if p := client.WantType(codec.WorkComplete); string(p.Data) != h+"\x00"+data {
		t.Errorf("%d bytes came", len(p.Data))
	}
	if n := r.server.connections.Load(); n != 2 || r.slotsTaken() != 2 {
		t.Errorf("%d connections, %d slots taken", n, r.slotsTaken())
	}

	// It waits for a slot without a limit of time.
	third := dial()
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := r.server.DialContext(ctx)
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	later := make(chan net.Conn)
	go func() {
		c, err := r.server.DialContext(t.Context())
		if err != nil {
			t.Error(err)
		}
		later <- c
	}()
	third.Close()
	c := <-later
	wire.New(t, c).Sync()
	c.Close()
	client.CloseWrite()
	client.WantEnd()
	worker.Close()
	r.quiet()
	wire.Await(t, "no slot is taken", func() bool { return r.slotsTaken() == 0 })
}

// A server that is ending accepts no connections from inside the process any more, and closes existing ones.
func TestDialEnds(t *testing.T) {
	r := newRig(t, func(s *setup) { s.MaxConnections = 1 })
	c, err := r.server.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waiting := make(chan error)
	go func() {
		_, err := r.server.DialContext(t.Context())
		waiting <- err
	}()
	r.server.Shutdown()
	if err := <-waiting; !errors.Is(err, errEnding) {
		t.Errorf("waits for a slot while the server ends: %v", err)
	}
	r.wantEnd()
	c.SetReadDeadline(time.Now().Add(wire.Limit))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := r.server.DialContext(t.Context()); !errors.Is(err, errEnding) {
		t.Errorf("after the end: %v", err)
	}
}

// A peer counts as gone when it has been silent for as long as allowed, and not later, within whole seconds.
func TestKeepAliveFor(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s 1s 1", 2 * time.Second: "1.333333334s 1s 1", 3 * time.Second: "2s 1s 1", 6 * time.Second: "4s 1s 2",
		9 * time.Second: "6s 1s 3", 90 * time.Second: "1m0s 10s 3", time.Hour: "40m0s 6m40s 3",
	} {
		k := keepAliveFor(d)
		if got := fmt.Sprintf("%v %v %d", k.Idle, k.Interval, k.Count); got != want || !k.Enable {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

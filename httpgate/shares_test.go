package httpgate

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// dialFrom connects from an address of this machine.
func dialFrom(t *testing.T, from, addr string) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: wire.Limit}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{Conn: c, tb: t, in: bufio.NewReader(c)}
}

// Neither a function without workers nor a client with many requests takes the places of others.
func TestShares(t *testing.T) {
	const alice, bob, carol = "127.0.0.1", "127.0.0.2", "127.0.0.3"
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial, MaxRequests: 16})
	var open []*client
	ask := func(from, function string) *client {
		return dialFrom(t, from, addr).send(post(function, "x"))
	}
	take := func(n int, from string, function func(i int) string) {
		t.Helper()
		for i := range n {
			open = append(open, ask(from, function(i)))
			next(t, links)
		}
	}
	refused := func(from, function string, why failure) {
		t.Helper()
		r := ask(from, function).reply("POST")
		if r.status != 503 || r.body != why.text+"\n" || r.header.Get("Retry-After") == "" {
			t.Errorf("%s for %s: %v", function, from, r)
		}
	}
	always := func(function string) func(int) string { return func(int) string { return function } }
	leave := func() {
		for _, c := range open {
			c.Close()
		}
		open = nil
		wire.Await(t, "all places are given back", func() bool { return g.underWay() == 0 })
		if len(g.functions)+len(g.clients) != 0 {
			t.Errorf("left: %v, %v", g.functions, g.clients)
		}
	}

	// Many clients request one function.
	for i := range 12 {
		take(1, fmt.Sprintf("127.0.1.%d", i+1), always("stuck"))
	}
	refused(alice, "stuck", errFunction)
	take(3, bob, always("other"))
	refused(carol, "other", errFunction)
	take(1, carol, always("third"))
	refused(carol, "fourth", errFull)
	leave()

	// One client requests many functions.
	take(12, alice, func(i int) string { return fmt.Sprint("f", i) })
	refused(alice, "f12", errClient)
	take(3, bob, func(i int) string { return fmt.Sprint("f", i) })
	refused(bob, "f3", errClient)
	take(1, carol, always("f"))
	refused(carol, "f", errFull)
	leave()

	for _, c := range g.Counts() {
		want := map[string]int64{
			"HTTP fault: too many requests of one function": 2, "HTTP fault: too many requests of one client": 2,
			"HTTP fault: too many requests": 2,
		}[c.Name]
		if c.N != want {
			t.Errorf("%s: %d, want %d", c.Name, c.N, want)
		}
	}
}

// The connections of one client do not take all places either. When all are taken the next connection waits
// for one.
func TestConnectionShares(t *testing.T) {
	dial, _ := puppet(t)
	g, addr := serve(t, Config{Dial: dial, MaxRequests: 1, HeaderTimeout: time.Hour})
	slots := cap(g.slots)
	connections := func() (n int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, of := range g.connections {
			n += of
		}
		return n
	}
	var idle []*client
	// connect opens a connection and reports whether it was accepted.
	connect := func(from string) bool {
		t.Helper()
		before := g.counters.Connections.Load()
		c := dialFrom(t, from, addr)
		wire.Await(t, "the connection is taken or refused", func() bool {
			return connections() > len(idle) || g.counters.Connections.Load() > before
		})
		if g.counters.Connections.Load() > before {
			if r := c.reply("GET"); r.status != 503 || r.header.Get("Retry-After") == "" {
				t.Errorf("%v", r)
			}
			c.wantEnd()
			return false
		}
		idle = append(idle, c)
		return true
	}
	for connect("127.0.0.1") {
	}
	if n := len(idle); n < slots/2 || n > slots*4/5 {
		t.Errorf("one client has %d places of %d", n, slots)
	}
	if r := dialFrom(t, "127.0.0.2", addr).send(request("GET / HTTP/1.1")).reply("GET"); r.status != 404 {
		t.Errorf("another client: %v", r)
	}
	wire.Await(t, "its place is given back", func() bool { return connections() == len(idle) })
	for host := 2; len(idle) < slots; host++ {
		for len(idle) < slots && connect(fmt.Sprintf("127.0.0.%d", host)) {
		}
	}
	last := dialFrom(t, "127.0.1.1", addr).send(request("GET / HTTP/1.1"))
	idle[0].Close()
	if r := last.reply("GET"); r.status != 404 {
		t.Errorf("the last: %v", r)
	}
}

func TestClientOf(t *testing.T) {
	same := func(a, b string) bool { return clientOf(a) == clientOf(b) }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", true},
		{"[2001:db8::1]:1", "[2001:db8::ffff:2]:2", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2]:1", true},
		{"", "@", true},
	} {
		if same(c.a, c.b) != c.same {
			t.Errorf("%q and %q: one client is %v, want %v", c.a, c.b, !c.same, c.same)
		}
	}
}

// A job that no worker takes is given up. A job that a worker has is awaited, however long it takes.
func TestQueueTimeout(t *testing.T) {
	dial, links := puppet(t)
	// Everything that the test awaits comes after it, and nothing depends on how long after.
	g, addr := serve(t, Config{Dial: dial, QueueTimeout: 20 * time.Millisecond})
	begin := func() (*client, link) {
		t.Helper()
		c := ask(t, addr, post("f", "x"))
		l := next(t, links)
		l.want(codec.SubmitJob, "f", "-", "x")
		return c, l
	}

	c, l := begin()
	l.send(codec.JobCreated, "H:x:1")
	for range 3 {
		l.want(codec.GetStatus, "H:x:1")
		l.send(codec.StatusRes, "H:x:1", "1", "1", "0", "0")
	}
	l.want(codec.GetStatus, "H:x:1")
	l.send(codec.StatusRes, "H:x:1", "1", "0", "0", "0") // its worker has gone
	if r := c.reply("POST"); r.status != 504 || r.body != "no worker took the job within 20ms\n" {
		t.Errorf("%v", r)
	}
	l.wantEnd()
	if n := g.counters.Unclaimed.Load(); n != 1 {
		t.Errorf("%d are counted", n)
	}

	// The end of the job may arrive before the answer to GET_STATUS.
	c, l = begin()
	l.send(codec.JobCreated, "H:x:2")
	l.want(codec.GetStatus, "H:x:2")
	if _, err := l.Write(append(codec.AppendPacket(nil, codec.WorkData, "H:x:2", "da"),
		codec.AppendPacket(nil, codec.WorkComplete, "H:x:2", "ta")...)); err != nil {
		t.Fatal(err)
	}
	if r := c.reply("POST"); r.status != 200 || r.body != "data" {
		t.Errorf("%v", r)
	}

	// Once a packet has begun to arrive it is read to its end.
	c, l = begin()
	packet := codec.AppendPacket(nil, codec.WorkComplete, "H:x:3", "result")
	l.send(codec.JobCreated, "H:x:3")
	l.want(codec.GetStatus, "H:x:3")
	l.send(codec.StatusRes, "H:x:3", "1", "1", "0", "0")
	l.Write(packet[:1])
	l.Write(packet[1:])
	if r := c.reply("POST"); r.status != 200 || r.body != "result" {
		t.Errorf("%v", r)
	}
}

// A job server that does not answer cannot block a request forever, neither before JOB_CREATED nor after.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	for _, created := range []bool{false, true} {
		t.Run(fmt.Sprint("created=", created), func(t *testing.T) {
			t.Parallel()
			dial, links := puppet(t)
			_, addr := serve(t, Config{Dial: dial, QueueTimeout: 20 * time.Millisecond, StallTimeout: await.Scaled(5 * time.Second)})
			c := ask(t, addr, post("f", "x"))
			l := next(t, links)
			l.want(codec.SubmitJob, "f", "-", "x")
			if created {
				l.send(codec.JobCreated, "H:x:4")
				l.want(codec.GetStatus, "H:x:4")
			}
			if r := c.reply("POST"); r.status != 504 || r.body != errSilent.text+"\n" {
				t.Errorf("%v", r)
			}
			l.wantEnd()
		})
	}
}

// asking is a connection that counts GET_STATUS.
type asking struct {
	net.Conn
	questions *atomic.Int64
}

func (c asking) Write(b []byte) (int, error) {
	if p, err := codec.Next(b, len(b)); err == nil && p.Type == codec.GetStatus {
		c.questions.Add(1)
	}
	return c.Conn.Write(b)
}

// With a real broker: the job of a request that has waited too long is dropped, its places are free, and a
// slow worker is awaited.
func TestQueueTimeoutOfBroker(t *testing.T) {
	s := ours(t)
	var questions atomic.Int64
	dial := func(ctx context.Context) (net.Conn, error) {
		c, err := s.gate.cfg.Dial(ctx)
		return asking{c, &questions}, err
	}
	g, addr := serve(t, Config{Dial: dial, MaxRequests: 4, QueueTimeout: 50 * time.Millisecond})
	base := len(s.admin.Table("workers"))
	clients := []*client{ask(t, addr, post("nobody", "1")), ask(t, addr, post("nobody", "2")), ask(t, addr, post("nobody", "3"))}
	for _, c := range clients {
		if r := c.reply("POST"); r.status != 504 {
			t.Errorf("%v", r)
		}
	}
	wire.Await(t, "the broker knows that their connections have ended", func() bool { return len(s.admin.Table("workers")) == base })
	w := wire.Dial(t, s.broker.Addr)
	w.Send(codec.CanDo, "nobody")
	w.Send(codec.GrabJob)
	w.WantType(codec.NoJob)
	c := ask(t, addr, post("slow", "x"))
	j := grab(w, "slow")
	before := questions.Load()
	wire.Await(t, "the gate has asked three times", func() bool { return questions.Load() >= before+3 })
	w.Send(codec.WorkComplete, j.handle, "late")
	if r := c.reply("POST"); r.status != 200 || r.body != "late" {
		t.Errorf("%v", r)
	}
	wire.Await(t, "all places are free", func() bool { return g.underWay() == 0 })
}

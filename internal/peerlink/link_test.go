package peerlink

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/store"
	"gearloop/store/postgres"
	"gearloop/test/await"
)

// broker answers as another broker does: odd jobs run, even ones are not known.
type broker struct {
	listener    net.Listener
	door        *Door
	connections atomic.Int64 // so far
	open        atomic.Int64
	cut         atomic.Bool // closes each connection after the next answer
	hang        atomic.Bool // reads questions and does not answer
	hangs       atomic.Bool // it has read one
}

func begin(t *testing.T, secret string, run uint64) *broker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := &broker{listener: l, door: NewDoor(func() (string, uint64) { return secret, run })}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.connections.Add(1)
			b.open.Add(1)
			go b.serve(c)
		}
	}()
	return b
}

func (b *broker) address() string { return b.listener.Addr().String() }

func (b *broker) serve(c net.Conn) {
	defer b.open.Add(-1)
	defer c.Close()
	from := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	in := bufio.NewReader(c)
	for {
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		if first[0] != 0 {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			switch line = strings.TrimSpace(line); {
			case line == "peer":
				fmt.Fprintf(c, "PEER %s\n", b.door.Nonce(from))
			case strings.HasPrefix(line, "peer "):
				if !b.door.Admits(from, line[5:]) {
					fmt.Fprint(c, "PEER no\n")
					continue
				}
				fmt.Fprint(c, "PEER yes\n")
			case strings.HasSuffix(line, "1"):
				fmt.Fprint(c, "OK\r\n")
			default:
				fmt.Fprint(c, "ERR unknown_job No+such+job\r\n")
			}
			continue
		}
		var head [codec.HeaderSize]byte
		if _, err := in.Read(head[:]); err != nil {
			return
		}
		size := int(head[10])<<8 | int(head[11])
		name := make([]byte, size)
		if _, err := in.Read(name); err != nil {
			return
		}
		known := "0"
		if len(name) > 0 && name[len(name)-1]%2 == 1 {
			known = "1"
		}
		args := []string{string(name), known, known, "1", "2"}
		kind := codec.StatusRes
		if codec.Type(head[7]) == codec.GetStatusUnique {
			kind, args = codec.StatusResUnique, append(args, "4")
		}
		answer := codec.AppendRequest(nil, kind, args...)
		copy(answer, "\x00RES")
		if b.hang.Load() {
			b.hangs.Store(true)
			continue
		}
		if _, err := c.Write(answer); err != nil || b.cut.Load() {
			return
		}
	}
}

func handle(n uint64) string { return fmt.Sprint("H:x:", n) }

// Requests travel together over one connection that is kept; the answers come in their order.
func TestLink(t *testing.T) {
	b := begin(t, "secret", 7)
	l := &Link{Handle: handle}
	defer l.Close()
	to := postgres.Peer{Run: 7, Address: b.address(), Secret: "secret"}
	requests := []postgres.Request{{Number: 1}, {Number: 2}, {Number: 1, Cancel: true}, {Unique: "u3"}, {Number: 2, Cancel: true}}
	for range 50 {
		got, err := l.Ask(context.Background(), to, requests)
		if err != nil {
			t.Fatal(err)
		}
		st := store.Status{Known: true, Running: true, Numerator: "1", Denominator: "2"}
		unique := st
		unique.Listeners = 4
		want := []store.Status{st, {Numerator: "1", Denominator: "2"}, {Known: true}, unique, {}}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("answer %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	if n := b.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	b.cut.Store(true) // it closes the connection that is kept: a new one is used
	for range 3 {
		if _, err := l.Ask(context.Background(), to, requests[:1]); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	await.Until(t, "connections are closed", func() bool { return b.open.Load() == 0 })
	if _, err := l.Ask(context.Background(), to, requests); err == nil {
		t.Error("a closed link asks")
	}
}

// An unused connection is closed.
func TestIdle(t *testing.T) {
	b := begin(t, "secret", 7)
	l := &Link{Handle: handle, Idle: time.Millisecond}
	defer l.Close()
	if _, err := l.Ask(context.Background(), postgres.Peer{Run: 7, Address: b.address(), Secret: "secret"}, []postgres.Request{{Number: 1}}); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the connection is closed", func() bool { return b.open.Load() == 0 && l.Connections() == 0 })
}

// Nobody is asked who is not the broker that the database names, or does not know its secret.
func TestWrongBroker(t *testing.T) {
	b := begin(t, "secret", 7)
	for _, to := range []postgres.Peer{{Run: 8, Secret: "secret"}, {Run: 7, Secret: "other"}, {Run: 7}} {
		l := &Link{Handle: handle}
		to.Address = b.address()
		if got, err := l.Ask(context.Background(), to, []postgres.Request{{Number: 1}}); err == nil {
			t.Errorf("%+v: %+v", to, got)
		}
		l.Close()
	}
	nobody := NewDoor(func() (string, uint64) { return "", 0 })
	from := b.listener.Addr().(*net.TCPAddr).AddrPort()
	if nobody.Admits(from, Proof("", 0, nobody.Nonce(from))) {
		t.Error("a broker without a store lets others in")
	}
}

// A silent broker is given up with the context; the next question does not wait for a connection at once.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	link := &Link{Handle: handle}
	defer link.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	to := postgres.Peer{Run: 7, Address: l.Addr().String(), Secret: "secret"}
	if _, err := link.Ask(ctx, to, []postgres.Request{{Number: 1}}); err == nil {
		t.Error("an answer from nobody")
	}
	if n := link.Connections(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
}

// A broker that ends does not wait for one that hangs: the end of the context ends the question, long before its deadline.
func TestGivenUp(t *testing.T) {
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	answers := begin(t, "secret", 7)
	for _, c := range []struct {
		name string
		at   net.Addr
	}{{"before it knows who asks", hangs.Addr()}, {"afterwards", answers.listener.Addr()}} {
		t.Run(c.name, func(t *testing.T) {
			link := &Link{Handle: handle}
			defer link.Close()
			to := postgres.Peer{Run: 7, Address: c.at.String(), Secret: "secret"}
			if c.at != hangs.Addr() {
				if _, err := link.Ask(context.Background(), to, []postgres.Request{{Number: 1}}); err != nil {
					t.Fatal(err)
				}
				answers.hang.Store(true)
				defer answers.hang.Store(false)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 100*await.Limit)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := link.Ask(ctx, to, []postgres.Request{{Number: 1}})
				done <- err
			}()
			if c.at == hangs.Addr() {
				conn, err := hangs.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			} else {
				await.Until(t, "it is asked", answers.hangs.Load)
			}
			cancel()
			select {
			case err := <-done:
				if err == nil {
					t.Error("an answer from one that hangs")
				}
			case <-time.After(await.Limit):
				t.Error("it still waits")
			}
		})
	}
}

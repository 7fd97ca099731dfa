package httpgate

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

func limited(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// refused waits until nobody accepts connections at addr.
func refused(t *testing.T, addr string) {
	wire.Await(t, "no more connections", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// Shutdown waits for requests under way and accepts no new ones.
func TestShutdown(t *testing.T) {
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial})
	c := ask(t, addr, post("f", "abc", "Connection: keep-alive"))
	l := next(t, links)
	l.want(codec.SubmitJob, "f", "-", "abc")
	idle := ask(t, addr, request("GET / HTTP/1.1", "Connection: keep-alive"))
	if r := idle.reply("GET"); r.status != 404 {
		t.Fatal(r)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Shutdown(limited(t, wire.Limit)) }()
	refused(t, addr)
	idle.wantEnd()
	select {
	case err := <-ended:
		t.Fatalf("it has ended: %v", err)
	default:
	}
	l.send(codec.JobCreated, "H:x:1")
	l.send(codec.WorkComplete, "H:x:1", "result")
	if r := c.reply("POST"); r.body != "result" {
		t.Errorf("%v", r)
	}
	c.wantEnd()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if g.underWay() != 0 {
		t.Error("somebody is left")
	}
	if err := g.Shutdown(limited(t, wire.Limit)); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// Shutdown does not wait beyond its limit. It leaves no client with an empty result.
func TestShutdownIsBounded(t *testing.T) {
	for name, ctx := range map[string]func() context.Context{
		"soon":    func() context.Context { return limited(t, 20*time.Millisecond) },
		"at once": cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			dial, links := puppet(t)
			g, addr := serve(t, Config{Dial: dial})
			waits := ask(t, addr, post("f", "abc"))
			l := next(t, links)
			l.want(codec.SubmitJob, "f", "-", "abc")
			sends := ask(t, addr, request("POST /f HTTP/1.1", "Content-Length: 1000000"))
			half := next(t, links)
			half.head()
			reads := ask(t, addr, post("f", ""))
			l3 := next(t, links)
			go l3.Write(codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", strings.Repeat("x", 32<<20)))
			silent := ask(t, addr, "")
			// Four connections, and the place of the one that is awaited.
			wire.Await(t, "all are there", func() bool { return g.underWay() == 3 && len(g.slots) == 5 })
			if err := g.Shutdown(ctx()); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if g.underWay() != 0 {
				t.Error("somebody is left")
			}
			l.wantEnd()
			for _, c := range []*client{waits, sends} {
				if r := c.reply("POST"); r.status != 0 {
					t.Errorf("answered %v", r)
				}
			}
			if r := reads.reply("POST"); r.status != 0 && !r.cut {
				t.Errorf("answered %v", r)
			}
			silent.wantEnd()
			refused(t, addr)
		})
	}
}

// A connection can be used again, but only if the client asked for that.
func TestKeepAlive(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial})
	c := ask(t, addr, post("f", "1", "Connection: Upgrade, Keep-Alive")+post("f", "2", "Connection: keep-alive"))
	for _, argument := range []string{"1", "2", "3"} {
		l := next(t, links)
		l.want(codec.SubmitJob, "f", "-", argument)
		l.send(codec.JobCreated, "H:x:1")
		l.send(codec.WorkComplete, "H:x:1", argument)
		if r := c.reply("POST"); r.body != argument {
			t.Errorf("%v", r)
		}
		l.wantEnd()
		if argument == "2" {
			c.send(post("f", "3"))
		}
	}
	c.wantEnd()
}

// Arguments and results are passed on before they have arrived completely.
func TestNothingIsGathered(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial})
	piece := strings.Repeat("x", pieceSize)
	c := ask(t, addr, request("POST /f HTTP/1.1", "Content-Length: 327680")+piece)
	l := next(t, links)
	if kind, size := l.head(); kind != codec.SubmitJob || size != len("f\x00-\x00")+327680 {
		t.Fatalf("%v of %d bytes", kind, size)
	}
	read := func(r io.Reader, n int) {
		t.Helper()
		if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	read(l, len("f\x00-\x00")+len(piece)) // the client has more to send
	c.send(piece + piece + piece + piece)
	read(l, 4*len(piece))
	l.send(codec.JobCreated, "H:x:1")
	packet := codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", piece+piece)
	l.Write(packet[:len(packet)-pieceSize])
	c.SetReadDeadline(time.Now().Add(wire.Limit))
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = c.in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	read(c.in, pieceSize) // the worker has more to send
	l.Write(packet[len(packet)-pieceSize:])
	read(c.in, pieceSize)
	c.wantEnd()
}

// A client that disconnects in the middle of its body leaves half a packet, and no job.
func TestHalfABody(t *testing.T) {
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial})
	c := ask(t, addr, request("POST /f HTTP/1.1", "Content-Length: 1000000")+"abc")
	l := next(t, links)
	c.Close()
	l.wantPart()
	for _, raw := range []string{request("POST /f HTTP/1.1", "Content-Length: 3") + "ab", chunkedPost + "3\r\nabc\r\n"} {
		c = ask(t, addr, raw)
		wire.Await(t, "it has begun", func() bool { return g.underWay() == 1 })
		wire.New(t, c.Conn).CloseWrite()
		if r := c.reply("POST"); r.status != 0 {
			t.Errorf("%q: %v", raw, r)
		}
	}
	if r := ask(t, addr, chunkedPost+"xyz\r\n").reply("POST"); r.status != 400 {
		t.Errorf("bad chunks: %v", r)
	}
	if len(links) != 0 {
		t.Error("the broker was asked")
	}
	wire.Await(t, "all have ended", func() bool { return g.underWay() == 0 })
}

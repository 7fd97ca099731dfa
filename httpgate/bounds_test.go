package httpgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

const chunkedPost = "POST /f HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestTooLarge(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial, MaxPacket: 100_000})
	names := len("f\x00-\x00")
	for _, raw := range []string{
		post("f", strings.Repeat("x", 100_001-names)),
		request("POST /f HTTP/1.1", "Content-Length: 99999999999999"),
		request("POST /f HTTP/1.1", "Content-Length: 99999999999999", "Expect: 100-continue"),
		request("GET /f HTTP/1.1", "Content-Length: 99999999999999"),
		chunkedPost + "80000\r\n" + strings.Repeat("x", 0x80000) + "\r\n0\r\n\r\n",
		chunkedPost + "3\r\nabc\r\n7fffffffffffffff\r\n" + strings.Repeat("x", 0x80000),
	} {
		if r := ask(t, addr, raw).reply("POST"); r.status != 413 || r.body != errTooLarge.text+"\n" {
			t.Errorf("%.100q: %v", raw, r)
		}
	}
	if len(links) != 0 {
		t.Error("the broker was asked")
	}
	c := ask(t, addr, post("f", strings.Repeat("x", 100_000-names)))
	l := next(t, links)
	l.want(codec.SubmitJob, "f", "-", strings.Repeat("x", 100_000-names))
	l.send(codec.WorkComplete, "H:x:1", "ok")
	if r := c.reply("POST"); r.status != 200 {
		t.Errorf("exactly as much as is allowed: %v", r)
	}
}

func TestTooManyRequests(t *testing.T) {
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial, MaxRequests: 2})
	one, two := ask(t, addr, post("f", "1")), ask(t, addr, post("f", "2"))
	l := next(t, links)
	next(t, links)
	if r := ask(t, addr, post("f", "3")).reply("POST"); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("the third: %v", r)
	}
	l.send(codec.WorkComplete, "H:x:1", "ok")
	wire.Await(t, "there is room", func() bool { return g.underWay() == 1 })
	ask(t, addr, post("f", "4"))
	next(t, links)
	one.Close()
	two.Close()
}

// What is buffered for all requests together is bounded, and released afterwards.
func TestBudget(t *testing.T) {
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial, MaxBuffered: 100_000})
	much := strings.Repeat("x", 150_000)
	if r := ask(t, addr, fmt.Sprintf("%s%x\r\n%s\r\n0\r\n\r\n", chunkedPost, len(much), much)).reply("POST"); r.status != 503 {
		t.Errorf("a chunked body: %v", r)
	}
	c := ask(t, addr, post("f", much))
	l := next(t, links)
	l.want(codec.SubmitJob, "f", "-", much)
	l.send(codec.JobCreated, "H:x:1")
	l.send(codec.WorkData, "H:x:1", much)
	if r := c.reply("POST"); r.status != 503 || r.body != errKept.text+"\n" {
		t.Errorf("data: %v", r)
	}
	wire.Await(t, "all is given back", func() bool { return g.underWay() == 0 && g.budget.used.Load() == 0 })
}

// Data beyond the limit of a packet are not buffered either.
func TestTooMuchData(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial, MaxPacket: 1000})
	c := ask(t, addr, post("f", ""))
	l := next(t, links)
	l.want(codec.SubmitJob, "f", "-", "")
	for range 3 {
		l.send(codec.WorkData, "H:x:1", strings.Repeat("x", 400))
	}
	if r := c.reply("POST"); r.status != 502 {
		t.Errorf("%v", r)
	}
}

// Each time limit has a gate of its own. Where one limit is short, nothing else depends on it.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial, HeaderTimeout: 50 * time.Millisecond})
	for _, raw := range []string{"", "GET /f HT", "GET /f HTTP/1.1\r\nHost: a\r\nA: b\r\n", "\x16\x03\x01"} {
		ask(t, addr, raw).wantEnd()
	}
	// The limit also applies to sending an answer, so it must suffice for a loaded machine.
	_, addr = serve(t, Config{Dial: dial, StallTimeout: await.Scaled(time.Second)})
	asked := map[string]*client{}
	for _, raw := range []string{
		request("POST /f HTTP/1.1", "Content-Length: 3"),
		request("POST /f HTTP/1.1", "Content-Length: 3") + "ab",
		request("GET /f HTTP/1.1", "Content-Length: 3"),
		chunkedPost + "3\r\nab",
	} {
		asked[raw] = ask(t, addr, raw)
	}
	for raw, c := range asked {
		if r := c.reply("POST"); r.status != 408 {
			t.Errorf("%q: %v", raw, r)
		}
		c.wantEnd()
	}
	if len(links) != 0 {
		t.Error("the broker was asked for a short body that is not there")
	}
	c := ask(t, addr, request("POST /f HTTP/1.1", "Content-Length: 100000"))
	if r := c.reply("POST"); r.status != 408 {
		t.Errorf("a long body: %v", r)
	}
	next(t, links).wantPart()
	_, addr = serve(t, Config{Dial: dial, IdleTimeout: 50 * time.Millisecond})
	c = ask(t, addr, request("GET / HTTP/1.1", "Connection: keep-alive"))
	if r := c.reply("GET"); r.status != 404 {
		t.Error(r)
	}
	c.wantEnd() // nothing more is asked
}

// wantPart reads a packet whose data end before its length.
func (l link) wantPart() {
	l.tb.Helper()
	_, size := l.head()
	if n, _ := io.Copy(io.Discard, l); n >= int64(size) {
		l.tb.Errorf("%d bytes of %d", n, size)
	}
}

// A client that does not read its answer is disconnected.
func TestClientDoesNotRead(t *testing.T) {
	t.Parallel()
	dial, links := puppet(t)
	g, addr := serve(t, Config{Dial: dial, StallTimeout: await.Scaled(time.Second)})
	for _, data := range []bool{false, true} {
		ask(t, addr, post("f", ""))
		l := next(t, links)
		l.want(codec.SubmitJob, "f", "-", "")
		much := strings.Repeat("x", 32<<20)
		go func() {
			if data {
				l.Write(codec.AppendPacket(nil, codec.WorkData, "H:x:1", much))
				l.Write(codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", ""))
			} else {
				l.Write(codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", much))
			}
		}()
	}
	wire.Await(t, "the requests have ended", func() bool { return g.underWay() == 0 })
}

func TestBrokerFails(t *testing.T) {
	t.Run("no connection", func(t *testing.T) {
		_, addr := serve(t, Config{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no") }})
		if r := ask(t, addr, post("f", "abc")).reply("POST"); r.status != 503 || r.body != errNoBroker.text+"\n" {
			t.Errorf("%v", r)
		}
		if r := ask(t, addr, chunkedPost+"0\r\n\r\n").reply("POST"); r.status != 503 {
			t.Errorf("%v", r)
		}
	})
	t.Run("no slot for a connection", func(t *testing.T) {
		t.Parallel()
		waits := func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, addr := serve(t, Config{Dial: waits, StallTimeout: await.Scaled(time.Second)})
		if r := ask(t, addr, post("f", "abc")).reply("POST"); r.status != 503 || r.body != errNoBroker.text+"\n" {
			t.Errorf("%v", r)
		}
		g, addr := serve(t, Config{Dial: waits})
		c := ask(t, addr, post("f", "abc"))
		wire.Await(t, "the request has begun", func() bool { return g.underWay() == 1 })
		c.Close()
		wire.Await(t, "the request has ended", func() bool { return g.underWay() == 0 })
	})
	t.Run("it does not read", func(t *testing.T) {
		t.Parallel()
		near, far := net.Pipe()
		defer far.Close()
		dial := func(context.Context) (net.Conn, error) { return near, nil }
		_, addr := serve(t, Config{Dial: dial, StallTimeout: await.Scaled(time.Second)})
		if r := ask(t, addr, post("f", "abc")).reply("POST"); r.status != 503 || r.body != errStuck.text+"\n" {
			t.Errorf("%v", r)
		}
	})
	res := func(kind codec.Type, args ...string) string { return string(codec.AppendPacket(nil, kind, args...)) }
	created := res(codec.JobCreated, "H:x:1")
	for _, test := range []struct {
		name, sends string
		status      int
		body        string
	}{
		{"end at once", "", 502, errLost.text + "\n"},
		{"end after JOB_CREATED", created, 502, errLost.text + "\n"},
		{"half a header", created + "\x00RES\x00\x00", 502, errLost.text + "\n"},
		{"no packet", "hello, who is there?", 502, errLost.text + "\n"},
		{"not from a server", string(codec.AppendRequest(nil, codec.WorkComplete, "H:x:1", "a")), 502, errLost.text + "\n"},
		{"no handle", res(codec.WorkComplete), 502, errLost.text + "\n"},
		{"an endless handle", res(codec.WorkComplete, strings.Repeat("h", 2*readerSize)), 502, errLost.text + "\n"},
		{"half of WORK_DATA", res(codec.WorkData, "H:x:1", "data")[:20], 502, errLost.text + "\n"},
		{"half of WORK_STATUS", created + res(codec.WorkStatus, "H:x:1", "1", "2")[:21], 502, errLost.text + "\n"},
		{"half of ERROR", res(codec.Error, "A", "b")[:14], 502, errLost.text + "\n"},
		{"queue full", res(codec.Error, "QUEUE_ERROR", "Job queue is full"), 503, "QUEUE_ERROR Job queue is full\n"},
		{"queue full in Perl", res(codec.Error, "queue_full", "Job queue is full"), 503, "queue_full Job queue is full\n"},
		{"server error", res(codec.Error, "server_error", ""), 503, "server_error\n"},
		{"invalid", res(codec.Error, "invalid_args", "No func"), 400, "invalid_args No func\n"},
		{"too large", res(codec.Error, "packet_too_large"), 413, "packet_too_large\n"},
		{"a long text", res(codec.Error, "x", strings.Repeat("y", 5000)), 503, "x " + strings.Repeat("y", maxErrorText-2) + "\n"},
		{"an empty error", res(codec.Error), 503, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dial, links := puppet(t)
			_, addr := serve(t, Config{Dial: dial})
			c := ask(t, addr, post("f", "abc", "X-Gearman-Final: true"))
			l := next(t, links)
			l.want(codec.SubmitJob, "f", "-", "abc")
			io.WriteString(l, test.sends)
			l.Close()
			r := c.reply("POST")
			if r.status != test.status || r.body != test.body || r.handle != "" {
				t.Errorf("%v", r)
			}
			if isError := strings.Contains(test.sends, "\x00RES\x00\x00\x00\x13") && test.status != 502; (r.command == "ERROR") != isError {
				t.Errorf("command %q", r.command)
			}
		})
	}
	t.Run("half a result", func(t *testing.T) {
		dial, links := puppet(t)
		_, addr := serve(t, Config{Dial: dial})
		for _, n := range []int{12 + 6, 12 + 6 + 10, 12 + 6 + 1000, 12 + 6 + 100_000} {
			c := ask(t, addr, post("f", "abc"))
			l := next(t, links)
			l.want(codec.SubmitJob, "f", "-", "abc")
			io.WriteString(l, res(codec.WorkComplete, "H:x:1", strings.Repeat("x", 1<<20))[:n])
			l.Close()
			if r := c.reply("POST"); r.status == 200 && !r.cut {
				t.Errorf("%d bytes make %v", n, r)
			}
		}
	})
}

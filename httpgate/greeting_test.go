package httpgate

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"gearloop/codec"
)

func TestMend(t *testing.T) {
	for _, test := range []struct{ head, want string }{
		{"GET /f HTTP/1.1\r\nHost: a\r\n\r\n", "GET /f HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET /f HTTP/1.1\nhOST:a\n\nbody", "GET /f HTTP/1.1\r\nhOST:a\n\nbody"},
		{"GET f HTTP/1.1\r\nA: Host: b\r\n\r\nHost: body", "GET /f HTTP/1.1\r\nHost:\r\nA: Host: b\r\n\r\nHost: body"},
		{"GET  /f   HTTP/1.0\r\n\r\n", "GET /f HTTP/1.0\r\nHost:\r\n\r\n"},
		{"GET http://h/f HTTP/1.1\r\n\r\n", "GET http://h/f HTTP/1.1\r\nHost:\r\n\r\n"},
		{"GET /a b HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n"},
		{"hello\r\n\r\n", "hello\r\n\r\n"},
		{"  \r\n\r\n", "  \r\n\r\n"},
	} {
		if got := string(mend([]byte(test.head))); got != test.want {
			t.Errorf("%q: %q, want %q", test.head, got, test.want)
		}
	}
}

// reads is a connection that reads from r.
type reads struct {
	net.Conn
	r io.Reader
}

func (c reads) Read(p []byte) (int, error) { return c.r.Read(p) }

// Only the beginning is examined, in whatever pieces it arrives.
func TestGreeting(t *testing.T) {
	in := "\r\n\n\r\nPOST f HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET f HTTP/1.1\n\n" + strings.Repeat("x", 1<<20)
	want := "POST /f HTTP/1.1\r\nHost:\r\nContent-Length: 3\r\n\r\nabcGET f HTTP/1.1\n\n" + strings.Repeat("x", 1<<20)
	for name, r := range map[string]io.Reader{
		"whole":        strings.NewReader(in),
		"bytes":        iotest.OneByteReader(strings.NewReader(in)),
		"halves":       iotest.HalfReader(strings.NewReader(in)),
		"end with it":  iotest.DataErrReader(strings.NewReader(in)),
		"split in end": io.MultiReader(strings.NewReader(in[:41]), strings.NewReader(in[41:])),
	} {
		got, err := io.ReadAll(&greeting{Conn: reads{r: r}})
		if err != nil || string(got) != want {
			t.Errorf("%s: %v, %.100q", name, err, got)
		}
	}
	// Bytes that are not a request are passed on once they are longer than any request line may be.
	long := strings.Repeat("x", 2*maxHeader)
	if got, err := io.ReadAll(&greeting{Conn: reads{r: strings.NewReader(long)}}); err != nil || string(got) != long {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	if got, err := io.ReadAll(&greeting{Conn: reads{r: strings.NewReader("GET /f HTTP/1.1\r\n")}}); err != nil || len(got) != 0 {
		t.Errorf("half a head: %v, %q", err, got)
	}
}

// These requests cannot be compared with C, because it hangs.
func TestLooseRequests(t *testing.T) {
	dial, links := puppet(t)
	_, addr := serve(t, Config{Dial: dial})
	for _, test := range []struct{ raw, function, argument string }{
		{"\r\n\r\n" + post("f", "abc"), "f", "abc"},
		{"POST http://localhost:80//f?x HTTP/1.1\r\nContent-Length: 1\r\n\r\na", "f?x", "a"},
		{"POST f?a=http://b HTTP/1.0\r\nContent-Length: 1\r\n\r\na", "f?a=http://b", "a"},
		{"POST http://localhost?x HTTP/1.1\r\n\r\n", "?x", ""},
		{post("f", "abc", "X-Gearman-Unique:-", "X-Gearman-Priority:normal"), "f", "abc"},
	} {
		c := ask(t, addr, test.raw)
		if test.function == "f?a=http://b" {
			if r := c.reply("POST"); r.status != 400 {
				t.Errorf("%q: %v", test.raw, r)
			}
			continue
		}
		l := next(t, links)
		l.want(codec.SubmitJob, test.function, "-", test.argument)
		l.send(codec.JobCreated, "H:x:1")
		l.send(codec.WorkComplete, "H:x:1", "ok")
		if r := c.reply("POST"); r.body != "ok" {
			t.Errorf("%q: %v", test.raw, r)
		}
	}
	for raw, status := range map[string]int{
		"POST http://localhost HTTP/1.1\r\n\r\n":  404,
		"TRACE /f HTTP/1.1\r\n\r\n":               405,
		"CONNECT localhost:1 HTTP/1.1\r\n\r\n":    405,
		"POST /a\x00b HTTP/1.1\r\n\r\n":           400,
		"POST /a\tb HTTP/1.1\r\n\r\n":             400,
		"POST /a\rb HTTP/1.1\r\n\r\n":             400,
		"POST /a%zz HTTP/1.1\r\n\r\n":             400,
		post("f", "", "X-Gearman-Unique: a\x00b"): 400,
		post("f", "", "no colon"):                 400,
		post("f", "", "Content-Length: 9"):        400,
	} {
		if r := ask(t, addr, raw).reply("POST"); r.status != status || r.command != "" || r.handle != "" {
			t.Errorf("%q: %v", raw, r)
		}
	}
}

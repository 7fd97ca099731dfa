package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/test/await"
)

// A peer that does not read its answer, or does not send the body that it has announced, loses its handler
// and its place. Others are served meanwhile.
func TestPeersThatStandStill(t *testing.T) {
	var began, ended atomic.Int64
	in := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			began.Add(1)
			defer ended.Add(1)
			h(w, r)
		}
	}
	s, address := startWith(t, Config{Patience: 20 * time.Millisecond}, func(m *http.ServeMux) {
		m.HandleFunc("GET /large", in(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, 64<<20))
		}))
		m.HandleFunc("GET /stream", in(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
			}
		}))
		m.HandleFunc("POST /body", in(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("reading the body: %v", err)
			}
		}))
		m.HandleFunc("POST /unread", in(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusConflict) }))
		m.HandleFunc("POST /echo", in(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	})
	for i, request := range []string{"GET /large", "GET /stream", "POST /body", "POST /unread"} {
		t.Run(request, func(t *testing.T) {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: localhost\r\n", request)
			if request[:4] == "POST" {
				fmt.Fprint(c, "Content-Length: 1000\r\n")
			}
			fmt.Fprint(c, "\r\n")
			n := int64(i + 1)
			await.Until(t, "its handler has ended and its place is free", func() bool {
				return began.Load() == n && ended.Load() == n && len(s.slots) == 1 // that of the next
			})
		})
	}
	// The connection of a request with a body serves further requests.
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for range 3 {
		fmt.Fprint(c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
			t.Errorf("%q, %v", body, err)
		}
	}
}

// slowConn accepts as much of an answer in each interval as takes says.
type slowConn struct {
	net.Conn
	takes []int
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(b []byte) (int, error) {
	if len(c.takes) == 0 {
		return len(b), nil
	}
	n := c.takes[0]
	c.takes = c.takes[1:]
	return n, fmt.Errorf("write: %w", os.ErrDeadlineExceeded)
}

// A peer that reads is served on, even if the kernel has no room. One that does not read is given up.
func TestSlowPeers(t *testing.T) {
	for name, c := range map[string]struct {
		takes, held []int
		want        int
	}{
		"at once":                 {nil, nil, 100},
		"some at a time":          {[]int{1, 2, 3, 4}, []int{9, 9, 9, 9}, 100},
		"none that Write sees":    {[]int{0, 0, 0, 0}, []int{9, 8, 7, 6}, 100},
		"some, then slowly, some": {[]int{5, 0, 0, 5, 0}, []int{9, 8, 7, 9, 8}, 100},
		"nothing":                 {[]int{0, 0, 0}, []int{9, 9, 9}, 0},
		"some and then nothing":   {[]int{3, 0, 0}, []int{9, 9, 9}, 3},
		"slowly and then nothing": {[]int{0, 0, 0, 0}, []int{9, 8, 8, 7}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			held := c.held
			conn := &slotConn{Conn: &slowConn{takes: c.takes}, held: func(net.Conn) int {
				n := held[0]
				held = held[1:]
				return n
			}}
			n, err := conn.Write(make([]byte, 100))
			if n != c.want || (err == nil) != (n == 100) {
				t.Errorf("%d bytes, %v, want %d", n, err, c.want)
			}
		})
	}
}

// The kernel holds more when nobody reads and less when the peer reads.
func TestHeldByKernel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	full, much := 0, make([]byte, 64<<20)
	await.Until(t, "something is held", func() bool {
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Write(much); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		full = heldByKernel(c)
		return full > 0
	})
	b := make([]byte, 64<<10)
	await.Until(t, "less is held", func() bool {
		if _, err := peer.Read(b); err != nil {
			t.Fatal(err)
		}
		return heldByKernel(c) < full
	})
}

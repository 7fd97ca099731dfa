package proxyproto

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gearloop/test/await"
)

// listening is a Listener, and what it accepts and refuses.
type listening struct {
	*Listener
	mu       sync.Mutex
	accepted []string // RemoteAddr without port, and what is read
	refused  []string
}

func listen(t *testing.T, networks ...string) *listening {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listening{}
	cfg := Config{Patience: await.Limit, Waiting: 2, Bad: func(_ netip.AddrPort, reason error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = append(l.refused, reason.Error())
	}}
	for _, n := range networks {
		cfg.Networks = append(cfg.Networks, netip.MustParsePrefix(n))
	}
	l.Listener = NewListener(inner, cfg)
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			ended.Go(func() {
				if socket, ok := c.(syscall.Conn); !ok {
					t.Errorf("%s: what the kernel holds of it can't be seen", c.RemoteAddr())
				} else if _, err := socket.SyscallConn(); err != nil {
					t.Error(err)
				}
				text, _ := io.ReadAll(c)
				c.Close()
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				l.mu.Lock()
				defer l.mu.Unlock()
				l.accepted = append(l.accepted, host+" "+string(text))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		ended.Wait()
	})
	return l
}

// send connects, sends a text and closes its side.
func (l *listening) send(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (l *listening) wants(t *testing.T, accepted, refused []string) {
	t.Helper()
	await.Until(t, "all connections are accepted or refused", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.accepted) >= len(accepted) && len(l.refused) >= len(refused)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.accepted)
	if !slices.Equal(l.accepted, accepted) {
		t.Errorf("accepted %q, want %q", l.accepted, accepted)
	}
	for i, want := range refused {
		if i >= len(l.refused) || !strings.Contains(l.refused[i], want) {
			t.Errorf("refused %q, want %q", l.refused, refused)
		}
	}
}

// TestListener: a proxy's connection has the address of its client, without a header it ends; silent ones
// hold up nobody, and a look without a byte is no fault.
func TestListener(t *testing.T) {
	l := listen(t, "127.0.0.0/8")
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l.send(t, "") // a load balancer looks
	l.send(t, "PROXY TCP4 10.0.0.7 10.0.0.1 4000 80\r\nhello")
	l.send(t, "PROXY UNKNOWN\r\nfor itself")
	bad := l.send(t, "GET / HTTP/1.1\r\n\r\n")
	l.wants(t, []string{"10.0.0.7 hello", "127.0.0.1 for itself"}, []string{"no PROXY header"})
	if n, err := bad.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a connection without a header goes on")
	}
}

// TestListenerOthers: who is no proxy is accepted as it is, and its header is not read.
func TestListenerOthers(t *testing.T) {
	l := listen(t, "10.0.0.0/8")
	l.send(t, "PROXY TCP4 10.0.0.7 10.0.0.1 4000 80\r\nhello")
	l.wants(t, []string{"127.0.0.1 PROXY TCP4 10.0.0.7 10.0.0.1 4000 80\r\nhello"}, nil)
}

// TestListenerCloses: Close ends connections whose header has not come, before and while the listener
// accepts.
func TestListenerCloses(t *testing.T) {
	l := listen(t, "127.0.0.0/8")
	var silent []net.Conn
	for range 5 { // more than may wait
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	await.Until(t, "headers are waited for", func() bool { return len(l.room) == 2 })
	l.Close()
	for _, c := range silent {
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("a connection goes on")
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.accepted)+len(l.refused)+len(l.silent) > 0 {
		t.Errorf("accepted %q, refused %q, %d wait", l.accepted, l.refused, len(l.silent))
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused := NewListener(inner, Config{})
	unused.Close()
	if _, err := unused.Accept(); err != net.ErrClosed {
		t.Error(err)
	}
}

package peers

import (
	"bytes"
	"net"
	"strings"
	"sync"
)

// announcements parses Gearloop's standard output and collects the addresses in its lines "listening on
// ADDR".
type announcements struct {
	complete chan struct{} // closed once want addresses are known

	mu    sync.Mutex
	want  int
	found []string
	rest  []byte // an incomplete line
	other tail   // all other lines
}

func newAnnouncements(want int) *announcements {
	return &announcements{want: want, complete: make(chan struct{})}
}

func (a *announcements) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = append(a.rest, p...)
	for {
		line, rest, ok := bytes.Cut(a.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		a.parse(string(line))
		a.rest = rest
	}
}

func (a *announcements) parse(line string) {
	addr, ok := strings.CutPrefix(line, "listening on ")
	if !ok {
		a.other.Write([]byte(line + "\n"))
		return
	}
	a.found = append(a.found, dialable(strings.TrimSpace(addr)))
	if len(a.found) == a.want {
		close(a.complete)
	}
}

func (a *announcements) addrs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.found...)
}

func (a *announcements) String() string { return a.other.String() }

// dialable replaces the unspecified address of a listener by loopback.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || strings.HasPrefix(addr, "unix:") {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if ip != nil && ip.To4() == nil {
			return net.JoinHostPort("::1", port)
		}
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

package peers

import "sync"

// tailLimit bounds the output that is kept of a server, in bytes.
const tailLimit = 256 << 10

// tail is an io.Writer that keeps the last tailLimit bytes or a little more.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	// Cutting only at twice the limit keeps the cost of copying constant per byte.
	if len(t.buf) > 2*tailLimit {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailLimit:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

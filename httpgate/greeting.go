package httpgate

import (
	"bytes"
	"io"
	"net"
	"slices"
)

// greeting is a connection whose first request may be malformed in ways that clients of old servers are:
// empty lines before it, several spaces in the request line, a target without a slash, no Host header. Such
// clients do not reuse connections, so later requests are not repaired.
type greeting struct {
	net.Conn
	head   []byte // bytes read, or repaired and not handed out yet
	ready  bool   // head is complete
	passed bool   // head was handed out, or is not worth repairing
}

// Read returns the first request's head once it is complete.
func (c *greeting) Read(p []byte) (int, error) {
	for !c.ready && !c.passed {
		if err := c.gather(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	c.head, c.passed = nil, true
	return c.Conn.Read(p)
}

// gather reads once, and repairs the head when it is complete.
func (c *greeting) gather() error {
	c.head = slices.Grow(c.head, 1<<10)
	from := max(len(c.head)-len("\n\r"), 0)
	n, err := c.Conn.Read(c.head[len(c.head):cap(c.head)])
	c.head = c.head[:len(c.head)+n]
	// Empty lines before the request do not end the head.
	if rest := bytes.TrimLeft(c.head, "\r\n"); len(rest) < len(c.head) {
		c.head, from = append(c.head[:0], rest...), 0
	}
	if fresh := c.head[min(from, len(c.head)):]; hasEnd(fresh) {
		c.head, c.ready = mend(c.head), true
		return nil
	}
	if len(c.head) > maxHeader {
		c.ready = true // net/http reports the error
		return nil
	}
	return err
}

// hasEnd reports whether b contains the empty line that ends the headers.
func hasEnd(b []byte) bool {
	return bytes.Contains(b, []byte("\n\r\n")) || bytes.Contains(b, []byte("\n\n"))
}

// mend returns head, and the bytes after it, with a request line and a Host that net/http accepts.
func mend(head []byte) []byte {
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	words := bytes.FieldsFunc(bytes.TrimSuffix(line, []byte("\r")), func(r rune) bool { return r == ' ' })
	if len(words) != 3 {
		return head
	}
	target := words[1]
	if target[0] != '/' && !bytes.Contains(target, []byte("://")) {
		target = append([]byte{'/'}, target...)
	}
	out := make([]byte, 0, len(head)+len("/\r\nHost:\r\n"))
	out = append(append(out, words[0]...), ' ')
	out = append(append(out, target...), ' ')
	out = append(append(out, words[2]...), "\r\n"...)
	if !hasHost(rest) {
		out = append(out, "Host:\r\n"...)
	}
	return append(out, rest...)
}

// hasHost looks for the header in the lines up to the empty one.
func hasHost(lines []byte) bool {
	for {
		line, rest, more := bytes.Cut(lines, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 || !more {
			return false
		}
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Host")) {
			return true
		}
		lines = rest
	}
}

// ReadFrom lets the kernel move results from socket to socket.
func (c *greeting) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(writer{c.Conn}, r)
}

// CloseWrite lets net/http close a connection without losing its answer to a request that it did not read
// completely.
func (c *greeting) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}

// writer hides all methods of w except Write.
type writer struct{ w io.Writer }

func (w writer) Write(p []byte) (int, error) { return w.w.Write(p) }

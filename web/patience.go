package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// Patience is the default of Config.Patience.
const Patience = 10 * time.Second

// Write ends with an error when the peer has read nothing for the patience once or twice. A slow peer that
// reads goes on, however large the answer is.
func (c *slotConn) Write(b []byte) (n int, err error) {
	// The bytes that the kernel held a patience ago. It takes more only when a third of its buffer is free, so a
	// peer that reads slowly shows here first.
	waiting := -1
	for {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.patience)) // where it is not possible there is no connection
		k, err := c.Conn.Write(b[n:])
		n += k
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		now := c.held(c.Conn)
		if k == 0 && waiting >= 0 && now >= waiting {
			return n, err
		}
		waiting = now
	}
}

// patient gives the body of each request a deadline that begins anew with each part that comes. Without it a
// peer that announces a body and sends none would keep its handler for ever.
func patient(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w), patience: patience}
			b.wait()
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

// patientBody is a body with a deadline.
type patientBody struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
}

// wait begins the time that the peer has for the next part.
func (b *patientBody) wait() { _ = b.control.SetReadDeadline(time.Now().Add(b.patience)) }

func (b *patientBody) Read(p []byte) (int, error) {
	b.wait()
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // the server goes on reading, to notice that the peer leaves
	}
	return n, err
}

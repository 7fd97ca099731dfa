//go:build !linux

package reactor

import "time"

// retryWrite is the pause after which a write that the socket did not fully accept is tried again.
const retryWrite = 20 * time.Millisecond

// writable retries blocked connections after a pause, where there is no epoll.
type writable struct{}

func newWritable(*Server) (*writable, error) { return &writable{}, nil }

// watch posts a writableMessage after retryWrite.
func (w *writable) watch(c *conn) {
	time.AfterFunc(retryWrite, func() { c.loop.mail.post(message{kind: writableMessage, conn: c}) })
}

func (w *writable) unwatch(*conn) {}

func (w *writable) stop() {}

func (w *writable) close() {}

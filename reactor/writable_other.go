//go:build !linux

package reactor

import "time"

// retryWrite is for how long a socket that did not take all of its output is left alone.
const retryWrite = 20 * time.Millisecond

// writable has blocked connections tried again after a while, where there is no epoll to say when.
type writable struct{}

func newWritable(*Server) (*writable, error) { return &writable{}, nil }

// watch posts a writableMessage after retryWrite.
func (w *writable) watch(c *conn) {
	time.AfterFunc(retryWrite, func() { c.loop.mail.post(message{kind: writableMessage, conn: c}) })
}

func (w *writable) unwatch(*conn) {}

func (w *writable) stop() {}

func (w *writable) close() {}

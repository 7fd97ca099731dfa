package httpgate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"

	"gearloop/codec"
)

// errNoHandle: the broker sent a packet about a job without its handle.
var errNoHandle = errors.New("a packet without a handle")

// broker is a connection to the broker. The caller that opened the connection closes it.
type broker struct {
	net.Conn
	in *bufio.Reader
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }}

func newBroker(c net.Conn) *broker {
	in := readers.Get().(*bufio.Reader)
	in.Reset(c)
	return &broker{Conn: c, in: in}
}

// release returns the buffer to its pool. Nothing may be read from the connection afterwards.
func (b *broker) release() {
	b.in.Reset(nil)
	readers.Put(b.in)
	b.in = nil
}

// next returns type and size of the next packet. The caller reads its data.
func (b *broker) next() (codec.Type, int64, error) {
	return codec.ReadResponseHeader(b.in)
}

// handle reads a packet's first argument. rest is the number of data bytes after it.
func (b *broker) handle(size int64) (handle string, rest int64, err error) {
	data, err := b.in.Peek(int(min(size, readerSize)))
	// The connection may end inside a large packet, but its handle must be complete.
	arg, _, cut := bytes.Cut(data, []byte{0})
	if err != nil && !cut {
		return "", 0, err
	}
	if !cut && size > readerSize || len(arg) == 0 {
		return "", 0, errNoHandle
	}
	handle = string(arg)
	n := len(arg)
	if cut {
		n++
	}
	b.in.Discard(n)
	return handle, size - int64(n), nil
}

// text reads the data of a small packet, or the beginning of a large one.
func (b *broker) text(size int64) (string, error) {
	data := make([]byte, min(size, maxErrorText))
	_, err := io.ReadFull(b.in, data)
	return string(data), err
}

// copyTo relays n bytes: first what is buffered, then the rest directly, so that the kernel can splice it.
func (b *broker) copyTo(w io.Writer, n int64) error {
	if have := min(int64(b.in.Buffered()), n); have > 0 {
		data, _ := b.in.Peek(int(have))
		if _, err := w.Write(data); err != nil {
			return err
		}
		b.in.Discard(int(have))
		n -= have
	}
	if n == 0 {
		return nil
	}
	_, err := io.CopyN(w, b.Conn, n)
	return err
}

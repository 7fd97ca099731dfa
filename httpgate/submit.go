package httpgate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gearloop/codec"
)

// failure is a status for the client that no packet caused.
type failure struct {
	status int
	text   string // for people; may be empty
}

func (f failure) Error() string { return f.text }

var (
	errTooLarge = failure{http.StatusRequestEntityTooLarge, "the argument is larger than the job server allows"}
	errSlow     = failure{http.StatusRequestTimeout, "the body does not arrive"}
	errBody     = failure{http.StatusBadRequest, "the body can't be read"}
	errNoBroker = failure{http.StatusServiceUnavailable, "the job server takes no connection"}
	errStuck    = failure{http.StatusServiceUnavailable, "the job server does not take the argument"}
	errSilent   = failure{http.StatusGatewayTimeout, "the job server does not answer"}
	errLost     = failure{http.StatusBadGateway, "the job server ended the connection"}
	errFull     = failure{http.StatusServiceUnavailable, "too many requests"}
	errFunction = failure{http.StatusServiceUnavailable, "too many requests for this function"}
	errClient   = failure{http.StatusServiceUnavailable, "too many requests from this address"}
	errKept     = failure{http.StatusServiceUnavailable, "too much is buffered for requests"}
	errName     = failure{http.StatusBadRequest, "the name of a function has no control characters"}
)

// errConnections is sent before the client has sent a request.
var errConnections = failure{http.StatusServiceUnavailable, "too many connections from this address"}

// errGone: the client has closed its connection.
var errGone = errors.New("the client went away")

// exchange is one request and its answer.
type exchange struct {
	gate   *Gate
	w      http.ResponseWriter
	r      *http.Request
	rc     *http.ResponseController
	job    submission
	broker *broker
	detach func() bool // stops the end of the request from closing broker
	handle string
	asked  bool // the broker owes a STATUS_RES
}

// pieces are buffers for arguments, a little larger than pieceSize so that the packet's head fits too.
var pieces = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// submit reads the argument and sends the job to the broker. A short argument is read completely before the
// gate connects; a long one is relayed in pieces.
func (x *exchange) submit() error {
	body := &bodyReader{x: x, begun: time.Now()}
	method, length := x.r.Method, x.r.ContentLength
	switch {
	case x.job.size()+max(length, 0) > x.gate.cfg.MaxPacket:
		return errTooLarge
	case method == http.MethodGet, method == http.MethodHead:
		// GET and HEAD have no argument, as in C gearmand. Their body is read and dropped, because net/http notices
		// that the client has gone only behind it.
		if _, err := io.Copy(io.Discard, io.LimitReader(body, x.gate.cfg.MaxPacket)); err != nil {
			return err
		}
		return x.send(nil, 0)
	case length < 0:
		return x.sendUnknown(body)
	default:
		return x.send(body, length)
	}
}

// send sends the job with an argument of length bytes from body.
func (x *exchange) send(body io.Reader, length int64) error {
	buf := pieces.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= 2*pieceSize {
			buf.Reset()
			pieces.Put(buf)
		}
	}()
	// ReadFrom wants MinRead bytes free even at the end of its input.
	buf.Grow(codec.HeaderSize + int(x.job.size()+min(length, wholeBody)) + 2*bytes.MinRead)
	buf.Write(x.job.appendHead(buf.AvailableBuffer(), length))
	if 0 < length && length <= wholeBody {
		if _, err := io.CopyN(buf, body, length); err != nil {
			return asBodyError(err)
		}
		length = 0
	}
	if err := x.dial(); err != nil {
		return err
	}
	if err := x.write(buf.Bytes()); err != nil {
		return err
	}
	for length > 0 {
		buf.Reset()
		n, err := io.CopyN(buf, body, min(length, pieceSize))
		if err != nil {
			return asBodyError(err)
		}
		if err := x.write(buf.Bytes()); err != nil {
			return err
		}
		length -= n
	}
	return nil
}

// sendUnknown buffers an argument of unknown length and then sends the job.
func (x *exchange) sendUnknown(body io.Reader) error {
	p := parts{budget: &x.gate.budget}
	defer p.free()
	if err := p.readAll(body, x.gate.cfg.MaxPacket-x.job.size()); err != nil {
		return err
	}
	if err := x.dial(); err != nil {
		return err
	}
	if err := x.write(x.job.appendHead(nil, p.size)); err != nil {
		return err
	}
	for _, b := range p.blocks {
		if err := x.write(b); err != nil {
			return err
		}
	}
	return nil
}

// dial connects to the broker. The end of the request closes the connection.
func (x *exchange) dial() error {
	ctx, cancel := context.WithTimeout(x.r.Context(), x.gate.cfg.StallTimeout)
	if client, err := netip.ParseAddrPort(x.r.RemoteAddr); err == nil {
		ctx = context.WithValue(ctx, clientKey{}, client.Addr().Unmap())
	}
	defer cancel()
	c, err := x.gate.cfg.Dial(ctx)
	if err != nil {
		x.gate.cfg.Log.Debug("HTTP: no connection to the job server", "error", err)
		return errNoBroker
	}
	x.broker = newBroker(c)
	x.detach = context.AfterFunc(x.r.Context(), func() { c.Close() })
	return nil
}

// clientKey is the key of a request's client in the context that Config.Dial gets.
type clientKey struct{}

// Client returns the address of the client for whom Config.Dial is called with this context.
func Client(ctx context.Context) netip.Addr {
	client, _ := ctx.Value(clientKey{}).(netip.Addr)
	return client
}

// write sends b to the broker. It may block while the broker is short of memory, but no longer than
// StallTimeout.
func (x *exchange) write(b []byte) error {
	x.broker.SetWriteDeadline(time.Now().Add(x.gate.cfg.StallTimeout))
	if _, err := x.broker.Write(b); err != nil {
		if isTimeout(err) {
			return errStuck
		}
		return errLost
	}
	return nil
}

// end releases what dial acquired.
func (x *exchange) end() {
	if x.broker == nil {
		return
	}
	x.detach()
	x.broker.Close()
	x.broker.release()
}

// bodyReader reads a body with a limit on pauses and a minimum rate.
type bodyReader struct {
	x     *exchange
	begun time.Time
	read  int64
}

func (b *bodyReader) Read(p []byte) (int, error) {
	stall := b.x.gate.cfg.StallTimeout
	limit := time.Now().Add(stall)
	if whole := b.begun.Add(stall + time.Duration(b.read/slowest)*time.Second); whole.Before(limit) {
		limit = whole
	}
	b.x.rc.SetReadDeadline(limit)
	n, err := b.x.r.Body.Read(p)
	b.read += int64(n)
	if err == io.EOF {
		b.x.rc.SetReadDeadline(time.Time{})
		return n, err
	}
	return n, asBodyError(err)
}

// asBodyError translates an error of reading the body for the client.
func asBodyError(err error) error {
	var f failure
	switch {
	case err == nil || errors.As(err, &f) || errors.Is(err, errGone):
		return err
	case isTimeout(err):
		return errSlow
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errGone
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return errGone // a reset
	}
	return errBody
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

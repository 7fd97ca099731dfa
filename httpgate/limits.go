package httpgate

import "time"

// What a Config leaves out.
const (
	defaultMaxPacket     = 64 << 20
	defaultMaxRequests   = 4096
	defaultMaxBuffered   = 256 << 20
	defaultQueueTimeout  = 5 * time.Minute
	defaultHeaderTimeout = 10 * time.Second
	defaultStallTimeout  = 30 * time.Second
	defaultIdleTimeout   = 2 * time.Minute
)

const (
	// maxHeader is how much request line and headers may take together, in bytes. More gets 431.
	maxHeader = 64 << 10
	// spareConnections is how many connections may be open beyond one per request: those that idle, or
	// have yet to send one. More wait to be accepted.
	spareConnections = 1024
	// slowest is how many bytes per second a client has to send of a body, over its whole length.
	slowest = 1 << 10

	// wholeBody is the longest argument that is gathered before the broker hears of it, in bytes. It
	// then goes out in one piece with its header.
	wholeBody = 64 << 10
	// pieceSize is how much of a longer one is passed on at a time, in bytes.
	pieceSize = 64 << 10
	// resultPiece is how much of a result may be written without the client's time beginning anew, in bytes.
	resultPiece = 256 << 10

	// readerSize is the buffer for packets from the broker, in bytes. A handle has to fit in.
	readerSize = 4 << 10
	// maxErrorText is how much of an ERROR packet is repeated to the client, in bytes.
	maxErrorText = 1 << 10
)

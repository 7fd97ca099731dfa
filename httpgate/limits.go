package httpgate

import "time"

// Defaults of Config.
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
	// maxHeader bounds request line and headers together, in bytes. A larger head gets 431.
	maxHeader = 64 << 10
	// spareConnections is how many connections may be open beyond MaxRequests: idle ones, and those that have
	// not sent a request yet. More wait in the kernel.
	spareConnections = 1024
	// slowest is the minimum rate of a body, in bytes per second, averaged over its length.
	slowest = 1 << 10

	// wholeBody is the longest argument that is read completely before the gate connects to the broker, in
	// bytes. It is sent in one write with its header.
	wholeBody = 64 << 10
	// pieceSize is the size of the pieces in which a longer argument is relayed, in bytes.
	pieceSize = 64 << 10
	// resultPiece is how much of a result may be written before the client's time starts anew, in bytes.
	resultPiece = 256 << 10

	// readerSize is the buffer for packets from the broker, in bytes. A handle must fit.
	readerSize = 4 << 10
	// maxErrorText is how much of an ERROR packet's text the client is sent, in bytes.
	maxErrorText = 1 << 10
)

package httpgate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Config configures a Gate. Only Dial is required.
type Config struct {
	// Dial connects to the broker, once per request. ctx ends with the request, or after StallTimeout. Client
	// returns the address of the client from ctx.
	Dial func(ctx context.Context) (net.Conn, error)
	// MaxPacket is the largest packet that the broker accepts, in bytes of data: function, unique id and
	// argument. A larger request gets 413. 0 means 64 MiB; the maximum is 2 GiB.
	MaxPacket int64
	// MaxRequests bounds the jobs under way; a request beyond it gets 503. One function, and one client, may
	// hold three slots for each free one: three quarters of all when alone. A client is an IPv4 address or an
	// IPv6 /64. 0 means 4096.
	MaxRequests int
	// MaxBuffered bounds the bytes buffered for all requests together: bodies of unknown length, and data that
	// precede a result. 0 means 256 MiB.
	MaxBuffered int64
	// Hosts are the names accepted in Host, without port, in addition to localhost and all IP addresses. Any
	// other Host gets 403, because a stranger's domain may point at this server (DNS rebinding). AnyHost accepts
	// every name.
	Hosts []string
	// Server is the value of the Server header; empty omits it.
	Server string

	// QueueTimeout is the longest time a job may wait for a worker. After it the request gets 504 and the job is
	// dropped. A running job is not limited. If the broker does not answer within StallTimeout more, the client
	// gets 504 as well. 0 means 5 minutes, a negative value no limit.
	QueueTimeout time.Duration
	// HeaderTimeout is the time a client has to send request line and headers. 0 means 10 s.
	HeaderTimeout time.Duration
	// StallTimeout is the longest time without progress while a body is read or an answer is written. 0 means 30
	// s.
	StallTimeout time.Duration
	// IdleTimeout is how long an idle connection stays open for another request. 0 means 2 minutes.
	IdleTimeout time.Duration

	// Log gets each request at level debug, and rejected requests at level warn: the 1st, 2nd, 4th, 8th and so
	// on of each reason. nil disables logging.
	Log *slog.Logger
}

// Gate is the HTTP gateway of a broker. It implements http.Handler.
type Gate struct {
	cfg    Config
	server *http.Server
	guard  guard
	budget budget
	slots  chan struct{} // holds an element for each open connection

	counters counters

	ctx  context.Context // cancelled when requests must end
	stop context.CancelFunc

	mu     sync.Mutex
	active int // requests with a job
	// The slots that each function, client and connecting client holds.
	functions            share[string]
	clients, connections share[netip.Prefix]
	closed               bool          // no new requests
	idle                 chan struct{} // closed once closed is set and active is 0
}

// New returns a Gate. The caller must end it with Shutdown.
func New(cfg Config) *Gate {
	cfg.MaxPacket = min(orDefault(cfg.MaxPacket, defaultMaxPacket), math.MaxInt32)
	cfg.MaxRequests = orDefault(cfg.MaxRequests, defaultMaxRequests)
	cfg.MaxBuffered = orDefault(cfg.MaxBuffered, defaultMaxBuffered)
	if cfg.QueueTimeout == 0 {
		cfg.QueueTimeout = defaultQueueTimeout
	}
	cfg.HeaderTimeout = orDefault(cfg.HeaderTimeout, defaultHeaderTimeout)
	cfg.StallTimeout = orDefault(cfg.StallTimeout, defaultStallTimeout)
	cfg.IdleTimeout = orDefault(cfg.IdleTimeout, defaultIdleTimeout)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gate{
		cfg:   cfg,
		guard: newGuard(cfg.Hosts),
		slots: make(chan struct{}, cfg.MaxRequests+spareConnections),
		idle:  make(chan struct{}),

		functions: share[string]{}, clients: share[netip.Prefix]{}, connections: share[netip.Prefix]{},
	}
	g.budget.limit = cfg.MaxBuffered
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.server = &http.Server{
		Handler:                      g,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            cfg.HeaderTimeout,
		IdleTimeout:                  cfg.IdleTimeout,
		MaxHeaderBytes:               maxHeader,
		ConnState:                    g.state,
		ErrorLog:                     slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return g.ctx },
	}
	return g
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Serve accepts connections from l until Shutdown, which closes l; it then returns nil. It may be called for
// several listeners.
func (g *Gate) Serve(l net.Listener) error {
	err := g.server.Serve(&listener{Listener: l, gate: g, done: make(chan struct{})})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops accepting connections and requests, and returns when the last running request is answered.
// When ctx ends first, it breaks off the remaining requests and returns ctx's error. It also waits for
// connections younger than five seconds that have not sent a request.
func (g *Gate) Shutdown(ctx context.Context) error {
	err := g.server.Shutdown(ctx)
	if err != nil {
		g.server.Close()
	}
	g.end()
	return err
}

// end waits for the requests that are left. All of them have lost their connection.
func (g *Gate) end() {
	g.stop()
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		if g.active == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	<-g.idle
}

// underWay returns the number of requests with a job.
func (g *Gate) underWay() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.active
}

// state is called by net/http when a connection changes its state.
func (g *Gate) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateActive:
		// net/http itself may have to answer, and the deadline of the previous request may have passed.
		c.SetWriteDeadline(time.Now().Add(g.cfg.StallTimeout))
	case http.StateClosed:
		g.dismiss(clientOf(c.RemoteAddr().String()))
	}
}

// listener bounds the number of open connections.
type listener struct {
	net.Listener
	gate *Gate
	once sync.Once
	done chan struct{}
}

// Accept waits for a slot and then for a connection. state frees the slot when net/http closes the
// connection. A client with too many connections is answered here.
func (l *listener) Accept() (net.Conn, error) {
	for {
		select {
		case l.gate.slots <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.gate.slots
			return nil, err
		}
		if l.gate.admit(clientOf(c.RemoteAddr().String())) {
			return &greeting{Conn: c}, nil
		}
		l.gate.turnAway(&l.gate.counters.Connections, errConnections, c.RemoteAddr().String())
		c.SetWriteDeadline(time.Now().Add(l.gate.cfg.StallTimeout)) // the buffer of a new socket has room for it
		io.WriteString(c, tooManyConnections)
		c.Close()
		<-l.gate.slots
	}
}

// tooManyConnections answers a connection beyond its client's share.
const tooManyConnections = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

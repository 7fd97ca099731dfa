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

// Config says where jobs go and what is bounded. Only Dial is needed.
type Config struct {
	// Dial connects to the broker. It is called once per request, and may wait until ctx ends: with the
	// request, or after StallTimeout. Client tells for whom it is.
	Dial func(ctx context.Context) (net.Conn, error)
	// MaxPacket is the largest packet that the broker takes, in bytes of data: function, unique id and
	// argument. A request for more gets 413. 0 is 64 MiB, and 2 GiB the most.
	MaxPacket int64
	// MaxRequests is how many jobs may be under way; a request beyond gets 503. One function and one client may have
	// three for each place that is free: three quarters when alone. A client is an IPv4 address or an IPv6 network
	// of 64 bits. 0 is 4096.
	MaxRequests int
	// MaxBuffered bounds what is kept for all requests together, in bytes: bodies without a length,
	// and data that came before a result. 0 is 256 MiB.
	MaxBuffered int64
	// Hosts are the names under which requests are taken, without port, beside localhost and every address. A
	// request with another Host gets 403: the name of a stranger's page may be pointed at this server. With
	// AnyHost in it every name is taken.
	Hosts []string
	// Server is the value of the header of that name; empty is none.
	Server string

	// QueueTimeout is the longest time in which a job may wait for a worker; then its request gets 504, and no
	// worker gets the job for it any more. A job that a worker has may take as long as it does. When the broker does
	// not answer for StallTimeout longer, the client gets 504, too. 0 is 5 minutes, negative is no bound.
	QueueTimeout time.Duration
	// HeaderTimeout is the time a client has for request line and headers. 0 is 10 s.
	HeaderTimeout time.Duration
	// StallTimeout is the longest time in which nothing of a body arrives or nothing of an answer is
	// taken. 0 is 30 s.
	StallTimeout time.Duration
	// IdleTimeout is the time that a connection is kept for another request. 0 is 2 minutes.
	IdleTimeout time.Duration

	// Log gets requests at level debug, and requests that are turned away at level warn: for each reason the 1st,
	// 2nd, 4th, 8th and so on. nil is silence.
	Log *slog.Logger
}

// Gate is the HTTP side of a broker. It is an http.Handler.
type Gate struct {
	cfg    Config
	server *http.Server
	guard  guard
	budget budget
	slots  chan struct{} // one for each connection that is open

	counters counters

	ctx  context.Context // ends when everything has to
	stop context.CancelFunc

	mu     sync.Mutex
	active int // requests with a job
	// Who holds their places, and those of connections.
	functions            share[string]
	clients, connections share[netip.Prefix]
	closed               bool          // no more are taken
	idle                 chan struct{} // closed once closed and none active
}

// New returns a Gate. It has to be ended with Shutdown or Close.
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

// Serve accepts connections from l until the end, which closes l. It returns nil when that was asked
// for with Shutdown. Several listeners can be served at the same time.
func (g *Gate) Serve(l net.Listener) error {
	err := g.server.Serve(&listener{Listener: l, gate: g, done: make(chan struct{})})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown accepts no more connections and requests, and returns when the last running request has been answered.
// When ctx ends before, the rest is broken off and the error of ctx returned. A connection that was opened less than
// five seconds ago and has not sent a request is waited for, too.
func (g *Gate) Shutdown(ctx context.Context) error {
	err := g.server.Shutdown(ctx)
	if err != nil {
		g.server.Close()
	}
	g.end()
	return err
}

// end waits for the requests that are still there, all of which have lost their connection.
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

// underWay returns the number of requests whose jobs are under way.
func (g *Gate) underWay() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.active
}

// state follows the life of a connection for net/http.
func (g *Gate) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateActive:
		// The time of an answer that net/http gives by itself. A deadline of the request before may have passed.
		c.SetWriteDeadline(time.Now().Add(g.cfg.StallTimeout))
	case http.StateClosed:
		g.dismiss(clientOf(c.RemoteAddr().String()))
	}
}

// listener bounds the connections that are open at a time.
type listener struct {
	net.Listener
	gate *Gate
	once sync.Once
	done chan struct{}
}

// Accept waits for a place and then for a connection. net/http gives the place back, through state. A client that has
// its share of the places gets its answer here.
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
		c.SetWriteDeadline(time.Now().Add(l.gate.cfg.StallTimeout)) // a new socket has room for it at once
		io.WriteString(c, tooManyConnections)
		c.Close()
		<-l.gate.slots
	}
}

// tooManyConnections is the answer to a connection that is one too many of its client.
const tooManyConnections = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/web/guard"
)

// Limits for a peer of the web listener.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 32 << 10 // bytes
	endTime    = 3 * time.Second
)

// MaxConnections is the default limit of connections of all network listeners together; more wait to be
// accepted.
const MaxConnections = 256

// maxSocketConnections bounds the connections of unix sockets, which count separately: whoever fills the
// network's places must not lock the administrator out.
const maxSocketConnections = 32

// Config configures a Server.
type Config struct {
	Log   *slog.Logger
	Guard *guard.Guard
	// Mount adds handlers to the mux, each behind Guard.Need. Patterns are those of net/http.
	Mount []func(*http.ServeMux)
	// API serves everything under api.Prefix. The mux would clean paths, which contain names. nil: no API.
	API http.Handler
	// Traffic counts requests; nil: no counts.
	Traffic *Traffic
	// TLS is for listeners added with secure.
	TLS *tls.Config
	// MaxConnections is the limit of connections over the network; 0 means the constant MaxConnections.
	MaxConnections int
	// Patience is how long a peer may neither read its answer nor send the body of its request; 0 means the
	// constant Patience. A peer that does not read is cut off after twice that time at the latest.
	Patience time.Duration
}

// Server serves requests on its listeners.
type Server struct {
	cfg  Config
	http *http.Server

	listeners []net.Listener
	slots     chan struct{} // of connections over the network
	ofSockets chan struct{} // of connections over unix sockets
	serving   sync.WaitGroup
	ctx       context.Context // ends when streams must end
	stop      context.CancelFunc
}

// New returns a server without listeners.
func New(cfg Config) *Server {
	mux := http.NewServeMux()
	for _, mount := range cfg.Mount {
		mount(mux)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cfg.API != nil && strings.HasPrefix(r.URL.Path, api.Prefix) {
			cfg.API.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	whole := cfg.Guard.Wrap(handler)
	if cfg.Traffic != nil {
		whole = cfg.Traffic.counted(whole)
	}
	cfg.Patience = cmp.Or(cfg.Patience, Patience)
	whole = patient(whole, cfg.Patience)
	most := cmp.Or(cfg.MaxConnections, MaxConnections)
	s := &Server{cfg: cfg, slots: make(chan struct{}, most), ofSockets: make(chan struct{}, min(most, maxSocketConnections))}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           whole,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext:       guard.OnSocket,
	}
	return s
}

// Add adds a listener, which Start serves. secure wraps it in TLS.
func (s *Server) Add(l net.Listener, secure bool) {
	slots := s.slots
	if l.Addr().Network() == "unix" {
		slots = s.ofSockets
	}
	l = &bounded{Listener: l, slots: slots, patience: s.cfg.Patience, done: make(chan struct{})}
	if secure {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	s.listeners = append(s.listeners, l)
}

// Start serves requests.
func (s *Server) Start() {
	for _, l := range s.listeners {
		s.serving.Go(func() {
			if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
				s.cfg.Log.Error("the web listener has ended", "address", l.Addr().String(), "error", err)
			}
		})
	}
}

// End ends streams at once, waits briefly for other requests to be answered, and returns when nothing of the
// server is running.
func (s *Server) End() {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	for _, l := range s.listeners {
		l.Close() // in case the server was not started
	}
	s.serving.Wait()
}

// bounded limits the open connections.
type bounded struct {
	net.Listener
	slots    chan struct{}
	patience time.Duration // see Config
	once     sync.Once
	done     chan struct{}
}

// Accept waits for a slot and then for a connection, which frees the slot when it is closed.
func (l *bounded) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotConn{Conn: c, slots: l.slots, patience: l.patience, held: heldByKernel}, nil
}

func (l *bounded) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// slotConn is a connection that occupies a slot. It gives up a peer that does not read, see Write.
type slotConn struct {
	net.Conn
	slots    chan struct{}
	patience time.Duration
	held     func(net.Conn) int // heldByKernel, except in tests
	once     sync.Once
}

func (c *slotConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}

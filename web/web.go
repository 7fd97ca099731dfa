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

// Bounds of what a peer of the web listener may take.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 32 << 10 // bytes
	endTime    = 3 * time.Second
)

// MaxConnections is how many connections all listeners together have at a time as a rule; more wait to be accepted.
const MaxConnections = 256

// Config says what is served to whom.
type Config struct {
	Log   *slog.Logger
	Guard *guard.Guard
	// Mount puts handlers into the mux, each behind Guard.Need. Patterns are net/http's.
	Mount []func(*http.ServeMux)
	// API serves what is under api.Prefix. The mux would clean paths, in which names stand. nil: there is no API.
	API http.Handler
	// TLS is for listeners that Listen is given with secure set.
	TLS *tls.Config
	// MaxConnections is how many connections there may be; 0 is MaxConnections.
	MaxConnections int
}

// Server serves requests on its listeners.
type Server struct {
	cfg  Config
	http *http.Server

	listeners []net.Listener
	slots     chan struct{}
	serving   sync.WaitGroup
	ctx       context.Context // ends when streams have to
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
	s := &Server{cfg: cfg, slots: make(chan struct{}, cmp.Or(cfg.MaxConnections, MaxConnections))}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           cfg.Guard.Wrap(handler),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext:       guard.OnSocket,
	}
	return s
}

// Add has requests of a listener served once Start is called. secure speaks TLS on it.
func (s *Server) Add(l net.Listener, secure bool) {
	l = &bounded{Listener: l, slots: s.slots, done: make(chan struct{})}
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

// End ends streams at once, gives other requests a moment to be answered, and returns when nothing of the server
// is left running.
func (s *Server) End() {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	for _, l := range s.listeners {
		l.Close() // those of a server that was not started
	}
	s.serving.Wait()
}

// bounded bounds the connections that are open at a time.
type bounded struct {
	net.Listener
	slots chan struct{}
	once  sync.Once
	done  chan struct{}
}

// Accept waits for a place and then for a connection, which gives the place back when it is closed.
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
	return &slotConn{Conn: c, slots: l.slots}, nil
}

func (l *bounded) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// slotConn is a connection that holds a place.
type slotConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *slotConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}

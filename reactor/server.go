package reactor

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"gearloop/admin"
	"gearloop/internal/acl"
	"gearloop/internal/dialect"
	"gearloop/internal/proxyproto"
	"gearloop/sched"
)

// Config configures a server. Sizes are in bytes.
type Config struct {
	Dialect *dialect.Dialect
	Sched   *sched.Sched
	Admin   *admin.Admin
	Log     *slog.Logger

	Loops           int           // event loops; 0 = one per core
	MinLoops        int           // event loops that always run by themselves; below 1 = 1
	Accept          int           // connections of a listener that may be on their way to a loop
	MaxPacket       int           // limit for the data of one packet
	MaxOutbound     int           // limit for the buffered output of one connection
	MaxMemory       int64         // limit for payloads in transit; 0 = none
	MaxConnections  int           // 0 = what the descriptors and AutoConnections allow
	AutoConnections int           // connections for which there is memory; 0 = no limit
	SocketBuffer    int           // the kernel's buffer of a connection in each direction; 0 = the kernel's default
	Descriptors     int           // reserved for others in this process
	Backlog         int           // connections that may wait to be accepted, as in listen(2); 0 = the system's maximum
	DeadPeerAfter   time.Duration // silence of a peer's machine after which its connection is closed; 0 = never
	UnixMode        fs.FileMode   // permissions of unix sockets; 0 = DefaultUnixMode
	UnixOwner       *Owner        // of unix sockets; nil = the process's
	// KeepAlive replaces DeadPeerAfter for TCP connections, if enabled. Negative values mean the system's.
	KeepAlive net.KeepAliveConfig
	// TLS is required for tls:// addresses. Set DynamicRecordSizingDisabled: records are gathered before they
	// are written.
	TLS *tls.Config

	// Passed are inherited listeners, by the NAME in addresses fd:NAME.
	Passed map[string][]net.Listener

	// Proxies are the networks whose connections must begin with a PROXY header. If there are any, a header from
	// another network closes the connection.
	Proxies proxyproto.Networks
	// ACL is the access list; nil: every peer may do everything that Admin.Allow permits.
	ACL *acl.List

	DrainTimeout time.Duration // how long Drain waits for jobs; 0 = no limit

	now func() time.Time // set by tests; nil: time.Now
}

// Server is a running broker.
type Server struct {
	cfg      Config
	log      *slog.Logger
	client   *gnet.Client
	clock    *clock
	fetcher  *fetcher
	pressure *pressure
	watcher  *watcher
	writable *writable
	settling sched.Effects // effects of the store's events
	settler  atomic.Bool   // a loop is about to handle the store's answers
	leased   atomic.Bool   // stored jobs may be handed out until some moment
	// answering is the loop of the submitter that Flushed found last; for the store's goroutine alone.
	answering *loop

	listeners  []net.Listener
	doors      []*door // one for each listener
	acceptors  sync.WaitGroup
	slots      *slots
	handovers  chan struct{} // an element for each connection that may be on its way to a loop
	portable   bool          // set by tests: connections come to their loops as on systems other than Linux
	handshakes *handshakes
	proxied    *proxied
	// guestsBring is broughtConns, except in tests.
	guestsBring int
	// proxyPatience is ProxyPatience, except in tests.
	proxyPatience time.Duration

	layout  layout
	loopsMu sync.Mutex
	loops   map[gnet.EventLoop]*loop
	looped  atomic.Pointer[[]*loop] // all values of loops; replaced, never changed
	pacers  []*pacer

	connections atomic.Int64
	reading     atomic.Int64 // bytes of incomplete payloads and of waiting input
	begun       time.Time
	halfClosed  halfClosed
	counters    Counters
	ids         atomic.Uint64 // the last connection number
	limit       atomic.Int64  // of connections
	entrants    atomic.Int64  // connections that gnet is about to register: loops must return to it
	running     atomic.Bool   // all listeners accept
	stamps      *stamps       // nil unless Watch was called
	timedTurns  uint64
	tooLarge    seldom // the log line about packets over --max-packet
	headers     seldom // the log line about PROXY headers
	refusals    refusals
	noRight     seldom // the log line about refusals

	endMu   sync.Mutex   // guards from checking for the end to acceptors.Add
	ended   atomic.Bool  // the loops are ending, with all connections
	rousing sync.RWMutex // held for reading while a loop is roused, for writing while ended is set
	// Closed when the server begins to end, must not wait for jobs, must not wait for anything.
	ending, forced, aborted       chan struct{}
	endOnce, forceOnce, abortOnce sync.Once
}

// New returns a server. It does nothing before Serve.
func New(cfg Config) (*Server, error) {
	s := &Server{
		cfg: cfg, log: cfg.Log, loops: map[gnet.EventLoop]*loop{}, timedTurns: timedTurns,
		ending: make(chan struct{}), forced: make(chan struct{}), aborted: make(chan struct{}),
	}
	s.proxied, s.proxyPatience = newProxied(), ProxyPatience
	s.guestsBring = broughtConns
	s.halfClosed.sockets = map[net.Conn]*halfOpen{}
	s.clock = newClock(s)
	s.fetcher = newFetcher(s)
	s.pressure = newPressure(s)
	s.begun = s.clock.read().Add(-time.Second) // so that uptime is never 0
	s.watcher = newWatcher(s)
	cfg.Admin.Objects = s.objects
	var err error
	s.client, err = gnet.NewClient(&gnetEvents{server: s},
		gnet.WithNumEventLoop(cfg.Loops), gnet.WithMulticore(cfg.Loops == 0),
		gnet.WithReadBufferCap(readSize), gnet.WithLogger(gnetLog{cfg.Log}),
		gnet.WithTCPNoDelay(gnet.TCPDelay)) // leaves it as it is; package net has set TCP_NODELAY
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Serve runs the server on its listeners (see Listen) until Shutdown or Drain. It calls ready once all
// listeners accept.
func (s *Server) Serve(ready func()) error {
	reserved, err := s.fitDescriptors()
	if err != nil {
		return err
	}
	limit, admins, room, err := connectionLimit(s.cfg.MaxConnections, reserved)
	if err != nil {
		return err
	}
	handovers := s.cfg.Accept * len(s.listeners)
	if s.cfg.MaxConnections == 0 && s.cfg.AutoConnections > 0 {
		limit = min(limit, s.cfg.AutoConnections)
	}
	s.slots = newSlots(limit, admins, room, &s.counters, s.log)
	s.limit.Store(int64(limit))
	s.handovers = make(chan struct{}, max(handovers, 1))
	s.handshakes = newHandshakes(limit)
	if s.writable, err = newWritable(s); err != nil {
		return err
	}
	defer s.writable.close()
	if err := s.client.Start(); err != nil {
		s.writable.stop()
		return err
	}
	defer s.stopPacers()
	if err := s.startPacers(); err != nil {
		s.writable.stop()
		return errors.Join(err, s.client.Stop())
	}
	s.layout.begin(s)
	s.clock.start()
	s.fetcher.start()
	s.pressure.start()
	s.watcher.start()
	s.stamps.start(s)
	for i, l := range s.listeners {
		if !s.acceptInLoops(l, s.doors[i]) {
			s.accept(l, s.doors[i])
		}
	}
	s.running.Store(true)
	ready()

	<-s.ending
	s.proxied.stop()
	s.handshakes.stop()
	s.slots.end()
	s.acceptors.Wait() // until every accepted connection has its loop
	s.drain()
	s.flush()
	// Nobody may wake a loop that has ended: gnet would write to a descriptor that it has closed.
	s.fetcher.stop()
	s.pressure.stop()
	s.watcher.stop()
	s.clock.stop()
	s.stamps.stop()
	s.writable.stop()
	s.cfg.Sched.Freeze() // connections that close from now on end no jobs
	s.layout.end()
	s.rousing.Lock() // until nobody is about to rouse a loop
	s.ended.Store(true)
	s.rousing.Unlock()
	s.enters() // never undone
	err = s.client.Stop()
	for _, l := range s.allLoops() {
		l.dropFans()
	}
	s.settleRest()
	s.halfClosed.stop()
	return err
}

// Drain ends the server gracefully: it accepts no more connections, and ends when no job is queued or running
// or Config.DrainTimeout has passed.
func (s *Server) Drain() {
	s.endOnce.Do(func() {
		// Closed here, so that a caller of Drain finds nobody listening afterwards.
		for _, l := range s.listeners {
			l.Close()
		}
		s.endMu.Lock()
		close(s.ending)
		s.endMu.Unlock()
	})
}

// Shutdown ends the server without waiting for jobs. Buffered output is still written.
func (s *Server) Shutdown() {
	s.forceOnce.Do(func() { close(s.forced) })
	s.Drain()
}

// Abort ends the server at once, without waiting for anything.
func (s *Server) Abort() {
	s.abortOnce.Do(func() { close(s.aborted) })
	s.Shutdown()
}

// act does what a text command requests.
func (s *Server) act(a admin.Action) {
	switch a {
	case admin.Drain:
		s.log.Info("draining: asked to by text command")
		s.Drain()
	case admin.Shutdown:
		s.log.Info("ending: asked to by text command")
		s.Shutdown()
	}
}

// drain waits until no job is left that could be done.
func (s *Server) drain() {
	s.cfg.Sched.Shelve()
	s.fetcher.putOffAll()
	var timeout <-chan time.Time
	if s.cfg.DrainTimeout > 0 {
		t := time.NewTimer(s.cfg.DrainTimeout)
		defer t.Stop()
		timeout = t.C
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	told := time.Time{}
	for {
		queued, running := s.cfg.Sched.Outstanding()
		if queued+running == 0 {
			return
		}
		if time.Since(told) > drainReport {
			told = time.Now()
			s.cfg.Sched.DropUnwanted(told)
			s.log.Info("draining; a second signal ends at once", "queued", queued, "running", running)
		}
		select {
		case <-s.forced:
			s.log.Warn("ending with jobs left", "queued", queued, "running", running)
			return
		case <-timeout:
			s.log.Warn("drain timeout: ending with jobs left", "queued", queued, "running", running)
			return
		case <-poll.C:
		}
	}
}

// flush waits until all output is written, or flushTime has passed.
func (s *Server) flush() {
	deadline := time.After(flushTime)
	// A loop may be between the end of a job and sending the result to another loop.
	s.onEachLoop(func(*loop) bool { return false })
	for s.onEachLoop(func(l *loop) bool { l.flushAll(); return l.pending() }) || s.halfClosed.count() > 0 {
		select {
		case <-deadline:
			s.log.Warn("ending with output that peers did not take")
			return
		case <-s.aborted:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// onEachLoop runs a function on every loop, one after the other, and reports whether one of them
// returned true.
func (s *Server) onEachLoop(f func(*loop) bool) bool {
	any := false
	for _, l := range s.allLoops() {
		result := make(chan bool, 1)
		l.do(func() { result <- f(l) })
		any = <-result || any
	}
	return any
}

func (s *Server) allLoops() []*loop {
	if all := s.looped.Load(); all != nil {
		return *all
	}
	return nil
}

// loop returns our part of a gnet event loop.
func (s *Server) loop(el gnet.EventLoop) *loop {
	s.loopsMu.Lock()
	defer s.loopsMu.Unlock()
	l := s.loops[el]
	if l == nil {
		l = newLoop(s, el)
		l.index = len(s.loops)
		s.loops[el] = l
		all := append(slices.Clone(s.allLoops()), l)
		s.looped.Store(&all)
	}
	return l
}

// buffered returns the memory of the output of all connections, in bytes.
func (s *Server) buffered() int64 {
	var sum int64
	for _, l := range s.allLoops() {
		sum += l.buffered.Load()
	}
	return sum
}

var errClosed = errors.New("connection is closed")

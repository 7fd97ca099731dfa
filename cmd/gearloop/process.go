package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"gearloop/admin"
	"gearloop/internal/acl"
	"gearloop/internal/dialect"
	"gearloop/internal/heapgoal"
	"gearloop/internal/peerlink"
	"gearloop/internal/proxyproto"
	"gearloop/internal/sdnotify"
	"gearloop/internal/tlsfiles"
	"gearloop/internal/view"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/store/postgres"
)

// process is a server with everything that belongs to it in this process.
type process struct {
	*options
	file      *logFile
	log       *slog.Logger
	out       io.Writer
	signals   <-chan os.Signal
	scheduler *sched.Sched
	server    *reactor.Server
	restored  bool                            // the settings of functions were read from the database
	store     keeper                          // nil: jobs are in memory only
	engine    atomic.Pointer[postgres.Engine] // the same, if other brokers share it
	unwatch   context.CancelFunc              // ends watchUnattended; nil: it does not run
	peers     peerlink.Link                   // to these
	tlsFiles  *tlsfiles.Source                // nil: no TLS
	acl       *acl.List                       // nil: no access list; only --allow-admin restricts peers
	gateway   *gateway                        // nil: no HTTP
	side      *webSide                        // nil: neither --web nor --admin-socket
	manager   *sdnotify.Notifier
	report    *reporter
	reloads   reloads
	passed    map[string][]net.Listener // from the service manager, by name and by number
	life      *view.Source              // checks that the server lives; nil: nobody asks, or side does
	started   time.Time
	requests  int          // concurrent requests of the gateway
	debug     *debugServer // nil: no profiles
	addresses []string
	account   *account // to switch to; nil: no change
	// Memory for payloads in bytes; 0 = no limit.
	memoryLimit int64
	plan        memoryPlan
	heap        *heapgoal.Keeper // nil: GOGC is set
	queueLimit  int64            // of what waits for the disk
}

// build creates a server from the options and opens its listeners.
func (p *process) build() error {
	if err := p.inheritSockets(); err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	if p.account, err = lookUpAccount(p.user); err != nil {
		return usageError{err}
	}
	if err := p.account.mayBecome(); err != nil {
		return err
	}
	plan, err := p.planMemory()
	if err != nil {
		return err
	}
	plan.limitHeap()
	p.plan, p.memoryLimit, p.queueLimit = plan, plan.jobs, plan.queued
	p.started = time.Now()
	wakeup, herd := p.wakeups()
	config := sched.Config{
		Dialect:      p.dialect.Dialect,
		HandlePrefix: cmp.Or(p.handlePrefix, p.shared.handlePrefix(), "H:"+hostname),
		Wakeup:       wakeup,
		Herd:         herd,
		WakeupDelay:  p.wakeupPause(),
		MaxMemory:    plan.jobs,
		Exceptions:   p.exceptions,
		JobRetries:   p.lossesAllowed(),
		Populate:     populate,
		Start:        p.started,
	}
	if p.web.on() {
		config.Metrics = &sched.MetricsConfig{Functions: p.web.functions, Histograms: p.web.histograms}
		config.KeepArguments = true
	}
	if p.roundRobin {
		config.Assign = dialect.RoundRobin
	}
	if os.Getenv("GOGC") == "" {
		p.heap = heapgoal.NewKeeper()
		config.Grown = p.heap.Wake
	}
	scheduler := sched.New(config)
	p.scheduler = scheduler
	addresses := p.tls.secure(p.listenOn())
	if p.tlsFiles, err = p.tls.open(slices.Concat(addresses, p.web.listen)); err != nil {
		return err
	}
	if p.acl, err = p.access.open(); err != nil {
		return err
	}
	var secure *tls.Config
	if p.tlsFiles != nil {
		secure = p.tlsFiles.Config()
	}
	descriptors := 0
	if p.protocol == "http" {
		if p.requests, descriptors, err = gatewayRequests(); err != nil {
			return err
		}
	}
	connections := 0
	if p.web.on() {
		if connections, err = webConnections(); err != nil {
			return err
		}
		descriptors += connections + len(p.web.listen) + 1
	}
	if len(p.access.proxies) > 0 { // whose headers are waited for
		listeners := len(p.web.listen)
		if p.protocol == "http" {
			listeners += len(addresses)
		}
		descriptors += listeners * maxProxied
	}
	others := 1 // accepts connections
	if p.keeps() {
		others++ // one waits for the disk or the database nearly all the time
	}
	// Operators' requests need no thread of their own: they yield to the loops every few steps (internal/view).
	if secure != nil || p.protocol == "http" {
		others = max(others, runtime.GOMAXPROCS(0))
	}
	limitProcessors(p.loops, others)
	commands := &admin.Admin{
		Sched: scheduler, Dialect: p.dialect.Dialect, Version: p.clientVersion(), Allow: p.allowAdmin.Allow,
		Verbose: levelName(p.logLevel.Level),
	}
	if p.shared.url != "" {
		commands.Brokers = peerlink.NewDoor(p.self)
	}
	p.server, err = reactor.New(reactor.Config{
		Dialect:         p.dialect.Dialect,
		Sched:           scheduler,
		Admin:           commands,
		Log:             p.log,
		Loops:           p.loops,
		MinLoops:        p.minLoops,
		Accept:          p.accept,
		MaxPacket:       int(p.maxPacket),
		MaxOutbound:     int(p.maxOutbound),
		MaxConnections:  p.maxConnections,
		AutoConnections: plan.connections,
		SocketBuffer:    plan.socketBuffer,
		MaxMemory:       plan.jobs,
		Descriptors:     descriptors,
		Backlog:         int(p.backlog),
		DeadPeerAfter:   time.Duration(p.deadPeerAfter),
		UnixMode:        fs.FileMode(p.unixMode),
		UnixOwner:       p.account.owner(),
		KeepAlive:       p.keepAliveConfig(),
		TLS:             secure,
		ACL:             p.acl,
		Proxies:         proxyproto.Networks(p.access.proxies),
		DrainTimeout:    time.Duration(p.drainTimeout),
		Passed:          p.passed,
	})
	if err != nil {
		return err
	}
	go giveBackMemory(demandOf(scheduler, p.server))
	for _, l := range addresses {
		opened, err := p.server.Listen(l, int(p.port))
		if err != nil {
			return listenError(l, err)
		}
		p.addresses = append(p.addresses, opened...)
	}
	if p.protocol == "http" {
		if p.gateway, err = p.newGateway(); err != nil {
			return err
		}
		p.addresses = append(p.addresses, p.gateway.addresses()...)
		servers := commands.Objects
		commands.Objects = func() []admin.Objects { return append(servers(), p.gateway.objects()...) }
	}
	if p.web.on() {
		if p.side, err = p.newWeb(connections); err != nil {
			return err
		}
	}
	p.report = p.newReporter()
	if p.debugListen != "" {
		p.debug, err = p.openDebug()
	}
	return err
}

// clientVersion returns the version that clients get. In the C dialect it is the C server's, because some
// clients choose features by it.
func (p *process) clientVersion() string {
	if p.dialect.Dialect == dialect.C {
		return versionOfC
	}
	return version
}

// keepAliveConfig returns the settings of --keepalive; not enabled without it.
func (o *options) keepAliveConfig() net.KeepAliveConfig {
	return net.KeepAliveConfig{
		Enable: o.keepAlive, Idle: systemsIfNegative(o.keepAliveIdle), Interval: systemsIfNegative(o.keepAliveInterval),
		Count: int(o.keepAliveCount),
	}
}

// systemsIfNegative converts seconds to a duration, a negative number to -1 ns.
func systemsIfNegative(seconds int32) time.Duration {
	if seconds < 0 {
		return -1
	}
	return time.Duration(seconds) * time.Second
}

// dropRoot drops root: ports and keys are open; everything opened later belongs to the user.
func (p *process) dropRoot() error {
	if err := p.account.become(); err != nil {
		return err
	}
	if p.coredump {
		if err := dumpCore(); err != nil {
			return err
		}
	}
	err := p.account.mayNot(p.file.open())
	if err != nil && p.logMayFail {
		fmt.Fprintf(console, "%s: the log goes to standard error: %v\n", programName, err)
		err = nil
	}
	if err != nil {
		return err
	}
	p.warnOfTLS()
	p.warnOfACL()
	p.warnOfRotation()
	p.warnOfSockets()
	if p.side != nil {
		p.warnOfWeb()
		p.side.start()
	}
	if p.life != nil {
		p.life.Start()
	}
	if !p.keeps() {
		return nil
	}
	return p.account.mayNot(p.report.during("loading stored jobs", loadReport, p.openStore)) // after dropRoot, because the files belong to the user
}

// giveUp closes what was opened for a server that will not run.
func (p *process) giveUp() {
	if p.server != nil {
		p.server.Abort()
	}
	if p.gateway != nil {
		p.gateway.end()
	}
	if err := p.closeStore(); err != nil {
		p.log.Error("closing the store", "error", err)
	}
	if p.side != nil {
		p.side.end()
	}
	if p.debug != nil {
		p.debug.end()
	}
	if p.life != nil {
		p.life.End()
	}
}

// run runs the server to its end.
func (p *process) run() error {
	var pidErr error
	started := false
	p.handleSignals()
	if p.heap != nil {
		p.heap.Start(p.scheduler)
		defer p.heap.Stop()
	}
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go p.watchRefusals(watching)
	err := p.server.Serve(func() {
		if pidErr = p.account.mayNot(writePidfile(p.pidfile)); pidErr != nil && !p.pidfileMayFail {
			p.server.Abort()
			return
		}
		started = true
		if p.gateway != nil {
			p.gateway.start()
		}
		if p.debug != nil {
			p.debug.start()
		}
		p.announce()
	})
	if p.gateway != nil {
		p.gateway.end()
	}
	if p.side != nil {
		p.side.end()
	}
	err = errors.Join(err, p.closeStore())
	if p.life != nil {
		p.life.End()
	}
	p.report.end()
	if p.debug != nil {
		p.debug.end()
	}
	if p.pidfile != "" && pidErr == nil {
		removePidfile(p.pidfile)
	}
	if !started {
		return errors.Join(pidErr, err)
	}
	if err != nil {
		p.log.Error("ended with an error", "error", err) // a process in the background has no other place to report it
		return err
	}
	p.log.Info("ended")
	return nil
}

// announce reports that the server listens.
func (p *process) announce() {
	if p.plan.tooLarge() {
		p.log.Warn("--max-memory and --max-connections allow more memory than there is: the system may end the server",
			"max_memory", p.plan.jobs, "with_all_else", p.plan.needed, "available", p.plan.tightest.heap,
			"limit", p.plan.tightest.bytes, "limited_by", p.plan.tightest.whose)
	}
	p.log.Info("started", "version", version, "revision", builtFrom(), "dialect", p.dialect.Name, "loops", p.loops, "pid", os.Getpid(),
		"addresses", p.addresses, "max_memory", p.memoryLimit)
	if !p.quiet {
		// Standard output may be a pipe without a reader.
		said := &lines{write: writeTo(func() io.Writer { return p.out })}
		outputs = append(outputs, said)
		for _, a := range p.addresses {
			fmt.Fprintln(said, "listening on", a)
		}
	}
	p.report.start()
	if inBackground() {
		flushOutputs() // descriptors are closed now
		leaveForeground()
	}
}

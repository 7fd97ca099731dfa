package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gearloop/admin"
	"gearloop/httpgate"
	"gearloop/internal/acl"
	"gearloop/internal/dialect"
	"gearloop/internal/proxyproto"
	"gearloop/internal/sdnotify"
	"gearloop/internal/tlsfiles"
	"gearloop/internal/view"
	"gearloop/reactor"
	"gearloop/sched"
	"gearloop/store/disk"
)

// process is a server with what belongs to it in this process.
type process struct {
	*options
	file      *logFile
	log       *slog.Logger
	out       io.Writer
	signals   <-chan os.Signal
	scheduler *sched.Sched
	server    *reactor.Server
	disk      *disk.Disk       // nil: jobs are kept in memory only
	tlsFiles  *tlsfiles.Source // nil: no TLS
	acl       *acl.List        // nil: everybody may do everything, but for what --allow-admin says
	gateway   *gateway         // nil: no HTTP
	side      *webSide         // nil: no --web and no --admin-socket
	manager   *sdnotify.Notifier
	report    *reporter
	passed    map[string][]net.Listener // by the service manager, by name and number
	life      *view.Source              // looks whether the server lives; nil: nobody asks, or side does
	started   time.Time
	requests  int          // of the gateway, at a time
	debug     *debugServer // nil: no profiles
	addresses []string
	account   *account // to become; nil: as it was started
	// What payloads may take, in bytes; 0 = no bound.
	memoryLimit int64
	queueLimit  int64 // of what waits for the disk
}

// build makes a server of the options, and has it listen.
func (p *process) build() error {
	if err := p.takeSockets(); err != nil {
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
	if plan.tooLarge() {
		p.log.Warn("--max-memory and --max-connections allow more memory than there is: the system may end the server",
			"max_memory", plan.jobs, "with_all_else", plan.needed, "available", plan.tightest.heap,
			"limit", plan.tightest.bytes, "limited_by", plan.tightest.whose)
	}
	plan.limitHeap()
	go giveBackMemory()
	p.memoryLimit, p.queueLimit = plan.jobs, plan.queued
	p.started = time.Now()
	config := sched.Config{
		Dialect:      p.dialect.Dialect,
		HandlePrefix: cmp.Or(p.handlePrefix, "H:"+hostname),
		Wakeup:       p.wakeup,
		WakeupDelay:  p.wakeupPause(),
		MaxMemory:    plan.jobs,
		Exceptions:   p.exceptions,
		JobRetries:   p.lossesAllowed(),
		Start:        p.started,
	}
	if p.web.on() {
		config.Metrics = &sched.MetricsConfig{Functions: p.web.functions, Histograms: p.web.histograms}
		config.KeepArguments = true
	}
	if p.roundRobin {
		config.Assign = dialect.RoundRobin
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
	others := 1 // who accepts connections
	if p.dataDir != "" {
		others++ // one waits for the disk nearly all the time
	}
	// What operators ask for has no thread of its own: it lets the loops go first every few steps (internal/view).
	if secure != nil || p.protocol == "http" {
		others = max(others, runtime.GOMAXPROCS(0))
	}
	limitProcessors(p.loops, others)
	commands := &admin.Admin{
		Sched: scheduler, Dialect: p.dialect.Dialect, Version: p.told(), Allow: p.allowAdmin.Allow,
		Verbose: levelName(p.logLevel.Level),
	}
	p.server, err = reactor.New(reactor.Config{
		Dialect:         p.dialect.Dialect,
		Sched:           scheduler,
		Admin:           commands,
		Log:             p.log,
		Loops:           p.loops,
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
	for _, l := range addresses {
		opened, err := p.server.Listen(l, int(p.port))
		if err != nil {
			return listenError(l, err)
		}
		p.addresses = append(p.addresses, opened...)
	}
	if p.protocol == "http" {
		if p.gateway, err = newGateway(p.server, p.addresses, p.httpPortNumber, p.gatewayConfig()); err != nil {
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
		p.debug, err = newDebugServer(p.debugListen, p.log)
	}
	return err
}

// maxJobRetries is the largest bound of --job-retries: a job counts no further.
const maxJobRetries = math.MaxUint16

// lossesAllowed returns --job-retries; 0 is no bound. -1 is that, too: to the C server it is the largest number there
// is.
func (o *options) lossesAllowed() int {
	if o.jobRetries > maxJobRetries {
		return 0
	}
	return int(o.jobRetries)
}

// gatewayConfig returns how the gateway is set up. It may keep as much as the server may for packets that it reads.
func (p *process) gatewayConfig() httpgate.Config {
	queueTimeout := time.Duration(p.httpQueueTimeout)
	if queueTimeout == 0 {
		queueTimeout = -1 // no bound, in the gateway's terms
	}
	return httpgate.Config{
		QueueTimeout: queueTimeout,
		MaxPacket:    int64(p.maxPacket), MaxRequests: p.requests, MaxBuffered: p.memoryLimit / 4,
		Hosts: p.httpNames(), Server: "Gearman/" + p.told(), Log: p.log,
	}
}

// told returns the version that clients are told: some choose by it what they can use, so that it is
// that of the C server in its dialect.
func (p *process) told() string {
	if p.dialect.Dialect == dialect.C {
		return versionOfC
	}
	return version
}

// keepAliveConfig returns what was asked for with --keepalive; without it, it is not enabled.
func (o *options) keepAliveConfig() net.KeepAliveConfig {
	return net.KeepAliveConfig{
		Enable: o.keepAlive, Idle: systemsIfNegative(o.keepAliveIdle), Interval: systemsIfNegative(o.keepAliveInterval),
		Count: int(o.keepAliveCount),
	}
}

// systemsIfNegative returns a number of seconds as a duration, any negative one as -1 ns.
func systemsIfNegative(seconds int32) time.Duration {
	if seconds < 0 {
		return -1
	}
	return time.Duration(seconds) * time.Second
}

// dropRoot goes over from what root could open to the process that stays: ports below 1024 and keys
// have been had, everything else belongs to the user.
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
	if p.side != nil {
		p.warnOfWeb()
		p.side.start()
	}
	if p.life != nil {
		p.life.Start()
	}
	if p.dataDir == "" {
		return nil
	}
	return p.account.mayNot(p.report.during("loading stored jobs", loadReport, p.openStore)) // as the user, to whom its files belong
}

// warnOfRotation warns when the user that the server has become cannot make a new log file: after the file was moved
// away the log would go on in the old one.
func (p *process) warnOfRotation() {
	file := p.file.current()
	if p.account == nil || file == nil {
		return
	}
	dir := filepath.Dir(p.file.path)
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() && unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		p.log.Warn("the user cannot make files in the directory of the log: SIGHUP will not open a new one after it was "+
			"moved; have logrotate copy it (copytruncate) or make the new one (create)", "user", p.account.name, "directory", dir)
	}
}

// giveUp closes what was opened for a server that does not come to run.
func (p *process) giveUp() {
	if p.server != nil {
		p.server.Abort()
	}
	if p.gateway != nil {
		p.gateway.end()
	}
	if err := p.closeStore(); err != nil {
		p.log.Error("closing", "error", err)
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
		p.log.Error("ended with an error", "error", err) // a process in the background has nobody else to tell
		return err
	}
	p.log.Info("ended")
	return nil
}

// announce tells everybody that the server listens.
func (p *process) announce() {
	p.log.Info("started", "version", version, "revision", builtFrom(), "dialect", p.dialect.Name, "loops", p.loops, "pid", os.Getpid(),
		"addresses", p.addresses, "max_memory", p.memoryLimit)
	if !p.quiet {
		// Nobody may read it.
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

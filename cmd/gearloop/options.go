package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gearloop/internal/dialect"
)

// options is everything that can be set for a server, with its default.
type options struct {
	dialect dialectFlag
	port    uint16
	listen  []string
	loops   int

	wakeup      int
	wakeupDelay float64 // seconds
	accept      int

	maxPacket      size
	maxOutbound    size
	maxMemory      size
	maxConnections int
	deadPeerAfter  duration
	drainTimeout   duration
	dataDir        string
	sync           syncFlag
	allowAdmin     adminFlag
	tls            tlsOptions

	pidfile   string
	daemonize bool
	logFile   string
	logLevel  levelFlag
	logFormat string
	debug     int
	version   bool

	debugListen string // host:port; "" is none

	// What a server does its own way that is started in place of another.
	endsAtOnce     bool // SIGTERM does not wait for jobs
	logMayFail     bool // a log file that can't be opened is replaced by standard error
	pidfileMayFail bool // the name of the pid file is a guess: going without it is no fault
	quiet          bool // nothing is printed on standard output

	gearmandOptions
}

// maxLoops is the largest number of event loops.
const maxLoops = 256

// defaults returns the options before flags and environment.
func defaults() *options {
	return &options{
		dialect: dialectFlag{dialect.Perl}, port: 4730, wakeup: dialect.Perl.Wakeup,
		wakeupDelay: dialect.Perl.WakeupDelay.Seconds(), accept: 10,
		maxPacket: 64 << 20, maxOutbound: 256 << 20, maxMemory: automatic,
		deadPeerAfter: duration(90 * time.Second),
		logLevel:      levelFlag{slog.LevelInfo}, logFormat: "text",
	}
}

// register makes a flag of every option.
func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.Var(&o.dialect, "dialect", "the `name` of the server to speak like: "+strings.Join(dialect.Names(), ", "))
	f.Uint16VarP(&o.port, "port", "p", o.port, "port for addresses that name none; 0 is any free one")
	f.StringArrayVarP(&o.listen, "listen", "L", nil, "`address` to listen on: host, host:port, [v6]:port, :port or unix:PATH; repeatable (default all addresses)")
	f.IntVar(&o.loops, "loops", 0, "`number` of event loops; 0 is one for every two cores")
	f.IntVar(&o.wakeup, "wakeup", o.wakeup, "`number` of sleeping workers to wake for each job; -1 is all, 0 none")
	f.Float64Var(&o.wakeupDelay, "wakeup-delay", o.wakeupDelay, "`seconds` until as many more are woken while jobs wait; -1 is never, 0 as fast as possible")
	f.IntVar(&o.accept, "accept", o.accept, "`number` of connections that each listener takes at a time")
	f.Var(&o.maxPacket, "max-packet", "largest packet that is taken, in `bytes` of data (K, M, G are understood)")
	f.Var(&o.maxOutbound, "max-outbound", "output in `bytes` that is buffered for a peer that does not read, before it is cut off")
	f.Var(autoSize{&o.maxMemory}, "max-memory", "memory for jobs in `bytes`, then new ones are refused; 0 is no bound, auto 70 % of what the machine or its control group has")
	f.StringVar(&o.dataDir, "data-dir", "", "`directory` to keep background jobs in, so that they outlive the server; without it they are kept in memory only")
	f.Var(&o.sync, "sync", "`when` a background job counts as kept: always (on the disk; outlives a power loss), interval=10ms (written, on the disk that much later) or none (written)")
	f.Uint32Var(&o.jobRetries, "job-retries", 0, "`number` of workers that may lose a stored job until it fails; 0 is no bound")
	f.IntVar(&o.maxConnections, "max-connections", 0, "`number` of connections at a time, more wait to be accepted; 0 is what the file descriptors allow")
	f.Var(&o.deadPeerAfter, "dead-peer-after", "`time`, as 90 (seconds) or 1m30s, after which a peer whose machine does not answer any more is taken for gone; 0 is never")
	f.Var(&o.allowAdmin, "allow-admin", "`who` may send text commands that change something (shutdown, maxqueue, create, drop, cancel): local (loopback and unix sockets), any, unix (unix sockets only) or none")
	f.Var(&o.drainTimeout, "drain-timeout", "longest `time` to wait for jobs when ending gracefully; 0 is as long as it takes")
	f.StringVar(&o.pidfile, "pidfile", o.pidfile, "`file` to write the process id to, once the server listens")
	f.BoolVarP(&o.daemonize, "daemonize", "d", false, "run in the background; without --log-file its log goes nowhere")
	f.StringVar(&o.logFile, "log-file", o.logFile, "`file` to append the log to, instead of standard error")
	f.Var(&o.logLevel, "log-level", "least `level` to log: debug, info, warn, error")
	f.StringVar(&o.logFormat, "log-format", o.logFormat, "`text` or json: the form of log lines")
	f.IntVar(&o.debug, "debug", 0, "`level` from 1 on is the same as --log-level=debug")
	f.Var(&setter{typ: "address", set: o.setDebugListen}, "debug-listen", "`address` to serve profiles on, for go tool pprof: a port, which is one of 127.0.0.1, or host:port")
	o.tls.register(f)
	f.BoolVarP(&o.version, "version", "V", false, "print the version and leave")
}

// check finds what is wrong with the options, each with itself and with the others.
func (o *options) check() error {
	switch {
	case o.wakeup < -1:
		return fmt.Errorf("--wakeup is %d: it must be -1 (all), 0 (none) or more", o.wakeup)
	case o.wakeupDelay < 0 && o.wakeupDelay != -1 || o.wakeupDelay != o.wakeupDelay || o.wakeupDelay > 1e9:
		return fmt.Errorf("--wakeup-delay is %v: it must be -1 (never), 0 (as fast as possible) or seconds", o.wakeupDelay)
	case o.accept < 1 || o.accept > 1000:
		return fmt.Errorf("--accept is %d: it must be from 1 to 1000", o.accept)
	case o.loops < 0 || o.loops > maxLoops:
		return fmt.Errorf("--loops is %d: it must be from 0 (one for every two cores) to %d", o.loops, maxLoops)
	case o.maxPacket < 1<<10 || o.maxPacket > 1<<32-1:
		return fmt.Errorf("--max-packet is %v: it must be from 1K to 4G", o.maxPacket)
	case o.maxOutbound < 1<<10:
		return fmt.Errorf("--max-outbound is %v: it must be at least 1K", o.maxOutbound)
	case o.maxConnections < 0:
		return fmt.Errorf("--max-connections is %d: it must not be negative", o.maxConnections)
	case o.deadPeerAfter < 0 || o.drainTimeout < 0:
		return fmt.Errorf("--dead-peer-after and --drain-timeout must not be negative")
	case o.logFormat != "text" && o.logFormat != "json":
		return fmt.Errorf("--log-format is %q: it must be text or json", o.logFormat)
	case o.dataDir == "" && o.sync != syncFlag{}:
		return fmt.Errorf("--sync has a meaning only with --data-dir")
	}
	if o.loops == 0 {
		// The kernel's share of the work is as large as ours, and runs beside it.
		o.loops = (runtime.NumCPU() + 1) / 2
	}
	if o.debug > 0 {
		o.logLevel.Level = slog.LevelDebug
	}
	return nil
}

// wakeupPause returns --wakeup-delay as a duration, negative for never.
func (o *options) wakeupPause() time.Duration {
	return time.Duration(o.wakeupDelay * float64(time.Second))
}

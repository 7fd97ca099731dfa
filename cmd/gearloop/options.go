package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gearloop/internal/dialect"
	"gearloop/reactor"
	"gearloop/sched"
)

// options are all options of a server, with their defaults.
type options struct {
	dialect  dialectFlag
	port     uint16
	listen   []string
	loops    int
	minLoops int

	wakeup      int // sleepers to wake for each job; of a herd only if wakeupGiven
	wakeupGiven bool
	wakeupDelay float64 // seconds
	accept      int

	maxPacket      size
	maxOutbound    size
	maxMemory      size
	maxConnections int
	unixMode       mode
	deadPeerAfter  duration
	drainTimeout   duration
	dataDir        string
	shared         sharedOptions
	sync           syncFlag
	allowAdmin     adminFlag
	access         accessOptions
	tls            tlsOptions
	web            webOptions

	pidfile   string
	daemonize bool
	logFile   string
	logLevel  levelFlag
	logFormat string
	debug     int
	checkArgs bool
	version   bool

	debugListen string // host:port; "" is none

	// Behaviour of a server that replaces another one.
	endsAtOnce     bool // SIGTERM does not wait for jobs
	logMayFail     bool // if the log file cannot be opened, standard error replaces it
	pidfileMayFail bool // the name of the pid file is a default: failing to write it is no error
	quiet          bool // nothing is printed to standard output

	asRead fileAsRead // --config-file

	gearmandOptions
}

// maxLoops is the largest number of event loops.
const maxLoops = 256

// defaults returns the options before flags and environment.
func defaults() *options {
	return &options{
		dialect: dialectFlag{dialect.Perl}, port: 4730, wakeup: dialect.Perl.Wakeup,
		unixMode: mode(reactor.DefaultUnixMode), wakeupDelay: dialect.Perl.WakeupDelay.Seconds(), accept: 10, minLoops: 1,
		maxPacket: 64 << 20, maxOutbound: 256 << 20, maxMemory: automatic,
		deadPeerAfter: duration(90 * time.Second),
		logLevel:      levelFlag{slog.LevelInfo}, logFormat: "text",
		web: webOptions{functions: 1000, histograms: 100},
	}
}

// optionGroup is a group of related options, with its heading in the help text and in docs/options.md.
type optionGroup struct {
	title string
	flags *pflag.FlagSet
}

// groups returns flags for all options, in the order of display.
func (o *options) groups() []optionGroup {
	var all []optionGroup
	for _, g := range []struct {
		title    string
		register func(*pflag.FlagSet)
	}{
		{"Addresses and connections", o.registerAddresses},
		{"TLS", o.tls.register},
		{"Jobs and workers", o.registerJobs},
		{"Stored jobs", o.registerStore},
		{"Memory", o.registerMemory},
		{"Dashboard, API and metrics", o.web.register},
		{"Log", o.registerLog},
		{"Process", o.registerProcess},
	} {
		f := pflag.NewFlagSet(g.title, pflag.ContinueOnError)
		f.SortFlags = false
		g.register(f)
		all = append(all, optionGroup{g.title, f})
	}
	return all
}

// register defines a flag for every option.
func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	for _, g := range o.groups() {
		f.AddFlagSet(g.flags)
	}
}

func (o *options) registerAddresses(f *pflag.FlagSet) {
	f.VarP(&addresses{at: &o.listen}, "listen", "L",
		"`address` to listen on: HOST, HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or fd:NAME (of the service "+
			"manager), with tls:// before it for TLS; may be repeated (default all addresses)")
	f.VarP(&number[uint16]{at: &o.port, max: math.MaxUint16}, "port", "p",
		"port for addresses without one; 0 is any free port")
	f.Var(&o.unixMode, "unix-mode",
		"permissions of unix sockets, as an octal `mode`: whoever may write may connect; they belong to --user")
	f.Var(&number[int]{at: &o.accept, min: 1, max: 1000}, "accept",
		"`number` of new connections that each listener handles at a time")
	f.Var(&number[int]{at: &o.maxConnections, max: math.MaxInt32, rule: "0 (as many as file descriptors allow) or more"},
		"max-connections", "`number` of connections at a time; more wait to be accepted; 0 is as many as file descriptors allow")
	f.Var(&o.deadPeerAfter, "dead-peer-after",
		"close a connection whose machine has not answered for this `time`, as 90 (seconds) or 1m30s; 0 is never")
	f.Var(&o.allowAdmin, "allow-admin",
		"`who` may send text commands that change something (shutdown, maxqueue, create, drop, cancel): local "+
			"(loopback and unix sockets), any, unix (unix sockets only) or none")
	o.access.register(f)
	f.Var(&setter{typ: "address", set: o.setDebugListen}, "debug-listen",
		"`address` to serve profiles on, for go tool pprof: PORT (of 127.0.0.1), HOST:PORT or fd:NAME (of the service manager)")
}

func (o *options) registerJobs(f *pflag.FlagSet) {
	f.Var(&o.dialect, "dialect", "`name` of the server to behave like: perl (Gearman::Server) or c (gearmand)")
	f.Var(autoWakeup{o}, "wakeup",
		"`number` of sleeping workers to wake for each job; -1 is all, 0 is none, auto is 3 (all in dialect c) while up to "+
			"16 sleep for its function, else as many as jobs wait")
	f.Var(&seconds{at: &o.wakeupDelay, rule: "-1 (never), 0 (as fast as possible) or a number of seconds"},
		"wakeup-delay", "`seconds` until as many more are woken while jobs wait; -1 is never, 0 is as fast as possible")
	f.Var(&o.drainTimeout, "drain-timeout",
		"longest `time` to wait for jobs when ending gracefully; 0 is as long as it takes")
}

func (o *options) registerStore(f *pflag.FlagSet) {
	f.Var(&text{at: &o.dataDir, typ: "directory"}, "data-dir",
		"`directory` to store background jobs in, so that they survive a restart; without it they are in memory only")
	f.Var(&o.sync, "sync",
		"`when` a background job is acknowledged: always (after a disk sync), interval=10ms (after a write, synced "+
			"that much later) or none (after a write)")
	o.shared.register(f)
	f.Var(orNone{&number[uint32]{at: &o.jobRetries, max: maxJobRetries, rule: fmt.Sprintf("0 or -1 (no bound), or up to %d", maxJobRetries)}},
		"job-retries", "`number` of workers that may lose a stored job before it fails; 0 and -1 are no bound")
}

func (o *options) registerMemory(f *pflag.FlagSet) {
	f.Var(bounded{&o.maxPacket, 1 << 10, 1<<32 - 1, "at least 1K and less than 4G"}, "max-packet",
		"largest packet that is accepted, in `bytes` (K, M and G are understood)")
	f.Var(bounded{&o.maxOutbound, 1 << 10, math.MaxInt64, "at least 1K"}, "max-outbound",
		"output in `bytes` that is buffered for a peer that does not read, before it is disconnected")
	f.Var(autoSize{&o.maxMemory}, "max-memory",
		"memory for jobs in `bytes`, beyond which new ones are refused; 0 is no bound, auto is a third of the memory of "+
			"the machine or its control group, or less: as much as leaves enough for everything else")
}

func (o *options) registerLog(f *pflag.FlagSet) {
	f.Var(&text{at: &o.logFile, typ: "file"}, "log-file", "`file` to append the log to, instead of standard error")
	f.Var(&o.logLevel, "log-level", "least `level` to log: debug, info, warn or error")
	f.Var(&choice{at: &o.logFormat, words: []string{"text", "json"}, typ: "format"}, "log-format",
		"`format` of log lines: text or json")
	f.Var(&number[int]{at: &o.debug, max: 9}, "debug", "`level` from 1 on is the same as --log-level debug")
}

func (o *options) registerProcess(f *pflag.FlagSet) {
	f.Var(&text{at: &o.configFile, typ: "file"}, "config-file",
		"`file` with options, one on each line as NAME = VALUE; the command line and variables win over it")
	f.Var(&number[int]{at: &o.loops, max: maxLoops, rule: fmt.Sprintf("from 0 (one for every core) to %d", maxLoops)},
		"loops", "`number` of event loops; 0 is one for every core")
	f.Var(&number[int]{at: &o.minLoops, min: 1, max: maxLoops},
		"min-loops", "`number` of event loops that always run; the others do while there is work for them")
	f.BoolVarP(&o.daemonize, "daemonize", "d", false, "run in the background; without --log-file its log is discarded")
	f.Var(&text{at: &o.pidfile, typ: "file"}, "pidfile", "`file` to write the process id to, once the server listens")
	f.VarP(&text{at: &o.user, typ: "name"}, "user", "u",
		"`name` of the user to become once ports and keys are open, or UID:GID; the server must be started as root")
	f.BoolVar(&o.checkArgs, "check-args", false, "check the options and leave")
	f.BoolVarP(&o.version, "version", "V", false, "print the version and leave")
}

// check validates the combination of options; each value was checked when it was set.
func (o *options) check() error {
	switch {
	case o.dataDir == "" && o.sync != syncFlag{}:
		return errors.New("--sync has a meaning only with --data-dir: without it no job is stored")
	case !o.keeps() && o.jobRetries != 0 && o.dialect.Dialect == dialect.Perl:
		return errors.New("--job-retries has a meaning only with --data-dir or --store: in dialect perl a job that is not stored " +
			"fails when it loses its worker")
	case o.dataDir != "" && o.shared.url != "":
		return errors.New("--data-dir and --store exclude each other: jobs are stored in one place")
	case o.shared.url == "" && o.shared.node+o.shared.peerAddress != "":
		return errors.New("--node and --peer-address have a meaning only with --store")
	}
	if _, err := o.passedUsers(); err != nil {
		return err
	}
	if err := o.checkAccess(); err != nil {
		return err
	}
	if o.loops == 0 {
		// Only as many run as there is work and idle processors for (--min-loops).
		o.loops = min(runtime.GOMAXPROCS(0), maxLoops)
	}
	if o.debug > 0 {
		o.logLevel.Level = slog.LevelDebug
	}
	return nil
}

// checkAccess rejects options that would admit others than they promise.
func (o *options) checkAccess() error {
	if err := o.access.check(o); err != nil {
		return err
	}
	o.tls.names, o.tls.roles = o.access.file != "", o.web.tokens != "" && o.web.hasTLS()
	if err := o.tls.check(o.listenOn(), o.web.hasTLS(), o.protocol == "http"); err != nil {
		return err
	}
	return o.web.check(&o.tls)
}

// listenOn returns the addresses to listen on.
func (o *options) listenOn() []string {
	if len(o.listen) == 0 {
		return []string{fmt.Sprintf(":%d", o.port)}
	}
	return o.listen
}

// autoWakeup is a number of sleepers, or auto.
type autoWakeup struct{ o *options }

func (w autoWakeup) String() string {
	if w.o == nil || !w.o.wakeupGiven {
		return "auto"
	}
	return strconv.Itoa(w.o.wakeup)
}

func (w autoWakeup) Set(text string) error {
	if w.o.wakeupGiven = text != "auto"; !w.o.wakeupGiven {
		return nil
	}
	n := number[int]{at: &w.o.wakeup, min: -1, max: math.MaxInt32, rule: "auto, -1 (all), 0 (none) or more"}
	return n.Set(text)
}

func (w autoWakeup) Type() string { return "number" }

// wakeups returns how many sleepers are woken for each job, and the largest number of sleepers for which that
// holds, 0 for any.
func (o *options) wakeups() (each, herd int) {
	if o.wakeupGiven {
		return o.wakeup, 0
	}
	return o.dialect.Wakeup, sched.FewSleepers
}

// wakeupPause returns --wakeup-delay as a duration, negative for never.
func (o *options) wakeupPause() time.Duration {
	return time.Duration(o.wakeupDelay * float64(time.Second))
}

// addresses is the flag of the addresses to listen on.
type addresses struct{ at *[]string }

func (a *addresses) String() string { return strings.Join(*a.at, ",") }

func (a *addresses) Set(address string) error {
	if address == "" {
		return errEmpty
	}
	if err := reactor.CheckAddress(address); err != nil {
		return err
	}
	*a.at = append(*a.at, address)
	return nil
}

func (a *addresses) Type() string { return repeatable }

func (a *addresses) values() []string { return *a.at }

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gearloop/internal/dialect"
	"gearloop/sched"
)

// gearmandOptions are the options that exist only in the C server's dialect, with the meaning they have
// there.
type gearmandOptions struct {
	portText   string // a number or the name of a service; "" = the default
	help       bool
	configFile string
	buckets    uint32
	refused    []string // given options that Gearloop does not support

	backlog         int32  // 0 = the system's maximum
	fileDescriptors uint64 // 0 = the user's hard limit
	keepAlive       bool
	keepAliveIdle, keepAliveInterval,
	keepAliveCount int32 // seconds, seconds, number; -1 = the system's value
	jobRetries   uint32
	roundRobin   bool
	exceptions   bool
	handlePrefix string
	user         string
	syslog       bool
	coredump     bool
	queueType    string
	protocol     string
	httpPort     string
	httpHosts    []string // accepted values of Host beside localhost and addresses
	// The longest time that an HTTP job may wait for a worker; 0 = no limit.
	httpQueueTimeout duration

	httpPortNumber uint16 // value of httpPort

	parsed     *pflag.FlagSet // records where each value was written
	portOrigin string         // origin of portText, unless one of the flags
	strictFile bool           // unknown lines of the configuration file are rejected
}

// defaultsOfC sets the C server's own defaults, for a program that replaces it.
func (o *options) defaultsOfC() {
	o.logFile, o.pidfile, o.configFile = "/var/log/gearmand.log", "/var/gearmand.pid", "/etc/gearmand.conf"
	o.logLevel.Level = slog.LevelError
	o.quiet, o.strictFile = true, false
}

// forC changes the defaults to those of the C dialect.
func (o *options) forC() {
	o.dialect.Dialect = dialect.C
	o.wakeup, o.wakeupDelay = dialect.C.Wakeup, dialect.C.WakeupDelay.Seconds()
	o.endsAtOnce, o.logMayFail, o.strictFile = true, true, true
	o.portText, o.buckets, o.queueType, o.httpPort = defaultPort, 991, "builtin", "8080"
	o.httpQueueTimeout = duration(5 * time.Minute)
	o.keepAliveIdle, o.keepAliveInterval, o.keepAliveCount = -1, -1, -1
}

// aliases maps the C server's names of options to those of gearloop serve.
var aliases = map[string]string{
	"daemon": "daemonize", "pid-file": "pidfile", "threads": "loops", "worker-wakeup": "wakeup", "verbose": "log-level",
}

// registerC defines a flag for every option of the C server. Values are checked when the C server checks
// them: some when they are set, some only at the start.
func (o *options) registerC(f *pflag.FlagSet) {
	f.SortFlags = false
	f.VarP(integer(&o.backlog), "backlog", "b",
		"`number` of connections that may wait to be accepted; 0 is what the system allows")
	f.BoolVarP(&o.daemonize, "daemon", "d", false, "run in the background")
	f.BoolVar(&o.exceptions, "exceptions", false, "send exceptions to every client")
	f.VarP(integer(&o.fileDescriptors), "file-descriptors", "f",
		"`number` of file descriptors to allow; 0 is as many as the user may have")
	f.BoolVarP(&o.help, "help", "h", false, "print this help and leave")
	f.VarP(integer(&o.jobRetries), "job-retries", "j",
		"`number` of workers that may lose a job before it fails; 0 and -1 are no bound")
	f.StringVar(&o.handlePrefix, "job-handle-prefix", "",
		"`text` at the beginning of handles (default H: and the name of the host)")
	f.Var(integer(&o.buckets), "hashtable-buckets", "`number` that has no effect: tables grow by themselves")
	f.BoolVar(&o.keepAlive, "keepalive", false,
		"use TCP keepalive as the next three options say, instead of --dead-peer-after")
	f.Var(integer(&o.keepAliveIdle), "keepalive-idle",
		"`seconds` of silence before the first probe; -1 is the system's default")
	f.Var(integer(&o.keepAliveInterval), "keepalive-interval",
		"`seconds` between probes; -1 is the system's default")
	f.Var(integer(&o.keepAliveCount), "keepalive-count",
		"`number` of probes without an answer that end a connection; -1 is the system's default")
	f.StringVarP(&o.logFile, "log-file", "l", o.logFile, "`file` to append the log to, or stderr, or none")
	f.StringArrayVarP(&o.listen, "listen", "L", nil, "`address` to listen on: HOST, HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or fd:NAME (of the service manager), with tls:// before it for TLS; "+
		"may be repeated (default all addresses)")
	f.StringVarP(&o.pidfile, "pid-file", "P", o.pidfile, "`file` to write the process id to, once the server listens")
	f.StringVarP(&o.protocol, "protocol", "r", "", "`protocol` to serve beside Gearman's: http")
	f.BoolVarP(&o.roundRobin, "round-robin", "R", false, "serve the functions of a worker in turn")
	f.StringVarP(&o.queueType, "queue-type", "q", o.queueType, "`name` of the queue: builtin, in memory (to store jobs use --data-dir)")
	f.StringVar(&o.configFile, "config-file", o.configFile, "`file` with further options; @FILE is the same")
	f.BoolVar(&o.syslog, "syslog", false, "log to syslog beside the log file")
	f.BoolVar(&o.coredump, "coredump", false, "leave a core file behind after a crash")
	f.VarP(&setter{typ: "number", set: o.setThreads}, "threads", "t",
		"`number` of event loops; 0 is one for every core (default 0)")
	f.StringVarP(&o.user, "user", "u", "", "`name` of the user to become once ports and keys are open, or UID:GID")
	f.Var(&setter{text: levelName(o.logLevel.Level), typ: "level", set: o.setVerbose}, "verbose",
		"least `level` to log: "+strings.Join(levelNames, ", "))
	f.BoolVarP(&o.version, "version", "V", false, "print the version and leave")
	f.VarP(&setter{text: "auto", typ: "number", set: o.setWorkerWakeup}, "worker-wakeup", "w",
		"`number` of sleeping workers to wake for each job; 0 is all, auto is all while up to 16 sleep for its function, else "+
			"as many as jobs wait")
	f.StringVar(&o.httpPort, "http-port", o.httpPort, "`port` for --protocol http, or fd:NAME, sockets of the service manager")
	f.Var(&hostNames{&o.httpHosts}, "http-host",
		"`name` of this server in requests over HTTP, beside localhost, the machine's name, names of --listen and every "+
			"IP address; * is any; may be repeated")
	f.Var(&o.httpQueueTimeout, "http-queue-timeout",
		"longest `time` that a job over HTTP may wait for a worker before its request gets 504; 0 is no bound")
	f.StringVarP(&o.portText, "port", "p", o.portText,
		"`port` for addresses without one, a number or the name of a service; also the variable GEARMAND_PORT")
	f.BoolVar(&o.checkArgs, "check-args", false, "check the options and leave")
	o.registerQueues(f)
}

// queueOptions are the C server's options for external queues.
var queueOptions = []string{
	"libmemcached-servers", "libmemcached-prefix", "libsqlite3-db", "libsqlite3-table", "store-queue-on-shutdown",
	"libpq-conninfo", "libpq-table", "redis-server", "redis-port", "redis-password", "redis-prefix",
	"mysql-host", "mysql-port", "mysql-user", "mysql-password", "mysql-db", "mysql-table",
}

// insteadOfQueues says what to do instead of storing jobs in one of the C server's queues.
const insteadOfQueues = "to store jobs use --data-dir DIR; gearloop store import --from-gearmand-sqlite takes over jobs " +
	"that gearmand left in sqlite"

func notKept(option string) bool { return slices.Contains(queueOptions, option) }

// registerQueues defines a flag for every option of the C server's external queues, so that they can be
// rejected by name.
func (o *options) registerQueues(f *pflag.FlagSet) {
	for _, name := range queueOptions {
		f.Var(&setter{typ: "text", set: func(string) error {
			o.refused = append(o.refused, name)
			return nil
		}}, name, "")
		f.Lookup(name).Hidden = true
		notFromEnvironment[name] = true
	}
	f.Lookup("store-queue-on-shutdown").NoOptDefVal = "true"
}

func (o *options) setThreads(text string) error {
	n, err := parseInteger[uint32](text)
	if err == nil {
		o.loops = int(min(n, maxLoops))
	}
	return err
}

func (o *options) setWorkerWakeup(text string) error {
	if o.wakeupGiven = text != "auto"; !o.wakeupGiven {
		return nil
	}
	n, err := parseInteger[uint32](text)
	o.wakeup = int(n)
	if n == 0 {
		o.wakeup = -1
	}
	return err
}

// levelNames are the C server's log levels, and levels their values here.
var (
	levelNames = []string{"FATAL", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"}
	levels     = []slog.Level{
		slog.LevelError + 3, slog.LevelError + 2, slog.LevelError + 1, slog.LevelError,
		slog.LevelWarn, levelNotice, slog.LevelInfo, slog.LevelDebug,
	}
)

// levelNotice is between information and warning.
const levelNotice = slog.LevelInfo + 2

// levelName returns the C server's name of a level.
func levelName(level slog.Level) string {
	for i, l := range levels {
		if level >= l {
			return levelNames[i]
		}
	}
	return levelNames[len(levelNames)-1]
}

func (o *options) setVerbose(text string) error {
	i := slices.Index(levelNames, text)
	if i < 0 {
		return notOneOf(text, levelNames)
	}
	o.logLevel.Level = levels[i]
	return nil
}

// checkC validates the options that the C server validates first, even with --check-args.
func (o *options) checkC() error {
	switch {
	case o.buckets == 0:
		return o.mistake("hashtable-buckets", errors.New("0 is out of range: it must be 1 or more"))
	case len(o.refused) > 0:
		return o.mistake(o.refused[0], fmt.Errorf("there is no such queue here; %s", insteadOfQueues))
	case o.queueType != "builtin":
		return o.mistake("queue-type", fmt.Errorf("%q is unknown, only builtin is here; %s", o.queueType, insteadOfQueues))
	}
	return nil
}

// resolveC validates the rest.
func (o *options) resolveC() error {
	var err error
	if o.port, err = lookUpPort(o.portText); err != nil && o.portOrigin != "" {
		return fmt.Errorf("%s: %w", o.portOrigin, err)
	} else if err != nil {
		return o.mistake("port", err)
	}
	if o.protocol == "http" {
		if isOwn(o.httpPort) {
			o.httpPortNumber, err = lookUpPort(o.httpPort)
		} else {
			err = checkPassedName(o.httpPort)
		}
		if err != nil {
			return o.mistake("http-port", err)
		}
	} else if o.protocol != "" {
		return o.mistake("protocol", notOneOf(o.protocol, []string{"http"}))
	}
	if n := len(o.handlePrefix); n >= sched.MaxHandle {
		return o.mistake("job-handle-prefix", fmt.Errorf("%q is %d bytes long: it must be less than %d", o.handlePrefix,
			n, sched.MaxHandle))
	}
	var addresses []string
	for _, address := range o.listen {
		addresses = append(addresses, bothLoopbacks(cmp.Or(address, fmt.Sprintf(":%d", o.port)))...)
	}
	o.listen = addresses
	switch o.logFile {
	case "stderr":
		o.logFile = ""
	case "none":
		o.logFile = os.DevNull
	}
	return nil
}

// bothLoopbacks resolves an address: localhost means 127.0.0.1 and ::1, even if the hosts file has only one
// of them, provided that the machine has both.
func bothLoopbacks(address string) []string {
	scheme, rest := "", address
	if inner, ok := strings.CutPrefix(address, tlsScheme); ok {
		scheme, rest = tlsScheme, inner
	}
	port, ok := strings.CutPrefix(rest, "localhost")
	if !ok || port != "" && port[0] != ':' {
		return []string{address}
	}
	all := []string{scheme + "127.0.0.1" + port}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		all = append(all, scheme+"[::1]"+port)
	}
	return all
}

// mistake prefixes an error with the origin of an option's value.
func (o *options) mistake(option string, err error) error {
	return fmt.Errorf("%s: %w", originOf(o.parsed, option), err)
}

// lookUpPort returns the number of a port or of a service's name.
func lookUpPort(text string) (uint16, error) {
	n, err := net.LookupPort("tcp", cmp.Or(text, defaultPort))
	if err != nil {
		return 0, fmt.Errorf("%q is not a port: it must be a number from 0 to 65535 or the name of a service", text)
	}
	return uint16(n), nil
}

// fromGearmandEnvironment applies the variables that the C server knows. Its port variable counts only if no
// other port than 4730 was requested.
func (o *options) fromGearmandEnvironment(warn io.Writer) {
	const name = "GEARMAND_PORT"
	if text := os.Getenv(name); text != "" && o.portText == defaultPort && isPort(name, text, warn) {
		o.portText, o.portOrigin = text, "environment variable "+name
	}
	o.tls.fromGearmandEnvironment()
}

// defaultPort is the port registered for Gearman.
const defaultPort = "4730"

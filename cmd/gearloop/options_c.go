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

// gearmandOptions is what can be set for a server in the dialect of the C gearmand beside the options
// of its own, with the meaning that it has there.
type gearmandOptions struct {
	portText   string // a number or the name of a service; "" is the default
	help       bool
	configFile string
	buckets    uint32
	refused    []string // options that ask for what there is not

	backlog         int32  // 0 is what the system allows
	fileDescriptors uint64 // 0 is as many as the user may have
	keepAlive       bool
	keepAliveIdle, keepAliveInterval,
	keepAliveCount int32 // seconds, seconds, number; -1 is as the system has it
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
	httpHosts    []string // names under which HTTP is taken, beside localhost and addresses
	// The longest time in which a job of HTTP may wait for a worker; 0 is no bound.
	httpQueueTimeout duration

	httpPortNumber uint16 // what httpPort is

	parsed     *pflag.FlagSet // knows where each value was written
	portOrigin string         // where portText was written, if that is not one of the flags
	strictFile bool           // a line of the configuration file that is not an option is refused
}

// defaultsOfC has the C server's own defaults: for a program that is started in its place.
func (o *options) defaultsOfC() {
	o.logFile, o.pidfile, o.configFile = "/var/log/gearmand.log", "/var/gearmand.pid", "/etc/gearmand.conf"
	o.logLevel.Level = slog.LevelError
	o.quiet, o.strictFile = true, false
}

// forC changes the defaults to those of a server in the dialect of the C gearmand.
func (o *options) forC() {
	o.dialect.Dialect = dialect.C
	o.wakeup, o.wakeupDelay = dialect.C.Wakeup, dialect.C.WakeupDelay.Seconds()
	o.endsAtOnce, o.logMayFail, o.strictFile = true, true, true
	o.portText, o.buckets, o.queueType, o.httpPort = defaultPort, 991, "builtin", "8080"
	o.httpQueueTimeout = duration(5 * time.Minute)
	o.keepAliveIdle, o.keepAliveInterval, o.keepAliveCount = -1, -1, -1
}

// aliases are options that have two names: the C server's and that of gearloop serve.
var aliases = map[string]string{
	"daemon": "daemonize", "pid-file": "pidfile", "threads": "loops", "worker-wakeup": "wakeup", "verbose": "log-level",
}

// registerC makes a flag of every option that the C server has. Values are looked at as it looks at
// them: some when they are set, some only when the server starts.
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
		"`number` of event loops; 0 is one for every two cores (default 0)")
	f.StringVarP(&o.user, "user", "u", "", "`name` of the user to become once ports and keys are open, or UID:GID")
	f.Var(&setter{text: levelName(o.logLevel.Level), typ: "level", set: o.setVerbose}, "verbose",
		"least `level` to log: "+strings.Join(levelNames, ", "))
	f.BoolVarP(&o.version, "version", "V", false, "print the version and leave")
	f.VarP(&setter{typ: "number", set: o.setWorkerWakeup}, "worker-wakeup", "w",
		"`number` of sleeping workers to wake for each job; 0 is all (default 0)")
	f.StringVar(&o.httpPort, "http-port", o.httpPort, "`port` for --protocol http")
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

// queueOptions are the options of the C server's queues outside of the process.
var queueOptions = []string{
	"libmemcached-servers", "libmemcached-prefix", "libsqlite3-db", "libsqlite3-table", "store-queue-on-shutdown",
	"libpq-conninfo", "libpq-table", "redis-server", "redis-port", "redis-password", "redis-prefix",
	"mysql-host", "mysql-port", "mysql-user", "mysql-password", "mysql-db", "mysql-table",
}

// insteadOfQueues says what to do instead of keeping jobs in one of the C server's queues.
const insteadOfQueues = "to store jobs use --data-dir DIR; gearloop store import --from-gearmand-sqlite takes over jobs " +
	"that gearmand left in sqlite"

func notKept(option string) bool { return slices.Contains(queueOptions, option) }

// registerQueues makes a flag of every option of the C server's queues outside of the process. They
// are known so that they can be refused by name.
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
	n, err := parseInteger[uint32](text)
	o.wakeup = int(n)
	if n == 0 {
		o.wakeup = -1
	}
	return err
}

// levelNames are the C server's levels of what is logged, and levels what they are here.
var (
	levelNames = []string{"FATAL", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"}
	levels     = []slog.Level{
		slog.LevelError + 3, slog.LevelError + 2, slog.LevelError + 1, slog.LevelError,
		slog.LevelWarn, levelNotice, slog.LevelInfo, slog.LevelDebug,
	}
)

// levelNotice is between information and warning.
const levelNotice = slog.LevelInfo + 2

// levelName returns what the C server calls a level.
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

// checkC finds what is wrong with the C server's options, as far as it looks at them before anything
// else happens, --check-args included.
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

// resolveC finds what is wrong with the rest.
func (o *options) resolveC() error {
	var err error
	if o.port, err = lookUpPort(o.portText); err != nil && o.portOrigin != "" {
		return fmt.Errorf("%s: %w", o.portOrigin, err)
	} else if err != nil {
		return o.mistake("port", err)
	}
	if o.protocol == "http" {
		if o.httpPortNumber, err = lookUpPort(o.httpPort); err != nil {
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

// bothLoopbacks returns what an address stands for: localhost is 127.0.0.1 and ::1, even where the
// table of hosts has only one of them, if the machine has both.
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

// mistake puts before an error where the value of an option was written.
func (o *options) mistake(option string, err error) error {
	return fmt.Errorf("%s: %w", originOf(o.parsed, option), err)
}

// lookUpPort returns the number of a port, which may be the name of a service.
func lookUpPort(text string) (uint16, error) {
	n, err := net.LookupPort("tcp", cmp.Or(text, defaultPort))
	if err != nil {
		return 0, fmt.Errorf("%q is not a port: it must be a number from 0 to 65535 or the name of a service", text)
	}
	return uint16(n), nil
}

// fromGearmandEnvironment takes over the variables that the C server knows. It looks at its port only
// when no other than 4730 was asked for.
func (o *options) fromGearmandEnvironment(warn io.Writer) {
	const name = "GEARMAND_PORT"
	if text := os.Getenv(name); text != "" && o.portText == defaultPort && isPort(name, text, warn) {
		o.portText, o.portOrigin = text, "environment variable "+name
	}
	o.tls.fromGearmandEnvironment()
}

// defaultPort is Gearman's port.
const defaultPort = "4730"

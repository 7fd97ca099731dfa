package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gearloop/dialect"
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
	allowAdmin     string

	pidfile   string
	daemonize bool
	logFile   string
	logLevel  levelFlag
	logFormat string
	debug     int
	version   bool
}

// defaults returns the options before flags and environment.
func defaults() *options {
	return &options{
		dialect: dialectFlag{dialect.Perl}, port: 4730, wakeup: dialect.Perl.Wakeup,
		wakeupDelay: dialect.Perl.WakeupDelay.Seconds(), accept: 10,
		maxPacket: 64 << 20, maxOutbound: 256 << 20, maxMemory: automatic,
		deadPeerAfter: duration(90 * time.Second), allowAdmin: "local",
		logLevel: levelFlag{slog.LevelInfo}, logFormat: "text",
	}
}

// register makes a flag of every option.
func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.Var(&o.dialect, "dialect", "the `name` of the server to speak like: "+strings.Join(dialect.Names(), ", "))
	f.Uint16VarP(&o.port, "port", "p", o.port, "port for addresses that name none; 0 is any free one")
	f.StringArrayVarP(&o.listen, "listen", "L", nil, "`address` to listen on: host, host:port, [v6]:port, :port or unix:PATH; repeatable (default all addresses)")
	f.IntVar(&o.loops, "loops", 0, "`number` of event loops; 0 is one per core")
	f.IntVar(&o.wakeup, "wakeup", o.wakeup, "`number` of sleeping workers to wake for each job; -1 is all, 0 none")
	f.Float64Var(&o.wakeupDelay, "wakeup-delay", o.wakeupDelay, "`seconds` until as many more are woken while jobs wait; -1 is never, 0 as fast as possible")
	f.IntVar(&o.accept, "accept", o.accept, "`number` of connections that each listener takes at a time")
	f.Var(&o.maxPacket, "max-packet", "largest packet that is taken, in `bytes` of data (K, M, G are understood)")
	f.Var(&o.maxOutbound, "max-outbound", "output in `bytes` that is buffered for a peer that does not read, before it is cut off")
	f.Var(&o.maxMemory, "max-memory", "memory for jobs in `bytes`, then new ones are refused; 0 is no bound, auto 70 % of what the machine or its control group has")
	f.IntVar(&o.maxConnections, "max-connections", 0, "`number` of connections at a time, more wait to be accepted; 0 is what the file descriptors allow")
	f.Var(&o.deadPeerAfter, "dead-peer-after", "`time`, as 90 (seconds) or 1m30s, after which a peer whose machine does not answer any more is taken for gone; 0 is never")
	f.StringVar(&o.allowAdmin, "allow-admin", o.allowAdmin, "`who` may send text commands that change the server (shutdown, maxqueue): local or any")
	f.Var(&o.drainTimeout, "drain-timeout", "longest `time` to wait for jobs when ending gracefully; 0 is as long as it takes")
	f.StringVar(&o.pidfile, "pidfile", "", "`file` to write the process id to, once the server listens")
	f.BoolVarP(&o.daemonize, "daemonize", "d", false, "run in the background; without --log-file its log goes nowhere")
	f.StringVar(&o.logFile, "log-file", "", "`file` to append the log to, instead of standard error")
	f.Var(&o.logLevel, "log-level", "least `level` to log: debug, info, warn, error")
	f.StringVar(&o.logFormat, "log-format", o.logFormat, "`text` or json: the form of log lines")
	f.IntVar(&o.debug, "debug", 0, "`level` from 1 on is the same as --log-level=debug")
	f.BoolVarP(&o.version, "version", "V", false, "print the version and leave")
}

// notFromEnvironment are flags without a variable. GEARLOOP_VERSION is a name that container images
// like to use for something else.
var notFromEnvironment = map[string]bool{"help": true, "version": true}

// fromEnvironment sets every flag that was not given from its variable: GEARLOOP_ and the flag's
// name in capitals, dashes as underscores. Several values of a repeatable flag are separated by
// commas. Warnings go to warn.
func fromEnvironment(f *pflag.FlagSet, warn io.Writer) error {
	var first error
	f.VisitAll(func(flag *pflag.Flag) {
		name := "GEARLOOP_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		text, ok := os.LookupEnv(name)
		if !ok || flag.Changed || first != nil || notFromEnvironment[flag.Name] {
			return
		}
		if flag.Name == "port" && strings.Contains(text, "://") {
			// Kubernetes sets it so for a service named "gearloop".
			fmt.Fprintf(warn, "gearloop: ignoring environment variable %s=%s: not a port\n", name, text)
			return
		}
		values := []string{text}
		if flag.Value.Type() == "stringArray" {
			values = strings.Split(text, ",")
		}
		for _, v := range values {
			if err := f.Set(flag.Name, v); err != nil {
				first = fmt.Errorf("environment variable %s: invalid value %q for --%s", name, text, flag.Name)
			}
		}
	})
	return first
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
	case o.loops < 0 || o.loops > 256:
		return fmt.Errorf("--loops is %d: it must be from 0 (one per core) to 256", o.loops)
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
	case o.allowAdmin != "local" && o.allowAdmin != "any":
		return fmt.Errorf("--allow-admin is %q: it must be local or any", o.allowAdmin)
	}
	if o.loops == 0 {
		o.loops = runtime.GOMAXPROCS(0)
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

// size is a number of bytes, written as 64M or 100K or 1G.
type size int64

// automatic leaves it to the program.
const automatic size = -1

func (s *size) String() string {
	switch n := int64(*s); {
	case *s == automatic:
		return "auto"
	case n > 0 && n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "G"
	case n > 0 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "M"
	case n > 0 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "K"
	default:
		return strconv.FormatInt(n, 10)
	}
}

func (s *size) Set(text string) error {
	if text == "auto" && s.mayBeAutomatic() {
		return nil
	}
	t := strings.ToUpper(strings.TrimSpace(text))
	t = strings.TrimSuffix(strings.TrimSuffix(t, "B"), "I")
	shift := 0
	if n := len(t); n > 0 {
		if i := strings.IndexByte("KMGT", t[n-1]); i >= 0 {
			shift, t = 10*(i+1), t[:n-1]
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > 1<<50>>shift {
		return fmt.Errorf("%q is not a size, such as 65536 or 64M", text)
	}
	*s = size(n << shift)
	return nil
}

// mayBeAutomatic: only an option that is so by default.
func (s *size) mayBeAutomatic() bool { return *s == automatic }

func (s *size) Type() string { return "bytes" }

// duration is a time, written as 1m30s, or as a number of seconds.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds >= 0 && seconds <= 1e9) {
			return fmt.Errorf("%q is out of range", text)
		}
		*d = duration(seconds * float64(time.Second))
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a time, such as 90 (seconds) or 1m30s", text)
	}
	*d = duration(parsed)
	return nil
}

func (d *duration) Type() string { return "time" }

// dialectFlag is the name of a dialect.
type dialectFlag struct{ *dialect.Dialect }

func (d *dialectFlag) String() string {
	if d.Dialect == nil {
		return ""
	}
	return d.Name
}

func (d *dialectFlag) Set(name string) (err error) {
	found, err := dialect.Named(name)
	if err == nil {
		d.Dialect = found
	}
	return err
}

func (d *dialectFlag) Type() string { return "name" }

// levelFlag is a log level.
type levelFlag struct{ slog.Level }

func (l *levelFlag) String() string { return strings.ToLower(l.Level.String()) }

func (l *levelFlag) Set(name string) error {
	if err := l.Level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("unknown level %q (there are: debug, info, warn, error)", name)
	}
	return nil
}

func (l *levelFlag) Type() string { return "level" }

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gearloop/admin"
	"gearloop/reactor"
	"gearloop/sched"
)

const serveHelp = `Run the job server. It listens on every address, port 4730, unless told otherwise, and prints
what it listens on. Logs go to standard error, or to --log-file.

SIGTERM and SIGINT end it gracefully, as the text command "shutdown graceful" does: it accepts no more
connections and leaves once no job is queued or running (see --drain-timeout). A second signal ends it
at once. Exit status: 0 after an orderly end, 1 when it can't run, 2 for a mistake in the options.

Every option is also an environment variable: GEARLOOP_PORT is --port, GEARLOOP_MAX_PACKET is --max-packet;
GEARLOOP_LISTEN takes several addresses, separated by commas. An option on the command line wins.`

const serveExample = `  gearloop serve
  gearloop serve --listen 127.0.0.1 --listen unix:/run/gearloop.sock
  gearloop serve -p 4731 --max-memory 2G --log-format json`

func serveCommand() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the job server",
		Long:    serveHelp,
		Example: serveExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.version {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "gearloop", Version)
				return err
			}
			if err := fromEnvironment(cmd.Flags(), cmd.ErrOrStderr()); err != nil {
				return usageError{err}
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			if o.daemonize && !inBackground() {
				return startInBackground()
			}
			return serve(o, cmd.OutOrStdout())
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// serve runs a server until it is told to end.
func serve(o *options, out io.Writer) error {
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not end the server
	log, err := newLog(o)
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	memory, err := o.memory()
	if err != nil {
		return err
	}
	limitHeap(memory)
	scheduler := sched.New(sched.Config{
		Dialect:      o.dialect.Dialect,
		HandlePrefix: "H:" + hostname,
		Wakeup:       o.wakeup,
		WakeupDelay:  o.wakeupPause(),
		MaxMemory:    memory,
	})
	server, err := reactor.New(reactor.Config{
		Dialect: o.dialect.Dialect,
		Sched:   scheduler,
		Admin: &admin.Admin{
			Sched: scheduler, Dialect: o.dialect.Dialect, Version: Version, Remote: o.allowAdmin == "any",
		},
		Log:            log,
		Loops:          o.loops,
		Accept:         o.accept,
		MaxPacket:      int(o.maxPacket),
		MaxOutbound:    int(o.maxOutbound),
		MaxConnections: o.maxConnections,
		MaxMemory:      memory,
		DeadPeerAfter:  time.Duration(o.deadPeerAfter),
		DrainTimeout:   time.Duration(o.drainTimeout),
	})
	if err != nil {
		return err
	}
	if len(o.listen) == 0 {
		o.listen = []string{fmt.Sprintf(":%d", o.port)}
	}
	var addresses []string
	for _, l := range o.listen {
		opened, err := server.Listen(l, int(o.port))
		if errors.Is(err, reactor.ErrAddress) {
			return usageError{fmt.Errorf("--listen: %w", err)}
		}
		if err != nil {
			return err
		}
		addresses = append(addresses, opened...)
	}
	if o.pidfile != "" {
		if o.pidfile, err = filepath.Abs(o.pidfile); err != nil {
			return err
		}
	}
	var pidErr error
	started := false
	err = server.Serve(func() {
		if pidErr = writePidfile(o.pidfile); pidErr != nil {
			server.Abort()
			return
		}
		started = true
		handleSignals(server, log)
		log.Info("started", "version", Version, "dialect", o.dialect.Name, "loops", o.loops, "pid", os.Getpid(),
			"max_memory", memory)
		for _, a := range addresses {
			fmt.Fprintln(out, "listening on", a)
		}
		if o.daemonize {
			os.Chdir("/") // so that the directory it was started in can be unmounted
			reportToForeground(readyReport)
		}
	})
	if o.pidfile != "" && pidErr == nil {
		os.Remove(o.pidfile)
	}
	if pidErr != nil {
		return pidErr
	}
	if started {
		log.Info("ended")
	}
	return err
}

// handleSignals ends the server gracefully on the first SIGTERM or SIGINT and at once on the
// second.
func handleSignals(server *reactor.Server, log *slog.Logger) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		first := <-signals
		log.Info("ending gracefully; a second signal ends at once", "signal", first)
		server.Drain()
		second := <-signals
		log.Info("ending at once", "signal", second)
		server.Abort()
	}()
}

func newLog(o *options) (*slog.Logger, error) {
	var out io.Writer = os.Stderr
	if o.logFile != "" {
		f, err := os.OpenFile(o.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("log file: %w", err)
		}
		out = f
	}
	handlerOptions := &slog.HandlerOptions{Level: o.logLevel.Level}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, handlerOptions)), nil
	}
	return slog.New(slog.NewTextHandler(out, handlerOptions)), nil
}

// limitHeap lets the collector work harder when the heap comes near to what jobs may take and a
// quarter for everything else, unless the user has set a limit for it.
func limitHeap(memory int64) {
	if memory > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory + memory/4 + heapReserve)
	}
}

// heapReserve is the heap that a server without jobs may use before it is limited, in bytes.
const heapReserve = 64 << 20

// writePidfile writes the process id, whole or not at all.
func writePidfile(path string) error {
	if path == "" {
		return nil
	}
	temporary := path + ".new"
	err := os.WriteFile(temporary, fmt.Appendln(nil, os.Getpid()), 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// memory returns --max-memory in bytes; auto is a share of what there is.
func (o *options) memory() (int64, error) {
	if o.maxMemory != automatic {
		return int64(o.maxMemory), nil
	}
	total, err := availableMemory()
	if err != nil {
		return 0, fmt.Errorf("finding out how much memory there is (set --max-memory): %w", err)
	}
	return int64(float64(total) * 0.7), nil
}

package main

import (
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

const serveHelp = `Run the job server. It listens on every address, port 4730, unless told otherwise, and prints
what it listens on. Logs go to standard error, or to --log-file.

SIGTERM and SIGINT end it gracefully, as the text command "shutdown graceful" does: it accepts no more
connections and leaves once no job is queued or running (see --drain-timeout). A second signal ends it
at once. SIGUSR1 ends it gracefully, too; SIGHUP opens the log file anew and reads certificates again.
Exit status: 0 after an orderly end, 1 when it can't run, 2 for a mistake in the options.

Every option is also an environment variable: GEARLOOP_PORT is --port, GEARLOOP_MAX_PACKET is --max-packet;
GEARLOOP_LISTEN takes several addresses, separated by commas. An option on the command line wins.

With --dialect c it takes the options of the C gearmand: see gearloop serve --dialect c --help.`

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
	// Neither a log that nobody reads any more nor a file that may not grow ends the server.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	if err := limitDescriptors(o.fileDescriptors); err != nil {
		return err
	}
	file, err := newLogFile(o.logFile)
	if err != nil {
		return err
	}
	if o.pidfile != "" {
		if o.pidfile, err = filepath.Abs(o.pidfile); err != nil {
			return fmt.Errorf("pid file: %w", err)
		}
	}
	p := &process{options: o, file: file, log: newLog(o, file), out: out, signals: catchSignals()}
	err = p.build()
	if err == nil {
		err = p.settle()
	}
	if err != nil {
		p.giveUp()
		return err
	}
	return p.run()
}

package main

import (
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/internal/sdnotify"
)

const serveHelp = `Run the job server. Unless told otherwise it listens on port 4730 of every address. It prints the addresses
that it listens on, and logs to standard error or to --log-file.

SIGTERM, SIGINT and SIGUSR1 end it gracefully, as the text command "shutdown graceful" does: it accepts no
more connections, and exits once no job is queued or running (see --drain-timeout). A second signal ends it
at once. SIGHUP opens the log file again and reads certificates, tokens and the access list again.
Exit status: 0 after an orderly end, 1 when the server cannot run, 2 for a mistake in the options.

Every option is also an environment variable: GEARLOOP_MAX_PACKET=1M is --max-packet 1M, GEARLOOP_SSL=true
(or false) is --ssl, GEARLOOP_LISTEN=:4730,unix:/run/x is --listen twice. With --config-file options come from a file,
too: max-packet = 1M. The command line wins, then variables, then the file.

With --dialect c it behaves as the C server gearmand and takes its options: see
gearloop serve --dialect c --help.`

const serveExample = `  gearloop serve
  gearloop serve --listen 127.0.0.1 --listen unix:/run/gearloop.sock
  gearloop serve -p 4731 --max-memory 2G --log-format json`

func serveCommand() *cobra.Command {
	cmd, _ := serveCommandFor(defaults())
	return cmd
}

// serveCommandFor returns the command that runs a server with the options it sets, and its flags in groups.
func serveCommandFor(o *options) (*cobra.Command, []optionGroup) {
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the job server",
		Long:    serveHelp,
		Example: serveExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.version {
				_, err := fmt.Fprint(cmd.OutOrStdout(), versionLine())
				return err
			}
			if err := o.read(cmd.Flags(), warnings(cmd.ErrOrStderr())); err != nil {
				return usageError{err}
			}
			if o.checkArgs {
				return o.access.checkFile()
			}
			if o.daemonize && !inBackground() && !sdnotify.IsMain() {
				return startInBackground()
			}
			return serve(o, cmd.OutOrStdout())
		},
	}
	cmd.Flags().SortFlags = false
	groups := o.groups()
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	groupedUsage(cmd, groups)
	return cmd, groups
}

// read sets the remaining options from the environment and the configuration file, and validates the
// combination.
func (o *options) read(flags *pflag.FlagSet, warn io.Writer) error {
	o.parsed = flags
	if err := fromEnvironment(flags, warn); err != nil {
		return err
	}
	if err := o.fromFile(flags); err != nil {
		return err
	}
	return o.check()
}

// serve runs a server until it ends.
func serve(o *options, out io.Writer) error {
	// A log without a reader, or a file that may not grow, must not end the server.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	if err := limitDescriptors(o.fileDescriptors); err != nil {
		return err
	}
	file, err := newLogFile(o.logFile, o.logFormat)
	if err != nil {
		return err
	}
	if o.pidfile != "" {
		if o.pidfile, err = filepath.Abs(o.pidfile); err != nil {
			return fmt.Errorf("pid file: %w", err)
		}
	}
	p := &process{options: o, file: file, log: newLog(o, file), out: out, signals: catchSignals()}
	if p.manager, err = sdnotify.FromEnvironment(); err != nil {
		p.log.Warn("the service manager's variable is ignored", "error", err)
	}
	err = p.build()
	if err == nil {
		err = p.dropRoot()
	}
	if err != nil {
		p.giveUp()
	} else {
		err = p.run()
	}
	if err != nil {
		p.manager.Send(sdnotify.Status("%v", err))
		p.manager.Close()
	}
	return err
}

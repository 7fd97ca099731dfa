package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/internal/shell"
)

const workHelp = `Do jobs of a Gearman server by running a command for each.

The command reads the job's argument on standard input; what it writes to standard output is the result,
when it ends with status 0. Any other status fails the job. A line N/M on standard error tells the client
how far the job is; everything else on standard error is passed on. GEARMAN_FUNCTION, GEARMAN_HANDLE and
GEARMAN_UNIQUE say which job it is.

SIGTERM and SIGINT let it finish the jobs in hand and leave. A second signal kills the commands and leaves
without a result: a server that can then gives the jobs to others. It connects to all servers that are
named, and again when a connection is lost.

Exit status: 0 when it was told to leave or has done --jobs of them, 1 when it can't go on, 2 for a mistake
in the options.`

const workExample = `  gearloop work reverse -- rev
  gearloop work -c 4 --timeout 5m transcode -- ffmpeg -i - -f mp4 -
  gearloop work --server a:4730 --server b:4730 mail.send mail.bulk -- /usr/local/bin/send
  gearloop work --jobs 1 report -- sh -c 'cat > "report-$GEARMAN_UNIQUE"'`

// workOptions are the options of gearloop work.
type workOptions struct {
	serverFlags
	parallel   int
	timeout    duration
	maxResult  size
	jobs       int
	id         string
	exceptions bool
	noRetry    bool
	logLevel   levelFlag
}

func workCommand() *cobra.Command {
	o := &workOptions{maxResult: 64 << 20, logLevel: levelFlag{slog.LevelInfo}}
	cmd := &cobra.Command{
		Use:     "work [flags] FUNCTION... -- COMMAND [ARGUMENT...]",
		Short:   "Do jobs by running a command for each",
		Long:    workHelp,
		Example: workExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 1 || dash == len(args) {
				return usageError{fmt.Errorf("want the names of functions, then -- and a command (see %s --help)", cmd.CommandPath())}
			}
			return o.run(args[:dash], args[dash:], cmd.ErrOrStderr())
		},
	}
	o.register(cmd.Flags())
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if slices.Contains(os.Args, "--") { // cobra does not tell: it adds one of its own
			return files(cmd, args, begun)
		}
		return names(0, o.functions)(cmd, args, begun)
	}
	return cmd
}

func (o *workOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	o.serverFlags.register(f, "repeatable, it takes jobs from all of them")
	f.IntVarP(&o.parallel, "parallel", "c", 1, "`number` of commands at a time")
	f.VarP(&o.timeout, "timeout", "t", "longest `time` for a command, as 90 (seconds) or 1m30s; 0 is none")
	f.Var(&o.maxResult, "max-result", "largest result in `bytes` (K, M, G are understood); a larger one fails the job")
	f.IntVarP(&o.jobs, "jobs", "n", 0, "`number` of jobs to do before it leaves; 0 is no bound")
	f.StringVar(&o.id, "id", "", "`name` to show as the worker's client id (default the host's name and the process id)")
	f.BoolVar(&o.exceptions, "exceptions", false, "tell the client what a command that failed has written to standard error")
	f.BoolVar(&o.noRetry, "no-retry", false, "leave when a server can't be reached, instead of trying again")
	f.Var(&o.logLevel, "log-level", "least `level` to log: debug, info, warn, error")
}

func (o *workOptions) run(functions, command []string, errs io.Writer) error {
	switch {
	case o.parallel < 1 || o.parallel > 10_000:
		return usageError{fmt.Errorf("--parallel is %d: it must be from 1 to 10000", o.parallel)}
	case o.jobs < 0:
		return usageError{fmt.Errorf("--jobs is %d: it must not be negative", o.jobs)}
	case o.maxResult < 0 || o.maxResult > 2<<30:
		return usageError{fmt.Errorf("--max-result is %v: it must be from 0 to 2G", &o.maxResult)}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return usageError{fmt.Errorf("the command %q can't be run: %w", command[0], errors.Unwrap(err))}
	}
	servers, err := o.targets()
	if err != nil {
		return err
	}
	if o.id == "" {
		host, _ := os.Hostname()
		o.id = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	w := &shell.Work{
		Servers: servers, Functions: functions, Command: command, Parallel: o.parallel, Timeout: time.Duration(o.timeout),
		MaxResult: int(o.maxResult), Jobs: o.jobs, ClientID: o.id, Exceptions: o.exceptions, NoRetry: o.noRetry,
		Log: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: o.logLevel.Level})),
	}
	leave, kill, stop := twoSignals(w.Log)
	defer stop()
	return w.Run(leave, kill)
}

// twoSignals returns contexts that end with the first and the second SIGINT or SIGTERM.
func twoSignals(log *slog.Logger) (first, second context.Context, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	first, endFirst := context.WithCancel(context.Background())
	second, endSecond := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		for _, end := range []context.CancelFunc{endFirst, endSecond} {
			select {
			case <-signals:
				log.Info("leaving; a second signal leaves jobs in hand undone")
				end()
			case <-done:
				return
			}
		}
	}()
	return first, second, func() {
		signal.Stop(signals)
		close(done)
		endFirst()
		endSecond()
	}
}

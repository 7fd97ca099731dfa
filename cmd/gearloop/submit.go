package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/internal/shell"
)

const submitHelp = `Submit a job to a Gearman server. Its argument is read from standard input, byte for byte.

The result is written to standard output as it comes. Warnings of the worker go to standard error, and
so does its progress where that is a terminal. With --background the command prints the job's handle and
does not wait for a result.

Exit status: 0 when the job is done (with --background: acknowledged), 1 when it failed or the server
can't be reached, 2 for a mistake in the options.`

const submitExample = `  echo hello | gearloop submit reverse
  gearloop submit --background --unique video-7 transcode < job.json
  gearloop submit --server tls://broker:4731 --priority high resize < picture.png > small.png
  gearloop submit --at 2026-12-24T18:00:00Z --background mail.send < letter`

// submitOptions are the options of gearloop submit.
type submitOptions struct {
	serverFlags
	background bool
	unique     string
	priority   string
	at         string
	wait       duration
}

func submitCommand() *cobra.Command {
	o := &submitOptions{}
	cmd := &cobra.Command{
		Use:     "submit [flags] FUNCTION < ARGUMENT",
		Short:   "Submit a job from standard input and print its result",
		Long:    submitHelp,
		Example: submitExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%d arguments: want the name of one function (see %s --help)", len(args), cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd.Flags())
	cmd.ValidArgsFunction = names(1, o.functions)
	return cmd
}

func (o *submitOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	o.serverFlags.register(f, "repeatable, the first that can be reached gets the job")
	f.BoolVarP(&o.background, "background", "b", false, "do not wait for the result: print the job's handle")
	f.StringVarP(&o.unique, "unique", "u", "", "unique `id`: submissions of a function with the same one are one job; - is the argument itself")
	o.priority = "normal"
	f.Var(&choice{at: &o.priority, words: priorities, typ: "priority"}, "priority", "`priority`: high, normal or low")
	f.StringVar(&o.at, "at", "", "`time` before which the job is not done, as 2026-12-24T18:00:00Z, seconds since 1970 or +90s; with --background")
	f.VarP(&o.wait, "timeout", "t", "longest `time` to wait for the end of the job, as 90 (seconds) or 1m30s; 0 is as long as it takes")
}

func (o *submitOptions) run(function string, in io.Reader, out, errs io.Writer) error {
	s := &shell.Submission{Function: function, Unique: o.unique, Background: o.background, Out: out, Err: errs}
	switch o.priority {
	case "high":
		s.Priority = shell.High
	case "low":
		s.Priority = shell.Low
	}
	if o.at != "" {
		var err error
		if s.Due, err = parseAt(o.at, time.Now()); err != nil {
			return usageError{err}
		}
		if !o.background || s.Priority != shell.Normal {
			return usageError{errors.New("--at needs --background and normal priority: the protocol has no other jobs for later")}
		}
	}
	if strings.ContainsRune(function, 0) || strings.ContainsRune(o.unique, 0) {
		return usageError{errors.New("neither the function nor the unique id may hold a NUL byte")}
	}
	var err error
	if s.Servers, err = o.targets(); err != nil {
		return err
	}
	if isTerminal(in) {
		fmt.Fprintln(errs, "gearloop: reading the argument from the terminal; end it with Ctrl-D")
	}
	if s.Argument, err = io.ReadAll(in); err != nil {
		return fmt.Errorf("reading the argument: %w", err)
	}
	if isTerminal(errs) {
		s.Status = func(status string) { fmt.Fprintf(errs, "\r%s\x1b[K", status) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(o.wait),
			fmt.Errorf("the job has not ended within %v; it goes on", time.Duration(o.wait)))
		defer cancel()
	}
	return shell.Submit(ctx, s)
}

// parseAt parses a moment: RFC 3339, seconds since 1970, or a duration from now with a leading plus.
func parseAt(text string, now time.Time) (time.Time, error) {
	if later, ok := strings.CutPrefix(text, "+"); ok {
		var d duration
		if err := d.Set(later); err != nil {
			return time.Time{}, fmt.Errorf("--at %q: %w", text, err)
		}
		return now.Add(time.Duration(d)), nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--at %q is not a time, such as 2026-12-24T18:00:00Z, 1798135200 (seconds since 1970) or +90s", text)
	}
	return at, nil
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// listFlags select the form of a list.
type listFlags struct {
	sourceFlags
	json bool
	bare bool
	wide bool
	watchFlags
}

// watchFlags select whether a command repeats its output.
type watchFlags struct {
	watch bool
	every duration
}

func (w *watchFlags) register(f *pflag.FlagSet) {
	w.every = duration(2 * time.Second)
	f.BoolVarP(&w.watch, "watch", "w", false, "show it again and again, until ^C")
	f.VarP(&w.every, "interval", "i", "`time` between two of them, as 2 (seconds) or 1m30s")
}

// loop calls show once or repeatedly, until ctx ends. In between it clears a terminal.
func (w *watchFlags) loop(ctx context.Context, out io.Writer, clear bool, show func(io.Writer) error) error {
	if !w.watch {
		return show(out)
	}
	for w.watch { // show may end it
		var b bytes.Buffer // with one write, so that it does not flicker
		if clear && isTerminal(out) {
			b.WriteString("\x1b[H\x1b[2J\x1b[3J")
		}
		err := show(&b)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			_, err = out.Write(b.Bytes())
		}
		if err != nil {
			return err
		}
		if !w.watch {
			break
		}
		select {
		case <-time.After(time.Duration(w.every)):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (l *listFlags) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&l.json, "json", false, "write a JSON object on a line for each row, with the fields of the API")
	f.BoolVar(&l.bare, "no-headers", false, "leave out the heads of the columns")
	f.BoolVar(&l.wide, "wide", false, "show more columns")
	l.watchFlags.register(f)
	l.sourceFlags.register(f, !l.apiOnly)
}

// list writes what fetch returns, once or repeatedly.
func list[T any](l *listFlags, out io.Writer, columns func(monitor.Source) []monitor.Column[T],
	fetch func(context.Context, monitor.Source) ([]T, error)) error {
	s, err := l.open()
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, stop := interruptible()
	defer stop()
	return l.loop(ctx, out, !l.json, func(out io.Writer) error {
		rows, err := fetch(ctx, s)
		if err != nil {
			return err
		}
		return write(l, out, s, columns(s), rows)
	})
}

func write[T any](l *listFlags, out io.Writer, s monitor.Source, columns []monitor.Column[T], rows []T) error {
	if !l.json {
		return monitor.Table(out, columns, rows, !l.bare)
	}
	for i := range rows {
		if err := monitor.JSON(out, s, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// oneOrNone accepts at most one argument.
func oneOrNone(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usageError{fmt.Errorf("%d arguments: want %s or none (see %s --help)", len(args), what, cmd.CommandPath())}
		}
		return nil
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// functionSorts are the columns that status sorts by.
var functionSorts = []string{"name", "waiting", "oldest", "running", "workers"}

func statusCommand() *cobra.Command {
	l, onlyWithout, order := &listFlags{}, false, "name"
	cmd := &cobra.Command{
		Use:   "status [flags] [FUNCTION...]",
		Short: "List functions with their jobs and workers",
		Long: `List functions: how many jobs wait and run, and how many workers there are. FUNCTION is a name, or a
pattern with * and ?. It looks at a Gearloop by its API, or at any Gearman server by text commands, which
tell less.`,
		Example: `  gearloop status
  gearloop status --server broker:4730 'mail.*' img
  gearloop status --watch --no-workers --sort oldest`,
		RunE: func(cmd *cobra.Command, args []string) error {
			columns := func(s monitor.Source) []monitor.Column[api.Function] { return monitor.FunctionColumns(s, l.wide) }
			if len(args) == 0 {
				args = []string{""}
			}
			return list(l, cmd.OutOrStdout(), columns, func(ctx context.Context, s monitor.Source) ([]api.Function, error) {
				var kept []api.Function
				seen := map[string]bool{}
				for _, match := range args {
					all, err := s.Functions(ctx, match)
					if err != nil {
						return nil, err
					}
					for _, f := range all {
						name := api.Join(f.Name, f.NameBase64)
						if !seen[name] && (!onlyWithout || f.Workers == 0 && f.Total > 0) {
							seen[name] = true
							kept = append(kept, f)
						}
					}
				}
				sortFunctions(kept, order)
				return kept, nil
			})
		},
	}
	l.register(cmd.Flags())
	cmd.ValidArgsFunction = names(0, l.functions)
	cmd.Flags().BoolVar(&onlyWithout, "no-workers", false, "only functions with jobs and without workers")
	cmd.Flags().Var(&choice{at: &order, words: functionSorts, typ: "column"}, "sort",
		"`column` to sort by: name, waiting, oldest, running or workers")
	return cmd
}

// sortFunctions sorts functions by a column, the largest first; by name where that is the same.
func sortFunctions(all []api.Function, order string) {
	slices.SortStableFunc(all, func(a, b api.Function) int {
		n := 0
		switch order {
		case "waiting":
			n = cmp.Compare(b.Waiting, a.Waiting)
		case "oldest":
			n = cmp.Compare(b.OldestWaiting, a.OldestWaiting)
		case "running":
			n = cmp.Compare(b.Running, a.Running)
		case "workers":
			n = cmp.Compare(b.Workers, a.Workers)
		}
		return cmp.Or(n, cmp.Compare(api.Join(a.Name, a.NameBase64), api.Join(b.Name, b.NameBase64)))
	})
}

func workersCommand() *cobra.Command {
	l, all := &listFlags{}, false
	cmd := &cobra.Command{
		Use:   "workers [flags]",
		Short: "List workers and what they do",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			columns := func(s monitor.Source) []monitor.Column[api.Connection] { return monitor.WorkerColumns(s, l.wide) }
			return list(l, cmd.OutOrStdout(), columns, func(ctx context.Context, s monitor.Source) ([]api.Connection, error) {
				return s.Connections(ctx, !all)
			})
		},
	}
	l.register(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "all connections, not only workers")
	return cmd
}

// jobStates are the states of a job.
var jobStates = []string{api.JobWaiting, api.JobRunning, api.JobDelayed, api.JobStoring, api.JobShelved}

func jobsCommand() *cobra.Command {
	l, filter, older, limit, next := &listFlags{}, api.JobFilter{}, duration(0), 0, false
	cmd := &cobra.Command{
		Use:   "jobs [flags] [FUNCTION]",
		Short: "List jobs",
		Long: `List jobs that wait or run. FUNCTION is a name, or a pattern with * and ?. By the API all filters hold; text
commands know neither handles nor ages, and with a C server no functions either.`,
		Args: oneOrNone("a function"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("--limit is %d: it must be at least 1", limit)}
			}
			filter.Function, filter.FunctionBase64 = api.Split(first(args))
			if older > 0 {
				seconds := time.Duration(older).Seconds()
				filter.OlderThan = &seconds
			}
			cut := false
			columns := func(s monitor.Source) []monitor.Column[api.Job] { return monitor.JobColumns(s, time.Now()) }
			inAPI := filter.Priority + filter.UniquePrefix + filter.Worker + filter.Argument // filters that text commands lack
			if next && (len(args) == 0 || older > 0 || filter.State+filter.Unique+inAPI != "") {
				return usageError{errors.New("--next lists the jobs of one function that wait: give its name, and no other filter")}
			}
			onlyAPI := next || older > 0 || inAPI != ""
			err := list(l, cmd.OutOrStdout(), columns,
				func(ctx context.Context, s monitor.Source) (all []api.Job, err error) {
					if onlyAPI && !s.Has(monitor.Ages) {
						return nil, usageError{errors.New("--next, --older-than, --priority, --unique-prefix, --worker and --contains " +
							"need the API: name it with --admin-socket PATH or --server http://HOST:PORT")}
					}
					if broker, ok := s.(*monitor.API); ok && next {
						query := url.Values{"function": args, "order": {"next"}}
						all, cut, err = monitor.List[api.Job](ctx, broker, "jobs", query, limit)
						return all, err
					}
					all, cut, err = s.Jobs(ctx, filter, limit)
					return all, err
				})
			if err == nil && cut && !l.json {
				fmt.Fprintf(cmd.ErrOrStderr(), "gearloop: there are more than --limit %d\n", limit)
			}
			return err
		},
	}
	cmd.ValidArgsFunction = names(1, l.functions)
	l.register(cmd.Flags())
	f := cmd.Flags()
	f.Var(&choice{at: &filter.State, words: jobStates, typ: "state"}, "state", "only jobs in this `state`: waiting, running, delayed, storing or shelved")
	f.StringVar(&filter.Unique, "unique", "", "only jobs with this unique `id`")
	f.Var(&choice{at: &filter.Priority, words: priorities, typ: "priority"}, "priority", "only jobs of this `priority`: high, normal or low")
	f.StringVar(&filter.UniquePrefix, "unique-prefix", "", "only jobs whose unique id begins with this `text` (by the API)")
	f.StringVar(&filter.Worker, "worker", "", "only jobs that the connection with this `number` has (by the API)")
	f.StringVar(&filter.Argument, "contains", "", "only jobs whose argument contains this `text` (by the API; role reader)")
	f.BoolVar(&next, "next", false, "only jobs that wait, in the order in which workers get them (by the API)")
	f.Var(&older, "older-than", "only jobs submitted longer ago than this `time`, as 90 (seconds) or 1m30s")
	f.IntVarP(&limit, "limit", "n", 1000, "largest `number` of jobs to list")
	return cmd
}

func topCommand() *cobra.Command {
	s, every, batch, filter, host := &sourceFlags{}, duration(2*time.Second), false, "", ""
	cmd := &cobra.Command{
		Use:   "top [flags]",
		Short: "Show functions and workers on a screen that is refreshed",
		Long: `Show functions and workers on a screen that is refreshed. It looks at a Gearloop by its API, or at any
Gearman server by text commands, which tell less. Type ? for the keys.`,
		Example: `  gearloop top
  gearloop top --host broker --interval 1
  gearloop top --batch --filter 'mail.*'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every <= 0 {
				return usageError{fmt.Errorf("--interval is %v: it must be more than 0", &every)}
			}
			if host != "" {
				s.servers = append(s.servers, host)
			}
			source, err := s.open()
			if err != nil {
				return err
			}
			defer source.Close()
			ctx, stop := interruptible()
			defer stop()
			if batch {
				return monitor.Batch(ctx, source, cmd.OutOrStdout(), filter)
			}
			return monitor.Top(ctx, source, os.Stdin, os.Stdout, time.Duration(every), filter, os.Getenv("NO_COLOR") == "")
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.VarP(&every, "interval", "i", "`time` between two looks, as 2 (seconds) or 1m30s")
	f.BoolVarP(&batch, "batch", "b", false, "print once and leave")
	f.BoolP("quiet", "q", false, "understood as gearman_top's, and without effect")
	f.StringVarP(&filter, "filter", "f", "", "show what matches this `pattern` with * and ?, or contains it")
	f.StringVarP(&host, "host", "H", "", "the same as --server `address`")
	s.register(f, true)
	return cmd
}

const checkHelpText = `Check functions and leave with a status that monitoring systems understand: 0 all is well, 1 a warning,
2 something is critical (or the server does not answer), 3 it can't be told.`

func checkCommand() *cobra.Command {
	s, format := &sourceFlags{}, "nagios"
	c := &monitor.Check{}
	ageWarn, ageCrit := duration(-1), duration(-1)
	cmd := &cobra.Command{
		Use:   "check [flags] [FUNCTION]",
		Short: "Check functions, with the exit status of a monitoring plugin",
		Long:  checkHelpText,
		Example: `  gearloop check --workers-crit 1 mail.send
  gearloop check --age-warn 1m --age-crit 10m
  gearloop check --server broker --waiting-warn 1000 --waiting-crit 10000 'tenant*'`,
		Args: oneOrNone("a function"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Function = first(args)
			c.Exists = c.Function != "" && c.WorkersCrit >= 0
			c.AgeWarn, c.AgeCrit = bound(ageWarn), bound(ageCrit)
			source, err := s.open()
			if err != nil {
				return checkUnknown{err}
			}
			defer source.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.timeout))
			defer cancel()
			r := c.Run(ctx, source)
			if format == "json" {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(&r)
			} else {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), r.Nagios(c))
			}
			if err == nil && r.Status != monitor.OK {
				err = exitStatus(r.Status)
			}
			return err
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return checkUnknown{plain(cmd, err)} })
	cmd.ValidArgsFunction = names(1, s.functions)
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&c.WaitingWarn, "waiting-warn", -1, "`number` of waiting jobs of a function from which on it warns; -1 is never")
	f.IntVar(&c.WaitingCrit, "waiting-crit", -1, "`number` from which on it is critical")
	f.Var(&ageWarn, "age-warn", "`time` that the oldest job of a function waits from which on it warns (by the API)")
	f.Var(&ageCrit, "age-crit", "`time` from which on it is critical")
	f.Lookup("age-warn").DefValue, f.Lookup("age-crit").DefValue = "", ""
	f.IntVar(&c.WorkersWarn, "workers-warn", -1, "`number` of workers of a function below which it warns; -1 is never")
	f.IntVar(&c.WorkersCrit, "workers-crit", -1, "`number` below which it is critical, as is that no function matches")
	f.VarP(&choice{at: &format, words: []string{"nagios", "json"}, typ: "form"}, "format", "o", "`form` of the output: nagios (a line with numbers behind |) or json")
	s.register(f, true)
	return cmd
}

func bound(d duration) float64 {
	if d < 0 {
		return -1
	}
	return time.Duration(d).Seconds()
}

// exitStatus ends the program with that status without a message.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// checkUnknown is an error in the options of check: exit status 2 would be an alarm for a monitoring system.
type checkUnknown struct{ error }

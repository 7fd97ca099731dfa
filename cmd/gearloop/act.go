package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// actFlags are the flags of commands that change something.
type actFlags struct {
	sourceFlags
	reason string
	json   bool
}

func (a *actFlags) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVarP(&a.reason, "reason", "r", "", "`text` for the audit log: why")
	f.BoolVar(&a.json, "json", false, "write a JSON object on a line for each target")
	a.sourceFlags.register(f, false)
}

// acting is a running command that changes something.
type acting struct {
	*broker
	*actFlags
	out, errs io.Writer
	in        io.Reader
}

// act connects to the broker and calls do.
func (a *actFlags) act(cmd *cobra.Command, do func(context.Context, *acting) error) error {
	return a.withBroker(func(ctx context.Context, b *broker) error {
		return do(ctx, &acting{broker: b, actFlags: a, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), in: cmd.InOrStdin()})
	})
}

// each calls do for every target. A failure is reported and does not stop the others; each returns the last
// one.
func (a *acting) each(ctx context.Context, targets []string, do func(target string) error) (last error) {
	for _, t := range targets {
		err := do(t)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			if last != nil {
				fmt.Fprintf(a.errs, "%s: %v\n", programName, last)
			}
			last = err
		}
	}
	return last
}

// acted is the JSON form of a result (--json).
type acted struct {
	Target string `json:"target"`
	api.Done
}

// post requests an action.
func (a *acting) post(ctx context.Context, path string, in any) (done api.Done, err error) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	return done, a.explained(a.Post(ctx, path, in, &done))
}

// tell prints what was done, as JSON if requested.
func (a *acting) report(target string, done api.Done, format string, args ...any) error {
	if a.actFlags.json {
		return json.NewEncoder(a.out).Encode(acted{monitor.Printable(target), done})
	}
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// confirm makes the user type word, unless yes. Without a terminal it returns an error.
func (a *acting) confirm(yes bool, what, word string) error {
	if yes {
		return nil
	}
	if !isTerminal(a.in) || !isTerminal(a.errs) {
		return usageError{fmt.Errorf("%s: there is no terminal to ask at; add --yes", what)}
	}
	fmt.Fprintf(a.errs, "%s. Type %s to go on: ", what, word)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(answer) != word {
		return errors.New("nothing was done")
	}
	return nil
}

// someArguments accepts one argument or more.
func someArguments(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("no argument: want %s (see %s --help)", what, cmd.CommandPath())}
		}
		for _, a := range args {
			if a == "" {
				return usageError{fmt.Errorf("an argument is empty: want %s (see %s --help)", what, cmd.CommandPath())}
			}
		}
		return nil
	}
}

// functionAction is one of pause, resume, close and open.
type functionAction struct {
	name, short, long string
	lasts             bool // it accepts a duration
	says              func(*api.Function) string
	already           string // message for a function that already was so
}

var functionActions = []functionAction{
	{name: "pause", lasts: true, short: "Stop handing out jobs of a function",
		long: `Stop handing out jobs of a function, until gearloop resume, or for a time. Submissions go on, and so do jobs that
run. It outlives a restart of a broker with --data-dir.`,
		says: func(f *api.Function) string {
			return fmt.Sprintf("is paused: %s, %s", waitOn(f.Waiting), runOn(f.Running))
		}},
	{name: "resume", short: "Hand out jobs of a paused function again",
		long: `Hand out jobs of a paused function again.`, already: "was not paused",
		says: func(f *api.Function) string {
			return fmt.Sprintf("is resumed: %s for %s", waitOn(f.Waiting), many(f.Workers, "worker"))
		}},
	{name: "close", lasts: true, short: "Refuse submissions to a function",
		long: `Refuse submissions to a function, as if its queue were full, until gearloop open, or for a time. Jobs that are
there go on. It outlives a restart of a broker with --data-dir.`,
		says: func(f *api.Function) string {
			return fmt.Sprintf("is closed: submissions are refused; %s, %s", waitOn(f.Waiting), runOn(f.Running))
		}},
	{name: "open", short: "Accept submissions to a closed function again",
		long: `Accept submissions to a closed function again.`, already: "was not closed",
		says: func(*api.Function) string { return "is open: submissions are taken" }},
}

func waitOn(n int) string {
	if n == 1 {
		return "1 job waits"
	}
	return monitor.Number(n) + " jobs wait"
}

func runOn(n int) string {
	if n == 1 {
		return "1 runs on"
	}
	return monitor.Number(n) + " run on"
}

// functionCommands returns pause, resume, close and open.
func functionCommands() (all []*cobra.Command) {
	for _, action := range functionActions {
		a, during, dryRun, yes := &actFlags{}, duration(0), false, false
		cmd := &cobra.Command{
			Use:     action.name + " [flags] FUNCTION...",
			Short:   action.short,
			Long:    action.long + "\n\nFUNCTION is a name, or a pattern with * and ? for functions that have jobs or workers now. Needs the role operator.",
			Example: "  gearloop " + action.name + " mail.send",
			Args:    someArguments("names of functions"),
			RunE: func(cmd *cobra.Command, args []string) error {
				if cmd.Flags().Changed("for") && during <= 0 {
					return usageError{fmt.Errorf("--for is %v: it must be more than 0", &during)}
				}
				return a.act(cmd, func(ctx context.Context, w *acting) error {
					names, err := w.expand(ctx, args)
					if err != nil {
						return err
					}
					what := fmt.Sprintf("%s %s", action.name, many(len(names), "function"))
					if dryRun {
						fmt.Fprintf(w.errs, "%s: would %s\n", programName, what)
						for _, name := range names {
							fmt.Fprintln(w.out, monitor.Printable(name))
						}
						return nil
					}
					if len(names) > asksFrom {
						if err := w.confirm(yes, what, fmt.Sprint(len(names))); err != nil {
							return err
						}
					}
					return w.each(ctx, names, func(name string) error { return w.set(ctx, &action, name, time.Duration(during)) })
				})
			},
		}
		f := cmd.Flags()
		f.SortFlags = false
		if action.lasts {
			cmd.Example += "\n  gearloop " + action.name + " --for 1h --reason 'database is down' 'mail.*'"
			f.Var(&during, "for", "`time` that it lasts, as 90 (seconds) or 1h30m; without it until somebody ends it")
			f.Lookup("for").DefValue = ""
		}
		f.BoolVar(&dryRun, "dry-run", false, "only list the functions")
		f.BoolVarP(&yes, "yes", "y", false, fmt.Sprintf("do not ask, as is done for more than %d functions", asksFrom))
		a.register(f)
		cmd.ValidArgsFunction = names(0, a.functions)
		all = append(all, cmd)
	}
	return all
}

// asksFrom is the number of functions or jobs from which on a change must be confirmed.
const asksFrom = 100

// expand returns the functions that names and patterns select. The broker need not know a function that is
// named: functions come and go with their jobs and workers.
func (a *acting) expand(ctx context.Context, names []string) (all []string, err error) {
	for _, name := range names {
		if !strings.ContainsAny(name, "*?") {
			all = append(all, name)
			continue
		}
		functions, err := a.source().Functions(ctx, name)
		if err != nil {
			return nil, err
		}
		if len(functions) == 0 {
			return nil, fmt.Errorf("no function matches %s", monitor.Printable(name))
		}
		for i := range functions {
			all = append(all, api.Join(functions[i].Name, functions[i].NameBase64))
		}
	}
	return all, nil
}

// set applies an action to a function.
func (a *acting) set(ctx context.Context, action *functionAction, name string, during time.Duration) error {
	var in any = api.Reason{Reason: a.reason}
	until := ""
	if action.lasts {
		p := api.Pause{Reason: a.reason}
		if during > 0 {
			at := time.Now().Add(during)
			p.Until, until = &at, " until "+at.Local().Format(time.DateTime)
		}
		in = p
	}
	var f api.Function
	err := a.get(ctx, api.Path("functions", name), nil, &f)
	unknown := notThere(err)
	if err != nil && !unknown {
		return err
	}
	done, err := a.post(ctx, api.Path("functions", name, action.name), in)
	if err != nil {
		return err
	}
	says := action.says(&f)
	if !done.Changed {
		says = action.already
	}
	head, rest, found := strings.Cut(says, ":")
	if says = head + until; found {
		says += ":" + rest
	}
	if unknown && action.lasts {
		fmt.Fprintf(a.errs, "%s: %s has neither jobs nor workers now: is the name right?\n", programName, monitor.Printable(name))
	}
	return a.report(name, done, "%s %s", monitor.Printable(name), says)
}

func disconnectCommand() *cobra.Command {
	a := &actFlags{}
	cmd := &cobra.Command{
		Use:   "disconnect [flags] NUMBER|ADDRESS|ID...",
		Short: "Close connections of workers or clients",
		Long: `Close connections, which are named by their number (the first column of gearloop connections), their address
or their client id. What a worker has in hand is lost by it, as if it had gone. Needs the role operator.`,
		Example: `  gearloop disconnect 10.0.3.7:40122
  gearloop disconnect --reason hangs worker-7`,
		Args: someArguments("numbers, addresses or client ids of connections"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.act(cmd, func(ctx context.Context, w *acting) error {
				return w.each(ctx, args, func(name string) error { return w.disconnect(ctx, name) })
			})
		},
	}
	a.register(cmd.Flags())
	cmd.ValidArgsFunction = names(0, a.connections)
	return cmd
}

func (a *acting) disconnect(ctx context.Context, name string) error {
	c, err := a.connection(ctx, name)
	if err != nil {
		return err
	}
	limited, cancel := a.within(ctx)
	defer cancel()
	var done api.Done
	if err := a.explained(a.DeleteFor(limited, api.Path("connections", c.ID), api.Reason{Reason: a.reason}, &done)); err != nil {
		return err
	}
	return a.report(c.ID, done, "%s is disconnected", peerName(&api.PeerRef{Address: c.Address, ClientID: c.ClientID}))
}

// connection returns the only connection that matches an id, an address or a client id.
func (a *acting) connection(ctx context.Context, name string) (c api.Connection, err error) {
	err = a.get(ctx, api.Path("connections", name), nil, &c)
	if err == nil || !notThere(err) {
		return c, err
	}
	all, _, err := monitor.List[api.Connection](ctx, a.source(), "connections", map[string][]string{"match": {name}}, 100_000)
	if err != nil {
		return c, err
	}
	var found []api.Connection
	for i := range all {
		if all[i].Address == name || api.Join(all[i].ClientID, all[i].ClientRaw) == name {
			found = append(found, all[i])
		}
	}
	switch len(found) {
	case 0:
		return c, fmt.Errorf("no connection has the number, address or client id %q (see gearloop connections)", monitor.Printable(name))
	case 1:
		return found[0], nil
	}
	return c, fmt.Errorf("%d connections have the client id %q: name one by its number (see gearloop connections)", len(found), monitor.Printable(name))
}

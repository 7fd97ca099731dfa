package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

func operationsCommand() *cobra.Command {
	l := newAPIList()
	cmd := &cobra.Command{
		Use:   "operations [flags]",
		Short: "List actions on many jobs; show one, stop one",
		Long: `List actions on many jobs, such as gearloop cancel --function begins, and the dashboard: those that run and those that
have ended lately, with how far they are. Needs the role reader.`,
		Example: `  gearloop operations --watch
  gearloop operations show 7
  gearloop operations stop 7`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{unknownCommand(cmd, args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(l, cmd.OutOrStdout(), always(operationColumns), func(ctx context.Context, s monitor.Source) ([]api.Operation, error) {
				var page api.Page[api.Operation]
				err := s.(*monitor.API).Get(ctx, "operations", nil, &page)
				return page.Items, err
			})
		},
	}
	l.register(cmd.Flags())
	cmd.AddCommand(showOperationCommand(), stopOperationCommand())
	return cmd
}

var operationColumns = []monitor.Column[api.Operation]{
	{Head: "ID", Cell: func(o *api.Operation) string { return dash(o.ID) }},
	{Head: "ACTION", Cell: func(o *api.Operation) string { return operationName(o) }},
	{Head: "STATE", Cell: func(o *api.Operation) string { return dash(o.State) }},
	{Head: "MATCHED", Right: true, Cell: func(o *api.Operation) string { return monitor.Number(o.Matched) }},
	{Head: "CHANGED", Right: true, Cell: func(o *api.Operation) string { return monitor.Number(o.Changed) }},
	{Head: "SKIPPED", Right: true, Cell: func(o *api.Operation) string { return monitor.Number(o.Skipped) }},
	{Head: "LEFT", Right: true, Cell: func(o *api.Operation) string { return monitor.Number(o.Remaining) }},
	{Head: "BY", Cell: func(o *api.Operation) string { return dash(o.By) }},
	{Head: "STARTED", Cell: func(o *api.Operation) string { return localTime(o.Started) }},
	{Head: "JOBS", Cell: func(o *api.Operation) string { return chosenBy(&o.Filter) }},
}

// operationName returns what an operation does.
func operationName(o *api.Operation) string {
	if o.Action == "priority" {
		return o.Action + " " + monitor.Printable(o.Priority)
	}
	return dash(o.Action)
}

// localTime returns a time for people, "-" for none.
func localTime(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.Local().Format(time.DateTime)
}

// chosenBy says which jobs a filter chooses.
func chosenBy(f *api.JobFilter) string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"function", api.Join(f.Function, f.FunctionBase64)}, {"state", f.State}, {"priority", f.Priority},
		{"unique", api.Join(f.Unique, f.UniqueBase64)}, {"unique prefix", f.UniquePrefix}, {"worker", f.Worker},
		{"contains", api.Join(f.Argument, f.ArgumentBase64)},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+monitor.Printable(p.value))
		}
	}
	if f.OlderThan != nil {
		parts = append(parts, "older than "+monitor.Age(*f.OlderThan))
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, ", ")
}

// operationView holds the flags of gearloop operations show.
type operationView struct {
	sourceFlags
	watchFlags
	json bool
}

func showOperationCommand() *cobra.Command {
	v := &operationView{}
	cmd := &cobra.Command{
		Use:   "show [flags] ID",
		Short: "Show an action on many jobs and how far it is",
		Long: `Show an action on many jobs: what it does, to which jobs, who began it, and how far it is. With --watch until it ends.
Needs the role reader.`,
		Example: "  gearloop operations show 7 --watch",
		Args:    oneArgument("the id of an operation"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.withBroker(func(ctx context.Context, b *broker) error {
				return v.loop(ctx, cmd.OutOrStdout(), !v.json, func(out io.Writer) error { return v.show(ctx, b, args[0], out) })
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&v.json, "json", false, "write a JSON object, with the fields of the API")
	v.watchFlags.register(f)
	v.sourceFlags.register(f, false)
	cmd.ValidArgsFunction = names(1, v.operations)
	return cmd
}

func (v *operationView) show(ctx context.Context, b *broker, id string, out io.Writer) error {
	var o api.Operation
	if err := b.get(ctx, api.Path("operations", id), nil, &o); err != nil {
		return err
	}
	v.watch = v.watch && o.State == api.OperationRunning
	if v.json {
		return json.NewEncoder(out).Encode(&o)
	}
	return writeOperation(out, &o)
}

// writeOperation writes an operation as lines with a name and a value.
func writeOperation(out io.Writer, o *api.Operation) error {
	var text strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&text, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("operation", "%s", monitor.Printable(o.ID))
	line("action", "%s", operationName(o))
	line("jobs", "%s", chosenBy(&o.Filter))
	if o.AsOf != nil {
		line("submitted", "until %s", localTime(o.AsOf))
	}
	line("by", "%s", dash(o.By))
	if o.Reason != "" {
		line("reason", "%s", monitor.Printable(o.Reason))
	}
	line("state", "%s", dash(o.State))
	line("progress", "%s of %s changed, %s skipped, %s left",
		monitor.Number(o.Changed), jobs(o.Matched), monitor.Number(o.Skipped), monitor.Number(o.Remaining))
	line("started", "%s", localTime(o.Started))
	if o.Finished != nil {
		line("finished", "%s", localTime(o.Finished))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func stopOperationCommand() *cobra.Command {
	a := &actFlags{}
	cmd := &cobra.Command{
		Use:     "stop [flags] ID...",
		Short:   "Stop actions on many jobs",
		Long:    `Stop actions on many jobs. What they have done by then stays. Needs the role operator.`,
		Example: "  gearloop operations stop 7",
		Args:    someArguments("ids of operations"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.act(cmd, func(ctx context.Context, w *acting) error {
				return w.each(ctx, args, func(id string) error { return w.stopOperation(ctx, id) })
			})
		},
	}
	a.register(cmd.Flags())
	cmd.ValidArgsFunction = names(0, a.operations)
	return cmd
}

func (a *acting) stopOperation(ctx context.Context, id string) error {
	limited, cancel := a.within(ctx)
	defer cancel()
	var o api.Operation
	if err := a.explained(a.Post(limited, api.Path("operations", id)+"/stop", api.Reason{Reason: a.reason}, &o)); err != nil {
		return err
	}
	return a.printOperation(&o, "operation %s is %s: %s of %s changed",
		monitor.Printable(o.ID), o.State, monitor.Number(o.Changed), jobs(o.Matched))
}

// operations returns the ids of operations for completion, with what they do.
func (s *sourceFlags) operations(ctx context.Context, _ string) (all []string) {
	b, err := s.broker()
	if err != nil {
		return nil
	}
	defer b.Close()
	var page api.Page[api.Operation]
	if b.Get(ctx, "operations", nil, &page) != nil {
		return nil
	}
	for i := range page.Items {
		o := &page.Items[i]
		all = append(all, o.ID+"\t"+operationName(o)+", "+o.State)
	}
	return all
}

package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// newAPIList returns the flags of a list that is available over the API only.
func newAPIList() *listFlags { return &listFlags{sourceFlags: sourceFlags{apiOnly: true}} }

func always[T any](columns []monitor.Column[T]) func(monitor.Source) []monitor.Column[T] {
	return func(monitor.Source) []monitor.Column[T] { return columns }
}

func optionsCommand() *cobra.Command {
	l, changed := newAPIList(), false
	cmd := &cobra.Command{
		Use:   "options [flags]",
		Short: "List the broker's options with where each was set",
		Long: `List the options that are in force in a running broker, and where each of them was set: default, flag,
environment variable, or FILE:LINE. Needs the role reader.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(l, cmd.OutOrStdout(), always(optionColumns), func(ctx context.Context, s monitor.Source) ([]api.Option, error) {
				var page api.Page[api.Option]
				err := s.(*monitor.API).Get(ctx, "options", nil, &page)
				shown := page.Items[:0]
				for _, o := range page.Items {
					if !changed || o.Source != "default" {
						shown = append(shown, o)
					}
				}
				return shown, err
			})
		},
	}
	l.register(cmd.Flags())
	cmd.Flags().BoolVar(&changed, "set", false, "only options that somebody has set")
	return cmd
}

var optionColumns = []monitor.Column[api.Option]{
	{Head: "OPTION", Cell: func(o *api.Option) string { return "--" + o.Name }},
	{Head: "VALUE", Cell: func(o *api.Option) string { return dash(o.Value) }},
	{Head: "FROM", Cell: func(o *api.Option) string { return monitor.Printable(o.Source) }},
}

// dash returns a value for a table, "-" for an empty one.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return monitor.Printable(s)
}

func auditCommand() *cobra.Command {
	l, limit := newAPIList(), 100
	cmd := &cobra.Command{
		Use:   "audit [flags]",
		Short: "List what operators asked for, the newest first",
		Long: `List what operators asked for, by the API, the dashboard or the command line, the newest first: who, when,
why, and with which result. The broker keeps the last 1,000; its log has all of them. Needs the role reader.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("--limit is %d: it must be at least 1", limit)}
			}
			return list(l, cmd.OutOrStdout(), always(auditColumns), func(ctx context.Context, s monitor.Source) ([]api.AuditEntry, error) {
				var page api.Page[api.AuditEntry]
				err := s.(*monitor.API).Get(ctx, "audit", url.Values{"limit": {strconv.Itoa(limit)}}, &page)
				return page.Items, err
			})
		},
	}
	l.register(cmd.Flags())
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "largest `number` of entries to list")
	return cmd
}

var auditColumns = []monitor.Column[api.AuditEntry]{
	{Head: "TIME", Cell: func(e *api.AuditEntry) string { return e.At.Local().Format(time.DateTime) }},
	{Head: "BY", Cell: func(e *api.AuditEntry) string { return dash(e.By) }},
	{Head: "ACTION", Cell: func(e *api.AuditEntry) string { return dash(e.Action) }},
	{Head: "TARGET", Cell: func(e *api.AuditEntry) string { return dash(e.Target) }},
	{Head: "RESULT", Cell: func(e *api.AuditEntry) string { return dash(e.Result) }},
	{Head: "REASON", Cell: func(e *api.AuditEntry) string { return dash(e.Reason) }},
}

func connectionsCommand() *cobra.Command {
	l, match, only, order, limit := newAPIList(), "", "", "", 1000
	cmd := &cobra.Command{
		Use:   "connections [flags] [TEXT]",
		Short: "List connections: clients and workers, with what they have in hand",
		Long: `List connections: clients and workers, with what they have in hand. With TEXT only those whose address or
client id contains it. The number in the first column is what gearloop disconnect takes.`,
		Example: `  gearloop connections --only workers --watch
  gearloop connections 10.0.3.`,
		Args: oneOrNone("a text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("--limit is %d: it must be at least 1", limit)}
			}
			match = first(args)
			query := func() url.Values {
				q := url.Values{}
				for name, value := range map[string]string{"match": match, "only": only, "sort": order} {
					if value != "" {
						q.Set(name, value)
					}
				}
				return q
			}
			columns := func(s monitor.Source) []monitor.Column[api.Connection] { return monitor.ConnectionColumns(s, l.wide) }
			more := false
			err := list(l, cmd.OutOrStdout(), columns, func(ctx context.Context, s monitor.Source) (all []api.Connection, err error) {
				all, more, err = monitor.List[api.Connection](ctx, s.(*monitor.API), "connections", query(), limit)
				return all, err
			})
			if err == nil && more && !l.json {
				fmt.Fprintf(cmd.ErrOrStderr(), "gearloop: there are more than --limit %d\n", limit)
			}
			return err
		},
	}
	l.register(cmd.Flags())
	f := cmd.Flags()
	f.Var(&choice{at: &only, words: []string{"workers", "clients"}, typ: "kind"}, "only", "only connections of this `kind`: workers or clients")
	f.Var(&choice{at: &order, words: []string{"id", "functions"}, typ: "column"}, "sort", "`column` to sort by: id or functions")
	f.IntVarP(&limit, "limit", "n", limit, "largest `number` of connections to list")
	return cmd
}

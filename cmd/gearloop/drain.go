package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

func drainCommand() *cobra.Command {
	a, yes, wait := &actFlags{}, false, false
	cmd := &cobra.Command{
		Use:   "drain [flags]",
		Short: "End the broker gracefully, once its jobs are done",
		Long: `End the broker gracefully: it takes no new connections, and ends once no job waits or runs that it would lose. SIGUSR1
to its process does the same. Needs the role admin.

On a terminal the command asks first; elsewhere it needs --yes. With --wait it returns once the broker has
ended.`,
		Example: `  gearloop drain --reason upgrade
  gearloop drain --yes --wait`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.act(cmd, func(ctx context.Context, w *acting) error { return w.drain(ctx, yes, wait) })
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&wait, "wait", false, "wait until it has ended")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	a.register(f)
	return cmd
}

func (a *acting) drain(ctx context.Context, yes, wait bool) error {
	var s api.Server
	if err := a.get(ctx, "server", nil, &s); err != nil {
		return err
	}
	t := &s.Totals
	what := fmt.Sprintf("the broker on %s ends (%s running, %s waiting, %s)", monitor.Printable(s.Host), monitor.Number(t.Running),
		monitor.Number(t.Waiting), many(t.Connections, "connection"))
	if s.State != api.Draining {
		if err := a.confirm(yes, what, "drain"); err != nil {
			return err
		}
	}
	done, err := a.post(ctx, "drain", api.Reason{Reason: a.reason})
	if err != nil {
		return err
	}
	if !wait {
		return a.report("drain", done, "The broker takes no new connections, and ends once its jobs are done: %s running, %s waiting",
			monitor.Number(t.Running), monitor.Number(t.Waiting))
	}
	p := newProgress(a.errs)
	defer p.end()
	for {
		err := a.get(ctx, "server", nil, &s)
		var problem *api.Problem
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted; the broker drains on")
		case errors.As(err, &problem) && problem.Status < http.StatusInternalServerError:
			return err
		case err != nil: // it no longer answers
			p.end()
			return a.report("drain", done, "The broker has ended")
		}
		p.show("draining: %s running, %s waiting, %s", monitor.Number(t.Running), monitor.Number(t.Waiting), many(t.Connections, "connection"))
		select {
		case <-time.After(drainEvery):
		case <-ctx.Done():
		}
	}
}

// drainEvery is how often drain --wait polls.
const drainEvery = 200 * time.Millisecond

func reloadCommand() *cobra.Command {
	a := &actFlags{}
	cmd := &cobra.Command{
		Use:   "reload [flags]",
		Short: "Make the broker read its files again",
		Long: `Make the broker reopen its log and read certificates, keys and tokens again, as SIGHUP to its process does. If a file
cannot be read the log says why, and what was read before stays in force. Needs the role admin.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.act(cmd, func(ctx context.Context, w *acting) error {
				done, err := w.post(ctx, "reload", api.Reason{Reason: a.reason})
				if err != nil {
					return err
				}
				return w.report("reload", done, "The broker reads its files again; its log says what was wrong, if anything was")
			})
		},
	}
	a.register(cmd.Flags())
	return cmd
}

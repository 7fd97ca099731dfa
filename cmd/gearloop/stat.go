package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// statHeads is the number of lines after which gearloop stat repeats its heads.
const statHeads = 20

// stat holds the flags of gearloop stat.
type stat struct {
	sourceFlags
	every  duration
	json   bool
	bare   bool
	most   int
	before *api.Server // nil: the first line is due
}

func statCommand() *cobra.Command {
	s := &stat{every: duration(2 * time.Second)}
	cmd := &cobra.Command{
		Use:   "stat [flags] [INTERVAL]",
		Short: "Show a line of sums and rates again and again",
		Long: `Show a line of sums and rates every INTERVAL, as 5 (seconds, 2 by default) or 1m30s, until ^C: jobs that wait and run,
jobs submitted, ended and failed per second, workers and connections. The first line has no rates.`,
		Example: `  gearloop stat
  gearloop stat 10 --count 6 --no-headers`,
		Args: oneOrNone("an interval"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if err := s.every.Set(args[0]); err != nil {
					return usageError{fmt.Errorf("the interval: %w", err)}
				}
			}
			switch {
			case s.every <= 0:
				return usageError{errors.New("the interval is 0: it must be more than 0")}
			case s.most < 0:
				return usageError{fmt.Errorf("--count is %d: it must be 0 (until ^C) or more", s.most)}
			}
			return s.withBroker(func(ctx context.Context, b *broker) error { return s.run(ctx, b, cmd.OutOrStdout()) })
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&s.json, "json", false, "write a JSON object on each line, with the fields of the API's server")
	f.BoolVar(&s.bare, "no-headers", false, "leave out the heads of the columns")
	f.IntVarP(&s.most, "count", "n", 0, "`number` of lines after which to leave; 0 is until ^C")
	s.register(f, false)
	return cmd
}

// run writes lines until ctx ends or there are enough. A broker that restarts is waited for.
func (s *stat) run(ctx context.Context, b *broker, out io.Writer) error {
	tick := time.NewTicker(time.Duration(s.every))
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := s.line(ctx, b, out, !s.bare && n%statHeads == 0); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if n+1 == s.most {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *stat) line(ctx context.Context, b *broker, out io.Writer, heads bool) error {
	var now api.Server
	if err := b.get(ctx, "server", nil, &now); err != nil {
		return err
	}
	if s.json {
		return json.NewEncoder(out).Encode(&now)
	}
	if s.before != nil && now.Started.After(s.before.Started) { // it was restarted, and counts anew
		s.before = nil
	}
	err := monitor.Totals(out, s.before, &now, heads)
	s.before = &now
	return err
}

func metricsCommand() *cobra.Command {
	s, match := &sourceFlags{}, ""
	cmd := &cobra.Command{
		Use:   "metrics [flags]",
		Short: "Write the broker's metrics as Prometheus reads them",
		Long: `Write the broker's metrics as Prometheus reads them: what GET /metrics answers, for a look at them and for programs
that are not allowed to reach --web. With --functions those of the functions that match, however many have series of
their own.`,
		Example: `  gearloop metrics | grep ^gearloop_store
  gearloop metrics --functions 'mail.*'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if match == "" && cmd.Flags().Changed("functions") {
				return usageError{fmt.Errorf("--functions: %w", errEmpty)}
			}
			return s.withBroker(func(ctx context.Context, b *broker) error {
				ctx, cancel := b.within(ctx)
				defer cancel()
				body, err := b.Metrics(ctx, match)
				if err != nil {
					return b.explained(err)
				}
				defer body.Close()
				_, err = io.Copy(cmd.OutOrStdout(), body)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&match, "functions", "", "only metrics of functions, of those that match this `pattern` with * and ?")
	s.register(f, false)
	return cmd
}

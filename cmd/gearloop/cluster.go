package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/internal/view"
	"gearloop/store/postgres"
)

const (
	clusterHelp = `Look at brokers that store background jobs in one database (gearloop serve --store URL).`

	clusterStatusHelp = `Tell which brokers there are, which jobs they have, and how the database is doing.

Jobs are counted one by one: that takes about a second for some million. Exit status: 0 when all is well, 1 when
something is not: no synchronous standby, a broker that has ended or is silent and whose jobs nobody has taken over, a
transaction that is open for more than ten minutes, or a database that can't be asked. The role needs SELECT on the tables,
and pg_monitor to see standbys and other roles' transactions.`
)

func clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Short: "Look at brokers that share a database", Long: clusterHelp,
		Args: onlyCommands, RunE: showHelp,
	}
	asJSON := false
	status := &cobra.Command{
		Use: "status [flags] URL", Short: "Tell which brokers there are and how the database is doing", Long: clusterStatusHelp,
		Args: aDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDatabase(args[0], func(ctx context.Context, conn *pgx.Conn) error {
				seen, err := postgres.ClusterOf(ctx, conn)
				if err != nil {
					return err
				}
				c := view.ClusterOf(&seen)
				if !asJSON {
					return printCluster(cmd.OutOrStdout(), &c)
				}
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(&c); err != nil {
					return err
				}
				return printCluster(io.Discard, &c)
			})
		},
	}
	status.Flags().BoolVar(&asJSON, "json", false, "write a JSON object, as GET /api/v1/cluster does")
	cmd.AddCommand(status)
	return cmd
}

func usageOf(err error) error {
	if err != nil {
		return usageError{err}
	}
	return nil
}

func printCluster(out io.Writer, c *api.Cluster) error {
	if c.Format > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NODE\tADDRESS\tRUN\tRUNS\tJOBS\tBEATS\tLAST BEAT\tSTATE")
		for _, b := range c.Brokers {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s ago\t%s\n",
				monitor.Printable(b.Node), monitor.Printable(b.Address), b.Run, b.Runs, b.Jobs, b.Beats, wholeSeconds(b.BeatAge), b.State)
		}
		if len(c.Standbys) > 0 {
			fmt.Fprintln(w)
			fmt.Fprintln(w, "STANDBY\tSTATE\tSYNC\tBEHIND")
		}
		for _, s := range c.Standbys {
			behind := "not known"
			if s.Behind >= 0 {
				behind = many(s.Behind, "byte")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", monitor.Printable(s.Name), s.State, s.Sync, behind)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(out, "\nrows: %d, the oldest stored %s ago; %s; oldest snapshot: %s\n",
			c.Rows, wholeSeconds(c.OldestRow), many(c.DeadRows, "dead row"), wholeSeconds(c.OldestSnapshot))
		fmt.Fprintf(out, "tables: version %d, %s\n", c.Format, many(c.Bytes, "byte"))
		if c.Rule != "" {
			fmt.Fprintf(out, "a commit waits for: %s\n", monitor.Printable(c.Rule))
		}
	}
	if len(c.Problems) > 0 {
		return errors.New(strings.Join(c.Problems, "; "))
	}
	return nil
}

func wholeSeconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second)).Round(time.Second)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"gearloop/store/postgres"
)

const (
	clusterHelp = `Look at brokers that store background jobs in one database (gearloop serve --store URL).`

	clusterStatusHelp = `Tell which brokers there are, which jobs they have, and how the database is doing.

Jobs are counted one by one: that takes about a second for some million. Exit status: 0 when all is well, 1 when
something is not: no synchronous standby, a broker that has ended and whose jobs nobody has taken over, or a database that
can't be asked.`

	storeInitHelp = `Make the tables that gearloop serve --store needs, or bring those of an older version up to date.

A broker does so by itself when it starts. This command is for where a broker's role may not: the role then
needs SELECT, INSERT, UPDATE and DELETE on all tables.`
)

// databaseLimit is how long a command waits for the database.
const databaseLimit = 30 * time.Second

func clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Short: "Look at brokers that share a database", Long: clusterHelp,
		Args: onlyCommands, RunE: showHelp,
	}
	cmd.AddCommand(&cobra.Command{
		Use: "status URL", Short: "Tell which brokers there are and how the database is doing", Long: clusterStatusHelp, Args: aDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDatabase(args[0], func(ctx context.Context, conn *pgx.Conn) error {
				return printCluster(ctx, cmd.OutOrStdout(), conn)
			})
		},
	})
	return cmd
}

func storeInitCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init URL", Short: "Make the tables in a database", Long: storeInitHelp, Args: aDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDatabase(args[0], func(ctx context.Context, conn *pgx.Conn) error {
				before, err := postgres.Init(ctx, conn)
				if err != nil {
					return err
				}
				if before == postgres.Format {
					fmt.Fprintln(cmd.OutOrStdout(), "the tables are up to date")
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "the tables have version %d now\n", postgres.Format)
				}
				return nil
			})
		},
	}
}

// aDatabase is for commands with one argument, the URL of a database.
func aDatabase(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usageError{fmt.Errorf("missing URL argument, such as postgres://HOST/NAME (see %s --help)", cmd.CommandPath())}
	case len(args) > 1:
		return usageError{fmt.Errorf("unexpected argument %q (see %s --help)", args[1], cmd.CommandPath())}
	}
	return usageOf(new(sharedOptions).setURL(args[0]))
}

func usageOf(err error) error {
	if err != nil {
		return usageError{err}
	}
	return nil
}

func withDatabase(url string, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseLimit)
	defer cancel()
	conn, err := postgres.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return f(ctx, conn)
}

func printCluster(ctx context.Context, out io.Writer, conn *pgx.Conn) error {
	c, err := postgres.ClusterOf(ctx, conn)
	if err != nil {
		return err
	}
	if c.Format == 0 {
		return errors.New("there are no tables yet: start a broker with --store, or gearloop store init")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tADDRESS\tRUN\tRUNS\tJOBS\tBEATS\tSTATE")
	var wrong []string
	for _, b := range c.Brokers {
		state := "in use"
		if b.Released {
			state = "has ended"
			wrong = append(wrong, fmt.Sprintf("%s has ended, and its %s wait for a broker that takes them over", b.Node, many(int(b.Jobs), "job")))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", b.Node, b.Address, b.Run, b.Runs, b.Jobs, b.Beats, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if len(c.Standbys) > 0 {
		fmt.Fprintln(w, "STANDBY\tSTATE\tSYNC\tBEHIND")
		for _, s := range c.Standbys {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d bytes\n", s.Name, s.State, s.Sync, s.Behind)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "tables: version %d, %d bytes, %d dead rows; oldest snapshot: %v\n", c.Format, c.Bytes, c.Dead, c.Snapshot.Round(time.Second))
	if strings.TrimSpace(c.Rule) == "" {
		wrong = append(wrong, "acknowledged jobs are on one machine only: synchronous_standby_names is not set")
	} else {
		fmt.Fprintf(out, "a commit waits for: %s\n", c.Rule)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

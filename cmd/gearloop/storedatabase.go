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

	"gearloop/internal/monitor"
	"gearloop/store/disk"
	"gearloop/store/postgres"
	"gearloop/store/transfer"
)

const storeInitHelp = `Make the tables that gearloop serve --store needs, or bring those of an older version up to date.

A broker does so by itself when it starts. This command is for where a broker's role may not: the role then
needs SELECT, INSERT, UPDATE and DELETE on all tables.`

const storeMigrateHelp = `Bring the tables of an older version of gearloop in a database to the form that this one needs.

A broker does so by itself when it starts. This command is for where a broker's role may not. Tables of a newer version
are left as they are; the exit status is 1 then.`

func storeMigrateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate URL", Short: "Bring the tables in a database up to date", Long: storeMigrateHelp, Args: aDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDatabase(args[0], func(ctx context.Context, conn *pgx.Conn) error {
				before, err := postgres.Version(ctx, conn)
				if err == nil && before == 0 {
					err = postgres.ErrNoTables
				}
				if err == nil {
					before, err = postgres.Init(ctx, conn)
				}
				switch {
				case err != nil:
					return err
				case before == postgres.Format:
					fmt.Fprintln(cmd.OutOrStdout(), "the tables are up to date")
				default:
					fmt.Fprintf(cmd.OutOrStdout(), "the tables had version %d, and have version %d now\n", before, postgres.Format)
				}
				return nil
			})
		},
	}
}

// isDatabase reports whether an argument for a directory is the URL of a database.
func isDatabase(place string) bool { return strings.Contains(place, "://") }

// aStore accepts a directory or the URL of a database, and at most more further arguments.
func aStore(more int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 || args[0] == "":
			return usageError{fmt.Errorf("missing DIR or URL argument (see %s --help)", cmd.CommandPath())}
		case isDatabase(args[0]):
			if err := usageOf(new(sharedOptions).setURL(args[0])); err != nil {
				return err
			}
		}
		return aDirectory(more)(cmd, args)
	}
}

// newImporter returns the importer for a directory or a database.
func newImporter(place string, p *storeProgress) (transfer.Importer, error) {
	if isDatabase(place) {
		return postgres.NewImporter(place, p.accept)
	}
	return disk.NewImporter(place, p.accept)
}

func dumpDatabase(out, errs io.Writer, url string) error {
	if isTerminal(out) {
		errs = io.Discard
	}
	p := newStoreProgress(errs, "dump", 0)
	defer p.end()
	return postgres.Reading(url, func(ctx context.Context, conn *pgx.Conn) error {
		return postgres.Dump(ctx, conn, out, p.count)
	})
}

func checkDatabase(out, errs io.Writer, url string) error {
	p := newStoreProgress(errs, "check", 0)
	defer p.end()
	return postgres.Reading(url, func(ctx context.Context, conn *pgx.Conn) error {
		r, err := postgres.Check(ctx, conn, p.count)
		p.end()
		if err != nil {
			return err
		}
		return printDatabase(out, &r)
	})
}

func printDatabase(out io.Writer, r *postgres.Report) error {
	fmt.Fprintf(out, "%s, %d of them with large arguments\n", many(r.Jobs, "job"), r.Large)
	if len(r.Runs) > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RUN\tOF NODE\tOWNER\tOF NODE\tSTATE\tJOBS")
		for _, run := range r.Runs {
			state := "in use"
			if run.Released {
				state = "released"
			}
			holder := run.Holder
			if holder == "" {
				holder = "-"
			}
			fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%d\n", run.Run, monitor.Printable(run.Node), run.Owner, monitor.Printable(holder), state, run.Jobs)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "format %d, the last run is %d\n", r.Format, r.LastRun)
	if r.Orphans > 0 {
		fmt.Fprintf(out, "%s without a job: a broker removes such with their run\n", many(r.Orphans, "argument"))
	}
	if r.Same > 0 {
		fmt.Fprintf(out, "%s with the unique id of another one; each of them is done\n", many(r.Same, "job"))
	}
	if len(r.Damage) == 0 {
		fmt.Fprintln(out, "no damage")
		return nil
	}
	for _, d := range r.Damage {
		fmt.Fprintln(out, "damaged:", d)
	}
	return fmt.Errorf("the database is damaged; gearloop store dump writes all jobs that can be read")
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

func withDatabase(url string, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseLimit)
	defer cancel()
	conn, err := postgres.Connect(ctx, url)
	if err != nil {
		return answered(ctx, err)
	}
	defer conn.Close(ctx)
	return answered(ctx, f(ctx, conn))
}

// answered says of an error that the database was silent for too long, if that is what it comes from.
func answered(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the database has not answered within %v: %w", databaseLimit, err)
	}
	return err
}

// databaseLimit is how long a command waits for the database.
const databaseLimit = 30 * time.Second

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gearloop/internal/monitor"
	"gearloop/store/disk"
	"gearloop/store/gearmandqueue"
	"gearloop/store/transfer"
)

const storeHelp = `Look after stored background jobs: those in a directory of gearloop serve --data-dir, while no server has it open, or
those in a database of gearloop serve --store, while brokers go on.

check and dump give up when a database has sent nothing for 30 seconds and is not at work on the query, or for 10
minutes.

Exit status: 0 when all went well, 1 for damage and failures, 2 for a mistake in the arguments.`

const (
	checkHelp = `Read all that is in a directory, large arguments too, and tell what is damaged. Nothing is changed.

A tail that a crash tore is no damage: no job in it was ever acknowledged. Of a database it tells the version of the
tables, the runs with their brokers and jobs, and what can't be: jobs that no broker has or takes over, arguments with
missing pieces, handles and unique ids that lead nowhere. Exit status: 0 when nothing is damaged, 1 when something is.`

	dumpHelp = `Write the jobs in a directory or a database to standard output as lines of JSON, in the order in which they were
submitted; those of a database in the order of their handles, which is that for each function at each broker. A database
is read as it is at the beginning, while brokers go on.

The settings of functions (paused, closed) are the first line; of a database there may be one for each node.
Each other line has function, argument and, where there are such, number (of the handle), unique, reducer, priority
(high, normal or low), due (a time) and retries. What is not valid UTF-8 has _base64 behind its name. Of a damaged
directory all that can be read is written; the exit status is 1 then.`

	repairHelp = `Make a damaged directory one that a server can use. All jobs that can be read are kept; the damaged files are put
aside, into DIR/damaged. Jobs whose end was lost with them come back and are done once more.`

	importHelp = `Add jobs to a directory or a database, behind those that are there: lines of JSON as gearloop store dump writes
them, from a file or standard input, or what gearmand has left in its sqlite file. The directory, or the tables in the
database, are made if they are not there. Brokers of a database go on meanwhile: one of them takes the jobs over within
seconds after the end.

A job with a number keeps its handle, in a database if no broker has that handle's run; other jobs get one. A job whose
handle is there already is left out: with --new-handles all jobs get new ones, as is needed for those of another broker.
Only function is needed of a line. A line or row that is no job, or a job that no client could have submitted, is left out
and told on standard error; the exit status is 1 then. A line of settings is taken when the directory, or the node in
the database, has none.`

	importExample = `  gearloop store dump /var/lib/old | gearloop store import /var/lib/gearloop
  gearloop store dump /mnt/dead/gearloop | gearloop store import /var/lib/gearloop --new-handles
  gearloop store dump /var/lib/gearloop | gearloop store import postgres://gearloop@db1,db2/gearloop
  echo '{"function":"resize","argument":"cat.jpg"}' | gearloop store import /var/lib/gearloop
  gearloop store import /var/lib/gearloop --from-gearmand-sqlite /var/lib/gearman/queue.sqlite`
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check, repair, dump and import stored jobs",
		Long:  storeHelp,
		Args:  onlyCommands, RunE: showHelp,
	}
	cmd.AddCommand(&cobra.Command{
		Use: "check DIR|URL", Short: "Tell what is stored, and what is damaged", Long: checkHelp,
		Args: aStore(0), ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			if isDatabase(args[0]) {
				return checkDatabase(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
			}
			return checkStore(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}, &cobra.Command{
		Use: "dump DIR|URL", Short: "Write the jobs as lines of JSON", Long: dumpHelp,
		Args: aStore(0), ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			if isDatabase(args[0]) {
				return dumpDatabase(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
			}
			return dumpStore(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}, &cobra.Command{
		Use: "repair DIR", Short: "Mend a damaged directory", Long: repairHelp, Args: aDirectory(0), ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			return repairStore(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}, importCommand(), storeInitCommand(), storeMigrateCommand())
	return cmd
}

func importCommand() *cobra.Command {
	var sqlite, table string
	var newHandles bool
	cmd := &cobra.Command{
		Use: "import DIR|URL [FILE]", Short: "Add jobs from lines of JSON or from gearmand's sqlite file", Long: importHelp,
		Example: importExample, Args: aStore(1), ValidArgsFunction: files,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&newHandles, "new-handles", false, "give all jobs new handles: theirs may be those of other jobs here")
	cmd.Flags().StringVar(&sqlite, "from-gearmand-sqlite", "", "`file` of gearmand (its --libsqlite3-db), which must not be running")
	cmd.Flags().StringVar(&table, "table", gearmandqueue.Table, "`name` of the table in it (its --libsqlite3-table)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case sqlite != "" && len(args) > 1:
			return usageError{fmt.Errorf("--from-gearmand-sqlite excludes %s", args[1])}
		case sqlite == "" && cmd.Flags().Changed("table"):
			return usageError{fmt.Errorf("--table is of --from-gearmand-sqlite")}
		}
		p := newStoreProgress(cmd.ErrOrStderr(), "import", 0)
		left := &leftOut{to: cmd.ErrOrStderr(), before: p.end}
		var done transfer.Imported
		to, err := newImporter(args[0], p)
		if newHandles && err == nil {
			to = transfer.Renumber(to)
		}
		switch {
		case err != nil:
		case sqlite != "":
			done, err = gearmandqueue.Import(to, sqlite, table, left.report)
		case len(args) > 1:
			done, err = importFile(to, args[1], p, left.report)
		default:
			done, err = transfer.Import(p.reader(cmd.InOrStdin()), to, left.report)
		}
		p.end()
		if done.Jobs > 0 || err == nil && left.n == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), many(done.Jobs, "job"), "imported")
		}
		if done.Settings {
			fmt.Fprintln(cmd.OutOrStdout(), "settings of functions imported")
		}
		if done.GivenAnew > 0 {
			fmt.Fprintln(cmd.OutOrStdout(), many(done.GivenAnew, "job"), "got a new handle: the old one can't be one of its function here")
		}
		if done.Unranked > 0 {
			fmt.Fprintln(cmd.OutOrStdout(), many(done.Unranked, "job"),
				"got normal priority: theirs in the file was not 0, 1 or 2")
		}
		return left.join(err, done)
	}
	return cmd
}

// leftOut reports what an import leaves out: the last item in the command's error, earlier ones in lines of
// their own.
type leftOut struct {
	to     io.Writer
	before func() // called before something is written
	last   error
	n      int
}

// leftOutMost is how many of them are reported one by one.
const leftOutMost = 20

func (l *leftOut) report(err error) {
	if l.n > 0 && l.n < leftOutMost {
		l.before()
		fmt.Fprintf(l.to, "%s: %v\n", programName, l.last)
	}
	l.last = err
	l.n++
}

// join returns the command's error.
func (l *leftOut) join(err error, done transfer.Imported) error {
	added := were(done.Jobs, "job") + " imported"
	switch {
	case err != nil && l.n > 0:
		return fmt.Errorf("%w; before that %s left out, the last: %w; %s", err, were(l.n, "line"), l.last, added)
	case err != nil && done.Jobs > 0:
		return fmt.Errorf("%w; %s", err, added)
	case err != nil:
		return err
	case l.n == 1:
		return fmt.Errorf("%w; %s", l.last, added)
	case l.n > 1:
		return fmt.Errorf("%w; %d are left out in all; %s", l.last, l.n, added)
	}
	return nil
}

// aDirectory accepts a directory and at most more further arguments.
func aDirectory(more int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 || args[0] == "":
			return usageError{fmt.Errorf("missing DIR argument (see %s --help)", cmd.CommandPath())}
		case isDatabase(args[0]) && cmd.Name() == "repair":
			return usageError{fmt.Errorf("a database can't be repaired by gearloop; gearloop store check tells what is wrong with it")}
		case len(args) > 1+more:
			return noArguments(cmd, args[1+more:])
		}
		return nil
	}
}

func importFile(to transfer.Importer, name string, p *storeProgress, leftOut func(error)) (done transfer.Imported, err error) {
	f, err := os.Open(name)
	if err != nil {
		_, _, _ = to.Close() // nothing was added
		return done, err
	}
	defer f.Close()
	p.total = sizeOf(f)
	return transfer.Import(p.reader(f), to, leftOut)
}

// many returns a number with its noun, in the plural if necessary.
func many[N int | int64](n N, what string) string {
	return fmt.Sprintf("%d %s", n, monitor.Noun(n, what))
}

// were returns a number with its noun and verb.
func were(n int, what string) string {
	if n == 1 {
		return "1 " + what + " was"
	}
	return many(n, what) + " were"
}

func checkStore(out, errs io.Writer, dir string) error {
	p := newStoreProgress(errs, "check", disk.Size(dir))
	r, err := disk.Check(dir, p.watch)
	p.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %d of them with large arguments\n", many(r.Jobs, "job"), r.Large)
	fmt.Fprintf(out, "%s, %s, %d of them of these jobs\n", many(r.Segments, "segment"), many(r.Bytes, "byte"), r.LiveBytes)
	fmt.Fprintf(out, "format %d, the next start is run %d\n", r.Format, r.NextRun)
	if unused := r.Unused - r.Torn; unused > 0 {
		fmt.Fprintf(out, "%s of the segments unused: room for more, and what was written anew\n", many(unused, "byte"))
	}
	if r.Torn > 0 {
		fmt.Fprintf(out, "%s at the end torn by a crash; no acknowledged job was in them\n", many(r.Torn, "byte"))
	}
	if r.Orphans > 0 {
		fmt.Fprintf(out, "%s of jobs that have ended; removed at the next start\n", many(r.Orphans, "argument"))
	}
	if len(r.Damage) == 0 {
		fmt.Fprintln(out, "no damage")
		return nil
	}
	printDamage(out, r)
	return fmt.Errorf("%s is damaged; gearloop store repair %s keeps all the rest", dir, dir)
}

func printDamage(out io.Writer, r disk.Report) {
	for _, d := range r.Damage {
		fmt.Fprintln(out, "damaged:", d)
	}
}

func repairStore(out, errs io.Writer, dir string) error {
	p := newStoreProgress(errs, "repair", 2*disk.Size(dir)) // it reads all of it before and while it mends
	before, err := disk.Repair(dir, p.watch)
	p.end()
	if err != nil {
		return err
	}
	if len(before.Damage) == 0 {
		fmt.Fprintln(out, "no damage, nothing was changed")
		return nil
	}
	printDamage(out, before)
	after, err := disk.Check(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "repaired; %s could be read and are kept, the damaged files are in %s/damaged\n",
		many(after.Jobs, "job"), dir)
	return nil
}

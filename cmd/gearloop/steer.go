package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// jobAction is an action on single jobs.
type jobAction struct {
	name, path, short, long string
	operation               string // its name in bulk
	says                    func(*api.Job) string
	already                 string // message for a job that already was so
	elsewhere               string // message for a job of another broker; "": the action is for this broker's jobs
}

// jobActions are the actions that need only a job.
var jobActions = []jobAction{
	{name: "cancel", path: "cancel", operation: "cancel", elsewhere: "is cancelled at its broker",
		short: "End jobs: their clients are told that they failed",
		long: `End jobs: their clients get WORK_FAIL, and they leave the store. The worker of a running job goes on, as Gearman has
no way to stop it, and its result is dropped.`,
		says: func(j *api.Job) string {
			if j.State == api.JobRunning {
				return "has failed; its worker" + workerOf(j) + " goes on, and its result is dropped"
			}
			return "is cancelled"
		}},
	{name: "give-up", path: "give-up", operation: "give_up", short: "End running jobs: their clients are told that they failed",
		long: `End running jobs: their clients get WORK_FAIL, and they leave the store. The worker goes on, as Gearman has no way to
stop it, and its result is dropped. Unlike gearloop cancel it leaves jobs alone that no worker has.`,
		says: func(j *api.Job) string {
			return "has failed; its worker" + workerOf(j) + " goes on, and its result is dropped"
		}, already: "was given up already; its worker goes on, and its result is dropped"},
	{name: "take-back", path: "take-back", operation: "take_back", short: "Take running jobs from their workers and queue them again",
		long: `Take running jobs from their workers and queue them again, in front of the others. The worker goes on, as Gearman has
no way to stop it, so that THE JOB MAY BE DONE TWICE; its result is dropped.`,
		says: func(j *api.Job) string {
			return "is queued again, in front; its worker" + workerOf(j) + " goes on, so that it may be done twice"
		}, already: "is being taken back already"},
	{name: "front", path: "front", operation: "front", short: "Put waiting jobs in front of the others",
		long: `Put waiting jobs in front of all others of their function and priority. After a restart stored jobs are queued
in the order of submission again.`,
		says:    func(*api.Job) string { return "is in front of all others of its priority" },
		already: "was in front already"},
}

// workerOf returns the worker of a job for a message, with a leading space.
func workerOf(j *api.Job) string {
	if j.Worker == nil {
		return ""
	}
	return " " + peerName(j.Worker)
}

const namesOfJobs = `

Jobs are named by their handles or unique ids, or chosen by what they have in common, with --function, --older-than
and the like. Of the chosen jobs the command changes those that are in a state for it and that were submitted before
it counted them. On a terminal it asks you to type their number; elsewhere it needs --yes. ^C stops it: what it has
done by then stays. Needs the role operator.`

// namesOrChoice takes names of jobs that are not empty, or none where jobs are chosen.
func namesOrChoice(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil // bulkFlags.chosen sees to it
	}
	return someArguments("handles or unique ids")(cmd, args)
}

// jobCommands returns the commands that act on single jobs.
func jobCommands() (all []*cobra.Command) {
	for _, action := range jobActions {
		a, many := &actFlags{}, &bulkFlags{}
		cmd := &cobra.Command{
			Use:   action.name + " [flags] HANDLE|UNIQUE-ID...",
			Short: action.short,
			Long:  action.long + namesOfJobs,
			Example: "  gearloop " + action.name + " H:broker:4711\n  gearloop " + action.name + " --reason 'sent twice' user:4711:welcome\n  gearloop " +
				action.name + " --function 'mail.*' --older-than 1h --dry-run",
			Args: namesOrChoice,
			RunE: func(cmd *cobra.Command, args []string) error {
				chosen, err := many.chosen(len(args))
				if err != nil {
					return err
				}
				return a.act(cmd, func(ctx context.Context, w *acting) error {
					if chosen {
						return w.bulk(ctx, api.Operation{Action: action.operation}, many)
					}
					return w.each(ctx, args, func(name string) error {
						return w.job(ctx, name, &action, api.Reason{Reason: a.reason})
					})
				})
			},
		}
		many.register(cmd.Flags())
		a.register(cmd.Flags())
		cmd.ValidArgsFunction = names(0, a.jobs)
		all = append(all, cmd)
	}
	return append(all, priorityCommand())
}

var priorities = []string{"high", "normal", "low"}

func priorityCommand() *cobra.Command {
	a, many := &actFlags{}, &bulkFlags{}
	cmd := &cobra.Command{
		Use:   "priority [flags] high|normal|low HANDLE|UNIQUE-ID...",
		Short: "Give jobs that no worker has another priority",
		Long: `Give jobs that no worker has another priority. They wait behind those of their function that have it
already.` + namesOfJobs,
		Example: "  gearloop priority high H:broker:4711\n  gearloop priority low --function mail.bulk --yes",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("no argument: want a priority, then handles or unique ids (see %s --help)", cmd.CommandPath())}
			}
			if !slices.Contains(priorities, args[0]) {
				return usageError{fmt.Errorf("the priority: %w", notOneOf(args[0], priorities))}
			}
			return namesOrChoice(cmd, args[1:])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := many.chosen(len(args) - 1)
			if err != nil {
				return err
			}
			action := &jobAction{path: "priority", already: "had priority " + args[0] + " already",
				says: func(*api.Job) string { return "has priority " + args[0] }}
			return a.act(cmd, func(ctx context.Context, w *acting) error {
				if chosen {
					return w.bulk(ctx, api.Operation{Action: "priority", Priority: args[0]}, many)
				}
				return w.each(ctx, args[1:], func(name string) error {
					return w.job(ctx, name, action, api.SetPriority{Reason: a.reason, Priority: args[0]})
				})
			})
		},
	}
	many.register(cmd.Flags())
	a.register(cmd.Flags())
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return priorities, cobra.ShellCompDirectiveNoFileComp
		}
		return names(0, a.jobs)(cmd, args[1:], begun)
	}
	return cmd
}

// job applies an action to the job with a handle or unique id.
func (a *acting) job(ctx context.Context, name string, action *jobAction, in any) error {
	jobs, err := a.findJobs(ctx, name)
	if errors.As(err, new(noJob)) && action.elsewhere != "" {
		// It may be another broker's that shares the store: the broker passes the handle on.
		done, failed := a.post(ctx, api.Path("jobs", name, action.path), in)
		switch {
		case failed == nil:
			return a.report(name, done, "%s "+action.elsewhere, monitor.Printable(name))
		case !notThere(failed):
			return fmt.Errorf("%s: %w", monitor.Printable(name), failed)
		}
	}
	if err != nil {
		return err
	}
	if len(jobs) > 1 {
		return fmt.Errorf("%d jobs have the unique id %q: name one by its handle (see gearloop job)", len(jobs), monitor.Printable(name))
	}
	j := &jobs[0]
	done, err := a.post(ctx, api.Path("jobs", j.Handle, action.path), in)
	if err != nil {
		return fmt.Errorf("%s: %w", monitor.Printable(j.Handle), err)
	}
	says := action.already
	if done.Changed {
		says = action.says(j)
	}
	return a.report(j.Handle, done, "%s of %s %s", monitor.Printable(j.Handle), monitor.Printable(api.Join(j.Function, j.FunctionBase64)), says)
}

func purgeCommand() *cobra.Command {
	a, yes, dryRun := &actFlags{}, false, false
	cmd := &cobra.Command{
		Use:   "purge [flags] FUNCTION...",
		Short: "End all jobs of a function that wait",
		Long: `End all jobs of a function that wait: their clients get WORK_FAIL, and they leave the store. Running and delayed ones
stay, and so do those that are submitted after the command has counted.

It counts them first, and asks on a terminal; elsewhere it needs --yes. FUNCTION is a name, or a pattern with
* and ? for functions that have jobs or workers now. Needs the role operator.`,
		Example: `  gearloop purge --dry-run 'mail.*'
  gearloop purge --yes --reason 'sent already' mail.bulk`,
		Args: someArguments("names of functions"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.act(cmd, func(ctx context.Context, w *acting) error { return w.purge(ctx, args, yes, dryRun) })
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&dryRun, "dry-run", false, "only count them")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	a.register(f)
	cmd.ValidArgsFunction = names(0, a.functions)
	return cmd
}

// purged describes a function to purge.
type purged struct {
	name  string
	count int
	asOf  time.Time
}

func (a *acting) purge(ctx context.Context, names []string, yes, dryRun bool) error {
	names, err := a.expand(ctx, names)
	if err != nil {
		return err
	}
	var counted []purged
	total := 0
	for _, name := range names {
		p, err := a.purgeOne(ctx, name, api.Purge{DryRun: true})
		if err != nil {
			return err
		}
		counted, total = append(counted, purged{name, p.Count, p.AsOf}), total+p.Count
	}
	if dryRun {
		for _, c := range counted {
			err := a.report(c.name, api.Done{Count: c.count}, "%s: %s would end", monitor.Printable(c.name), many(c.count, "job"))
			if err != nil {
				return err
			}
		}
		return nil
	}
	if total > 0 {
		shown := make([]string, 0, 3)
		for _, c := range counted[:min(len(counted), cap(shown))] {
			shown = append(shown, monitor.Printable(c.name))
		}
		of := strings.Join(shown, ", ")
		if more := len(counted) - len(shown); more > 0 {
			of += fmt.Sprintf(" and %d more", more)
		}
		verb := "end"
		if total == 1 {
			verb = "ends"
		}
		if err := a.confirm(yes, fmt.Sprintf("%s of %s %s", many(total, "job"), of, verb), fmt.Sprint(total)); err != nil {
			return err
		}
	}
	for _, c := range counted {
		p, err := a.purgeOne(ctx, c.name, api.Purge{Reason: a.reason, AsOf: &c.asOf})
		if err != nil {
			return err
		}
		done := api.Done{Changed: p.Changed, Count: p.Count}
		if err := a.report(c.name, done, "%s: %s ended", monitor.Printable(c.name), many(p.Count, "job")); err != nil {
			return err
		}
	}
	return nil
}

func (a *acting) purgeOne(ctx context.Context, name string, in api.Purge) (p api.Purged, err error) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	return p, a.explained(a.Post(ctx, api.Path("functions", name, "purge"), in, &p))
}

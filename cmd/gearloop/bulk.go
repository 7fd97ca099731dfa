package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// bulkFlags select jobs by common properties instead of naming each.
type bulkFlags struct {
	filter   api.JobFilter
	function string
	older    duration
	dryRun   bool
	yes      bool
	given    func(name string) bool // the flag was given
}

// bulkNames are the flags that select jobs.
var bulkNames = []string{"function", "state", "with-priority", "unique-prefix", "older-than", "worker", "contains"}

func (b *bulkFlags) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&b.function, "function", "", "instead of names: all jobs of this `function`, or of those that match a pattern with * and ?")
	f.Var(&choice{at: &b.filter.State, words: jobStates, typ: "state"}, "state", "all jobs in this `state`: waiting, running, delayed, storing or shelved")
	f.Var(&choice{at: &b.filter.Priority, words: priorities, typ: "priority"}, "with-priority", "all jobs that have this `priority`: high, normal or low")
	f.StringVar(&b.filter.UniquePrefix, "unique-prefix", "", "all jobs whose unique id begins with this `text`")
	f.Var(&b.older, "older-than", "all jobs submitted longer ago than this `time`, as 90 (seconds) or 1h30m")
	f.Lookup("older-than").DefValue = ""
	f.StringVar(&b.filter.Worker, "worker", "", "all jobs that the connection with this `number` has in hand")
	f.StringVar(&b.filter.Argument, "contains", "", "all jobs whose argument contains this `text`")
	f.BoolVar(&b.dryRun, "dry-run", false, "only count them")
	f.BoolVarP(&b.yes, "yes", "y", false, "do not ask")
	b.given = f.Changed
}

// chosen reports whether flags select jobs. names is the number of jobs that are named one by one.
func (b *bulkFlags) chosen(names int) (bool, error) {
	chosen := ""
	for _, name := range bulkNames {
		if b.given(name) {
			chosen = name
			break
		}
	}
	switch {
	case chosen != "" && names > 0:
		return false, usageError{fmt.Errorf("--%s and names of jobs exclude each other", chosen)}
	case chosen == "" && (b.dryRun || b.yes):
		return false, usageError{errors.New("--dry-run and --yes are for jobs that are chosen with --function, --older-than and the like")}
	case chosen == "" && names == 0:
		return false, usageError{errors.New("no job is named: want handles or unique ids, or --function, --older-than and the like")}
	}
	if b.function == "" && b.given("function") {
		return false, usageError{fmt.Errorf("--function: %w", errEmpty)}
	}
	b.filter.Function, b.filter.FunctionBase64 = api.Split(b.function)
	if b.given("older-than") {
		seconds := time.Duration(b.older).Seconds()
		b.filter.OlderThan = &seconds
	}
	return chosen != "", nil
}

// bulkWords has for each action the words after "jobs would" and those after the number of jobs that were
// changed.
var bulkWords = map[string][2]string{
	"cancel": {"be cancelled", "cancelled"}, "give_up": {"be given up", "given up"}, "take_back": {"be taken back, and may be done twice", "taken back"},
	"front": {"be put in front", "put in front"}, "priority": {"get another priority", "have another priority"},
}

// operationEvery is the time between two looks at a running operation.
const operationEvery = 200 * time.Millisecond

// bulk performs an action on all selected jobs: it counts them, asks for confirmation, and shows the
// progress. ^C stops it.
func (a *acting) bulk(ctx context.Context, op api.Operation, b *bulkFlags) error {
	op.Filter, op.DryRun, op.Reason = b.filter, true, a.reason
	p := newProgress(a.errs)
	defer p.end()
	p.show("counting jobs …")
	var counted api.Operation
	// Counting examines every job, which may take longer than the limit of a request.
	if err := a.explained(a.Post(ctx, "operations", op, &counted)); err != nil {
		return err
	}
	p.end()
	words := bulkWords[op.Action]
	n := counted.Matched
	switch {
	case b.dryRun:
		return a.printOperation(&counted, "%s would %s", jobs(n), words[0])
	case n == 0:
		return a.printOperation(&counted, "No job matches")
	}
	if err := a.confirm(b.yes, fmt.Sprintf("%s will %s", jobs(n), words[0]), fmt.Sprint(n)); err != nil {
		return err
	}
	op.DryRun, op.AsOf, op.Confirm = false, counted.AsOf, &n
	limited, cancel := a.within(ctx)
	defer cancel()
	if err := a.explained(a.Post(limited, "operations", op, &op)); err != nil {
		return err
	}
	return a.await(ctx, p, &op, words[1])
}

// await waits for the end of an operation. If ctx ends it stops the operation.
func (a *acting) await(ctx context.Context, p *progress, op *api.Operation, done string) error {
	path, stopped := api.Path("operations", op.ID), false
	for op.State == api.OperationRunning {
		p.show("%s of %s (^C stops it)", monitor.Number(op.Changed+op.Skipped), jobs(op.Matched))
		if !stopped {
			select {
			case <-time.After(operationEvery):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil && !stopped {
			stopped = true
			ctx = context.WithoutCancel(ctx)
			if err := a.stop(ctx, path, op); err != nil {
				return fmt.Errorf("the operation %s goes on: %w", op.ID, err)
			}
			continue
		}
		if err := a.get(ctx, path, nil, op); err != nil && ctx.Err() == nil {
			return err
		}
	}
	p.end()
	skipped := ""
	if op.Skipped > 0 {
		skipped = fmt.Sprintf("; %s had gone on, or were so already", jobs(op.Skipped))
	}
	if op.State == api.OperationStopped {
		if err := a.printOperation(op, "Stopped: %s %s of %s", jobs(op.Changed), done, jobs(op.Matched)); err != nil {
			return err
		}
		return exitStatus(exitFailure)
	}
	return a.printOperation(op, "%s %s%s", jobs(op.Changed), done, skipped)
}

func (a *acting) stop(ctx context.Context, path string, op *api.Operation) error {
	ctx, cancel := a.within(ctx)
	defer cancel()
	return a.explained(a.Post(ctx, path+"/stop", api.Reason{Reason: "^C"}, op))
}

// printOperation prints the result of an operation.
func (a *acting) printOperation(op *api.Operation, format string, args ...any) error {
	if a.actFlags.json {
		return json.NewEncoder(a.out).Encode(op)
	}
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// jobs formats a number of jobs.
func jobs(n int) string {
	if n == 1 {
		return "1 job"
	}
	return monitor.Number(n) + " jobs"
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"gearloop/api"
	"gearloop/internal/monitor"
)

// oneArgument accepts exactly one argument.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usageError{fmt.Errorf("%d arguments: want %s (see %s --help)", len(args), what, cmd.CommandPath())}
		}
		return nil
	}
}

// jobView holds the flags of gearloop job.
type jobView struct {
	sourceFlags
	watchFlags
	argument bool
	json     bool
	seen     bool // the job has existed
}

func jobCommand() *cobra.Command {
	v := &jobView{}
	cmd := &cobra.Command{
		Use:   "job [flags] HANDLE|UNIQUE-ID",
		Short: "Show a job: its state, why it waits, its argument",
		Long: `Show everything that is known of a job, which is named by its handle or its unique id. With --argument its
argument is written to standard output as it is, byte for byte (role reader); a terminal gets only what
is text.`,
		Example: `  gearloop job H:broker:4711
  gearloop job user:4711:welcome --watch
  gearloop job H:broker:4711 --argument > argument.bin`,
		Args: oneArgument("a handle or a unique id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if v.argument && v.watch {
				return usageError{errors.New("--argument and --watch exclude each other")}
			}
			return v.withBroker(func(ctx context.Context, b *broker) error {
				if v.argument {
					return v.writeArgument(ctx, b, args[0], cmd.OutOrStdout())
				}
				return v.loop(ctx, cmd.OutOrStdout(), !v.json, func(out io.Writer) error { return v.show(ctx, b, args[0], out) })
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&v.argument, "argument", false, "write its argument; with --json the first 4 KiB of it in an object")
	f.BoolVar(&v.json, "json", false, "write a JSON object, with the fields of the API")
	v.watchFlags.register(f)
	v.sourceFlags.register(f, false)
	cmd.ValidArgsFunction = names(1, v.jobs)
	return cmd
}

func (v *jobView) show(ctx context.Context, b *broker, name string, out io.Writer) error {
	jobs, err := b.findJobs(ctx, name)
	if errors.As(err, new(noJob)) && v.seen {
		v.watch = false
		_, err = io.WriteString(out, "The job has ended.\n")
		return err
	}
	if err != nil {
		return err
	}
	v.seen = true
	for i := range jobs {
		if v.json {
			if err := json.NewEncoder(out).Encode(&jobs[i]); err != nil {
				return err
			}
			continue
		}
		var e api.Explanation
		if err := b.get(ctx, api.Path("jobs", jobs[i].Handle, "explain"), nil, &e); err != nil && !notThere(err) {
			return err
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := writeJob(out, &jobs[i], &e, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// writeJob writes a job as lines with a name and a value.
func writeJob(out io.Writer, j *api.Job, e *api.Explanation, now time.Time) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s  %s\n", name, fmt.Sprintf(format, args...))
	}
	when := func(name string, at *time.Time) {
		if at != nil {
			line(name, "%s", moment(*at, now))
		}
	}
	kind := "foreground"
	if j.Background {
		kind = "background"
	}
	if j.Stored {
		kind += ", stored"
	}
	line("handle", "%s", monitor.Printable(j.Handle))
	line("function", "%s", monitor.Printable(api.Join(j.Function, j.FunctionBase64)))
	if unique := api.Join(j.Unique, j.UniqueBase64); unique != "" {
		line("unique id", "%s", monitor.Printable(unique))
	}
	state := j.State
	if j.Ahead != nil && j.State == api.JobWaiting {
		if state += ", next of its function"; *j.Ahead > 0 {
			state = fmt.Sprintf("%s, behind %s", j.State, many(*j.Ahead, "job"))
		}
	}
	line("state", "%s", state)
	line("priority", "%s, %s", j.Priority, kind)
	when("submitted", j.Submitted)
	when("due", j.Due)
	when("handed out", j.HandedOut)
	when("time limit", j.Deadline)
	if j.Worker != nil {
		line("worker", "%s", peerName(j.Worker))
	}
	if j.Numerator != "" || j.Denominator != "" {
		line("progress", "%s of %s", monitor.Printable(j.Numerator), monitor.Printable(j.Denominator))
	}
	if j.Retries > 0 {
		line("lost by", "%s", many(j.Retries, "worker"))
	}
	line("clients", "%s", waitFor(j.Listeners))
	line("argument", "%s %s", monitor.Number(j.ArgumentSize), monitor.Noun(j.ArgumentSize, "byte"))
	for i, c := range e.Causes {
		name := "why"
		if i > 0 {
			name = ""
		}
		line(name, "%s", monitor.Printable(c.Text))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// waitFor returns how many clients wait for a job's result, in words.
func waitFor(n int) string {
	switch n {
	case 0:
		return "none waits for its result"
	case 1:
		return "1 waits for its result"
	}
	return monitor.Number(n) + " wait for its result"
}

// peerName returns the address and client id of a connection.
func peerName(p *api.PeerRef) string {
	if p.ClientID == "" {
		return monitor.Printable(p.Address)
	}
	return fmt.Sprintf("%s %q", monitor.Printable(p.Address), p.ClientID)
}

// moment returns a time and its distance from now.
func moment(at, now time.Time) string {
	text := at.Local().Format("2006-01-02 15:04:05")
	if d := now.Sub(at); d >= 0 {
		return fmt.Sprintf("%s, %s ago", text, monitor.Age(max(d.Seconds(), 0.05)))
	}
	return fmt.Sprintf("%s, in %s", text, monitor.Age(max(at.Sub(now).Seconds(), 0.05)))
}

// writeArgument writes a job's argument.
func (v *jobView) writeArgument(ctx context.Context, b *broker, name string, out io.Writer) error {
	jobs, err := b.findJobs(ctx, name)
	if err != nil {
		return err
	}
	if len(jobs) > 1 {
		return fmt.Errorf("%d jobs have the unique id %q: name one by its handle (see gearloop job %s)", len(jobs), name, name)
	}
	path := api.Path("jobs", jobs[0].Handle, "argument")
	if v.json {
		var a api.Argument
		if err := b.get(ctx, path, nil, &a); err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(&a)
	}
	body, err := b.Stream(ctx, path, url.Values{"raw": {""}}, "application/octet-stream")
	if err != nil {
		return b.explained(err)
	}
	defer body.Close()
	if !isTerminal(out) {
		_, err = io.Copy(out, body)
		return err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	isControl := func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }
	if !utf8.Valid(text) || strings.ContainsFunc(string(text), isControl) {
		return fmt.Errorf("the argument is no text, and a terminal might obey it: write it to a file with > FILE (%s)", many(len(text), "byte"))
	}
	_, err = out.Write(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		fmt.Fprintln(out)
	}
	return err
}

func explainCommand() *cobra.Command {
	s, w, asJSON := &sourceFlags{}, &watchFlags{}, false
	cmd := &cobra.Command{
		Use:   "explain [flags] FUNCTION|HANDLE|UNIQUE-ID",
		Short: "Explain why a function's jobs, or one job, wait",
		Long: `Explain why a function's jobs, or one job, wait: the causes that hold at this moment, the first of them first, with
who and since when. Of a running job it tells which worker has it, since when, and what it said last.`,
		Example: `  gearloop explain mail.send
  gearloop explain H:broker:4711`,
		Args: oneArgument("a function, a handle or a unique id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withBroker(func(ctx context.Context, b *broker) error {
				return w.loop(ctx, cmd.OutOrStdout(), !asJSON, func(out io.Writer) error {
					all, err := b.explanations(ctx, args[0])
					if err != nil {
						return err
					}
					for i := range all {
						if asJSON {
							err = json.NewEncoder(out).Encode(&all[i])
						} else {
							err = writeExplanation(out, &all[i])
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&asJSON, "json", false, "write a JSON object, with the fields of the API")
	w.register(f)
	s.register(f, false)
	cmd.ValidArgsFunction = names(1, s.functionsAndJobs)
	return cmd
}

// explanations asks why the jobs of a function wait, or those with a handle or unique id. A name that looks
// like a handle is looked up among jobs first.
func (b *broker) explanations(ctx context.Context, name string) ([]api.Explanation, error) {
	paths := []string{api.Path("functions", name, "explain"), api.Path("jobs", name, "explain")}
	if strings.HasPrefix(name, "H:") {
		paths[0], paths[1] = paths[1], paths[0]
	}
	for _, path := range paths {
		var e api.Explanation
		err := b.get(ctx, path, nil, &e)
		if err == nil {
			return []api.Explanation{e}, nil
		}
		if !notThere(err) {
			return nil, err
		}
	}
	jobs, err := b.findJobs(ctx, name)
	if errors.As(err, new(noJob)) {
		err = fmt.Errorf("%q is neither a function with jobs or workers, nor the handle or unique id of a job", monitor.Printable(name))
	}
	if err != nil {
		return nil, err
	}
	var all []api.Explanation
	for i := range jobs {
		var e api.Explanation
		if err := b.get(ctx, api.Path("jobs", jobs[i].Handle, "explain"), nil, &e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// writeExplanation writes the subject of an explanation, and the causes below it.
func writeExplanation(out io.Writer, e *api.Explanation) error {
	var b strings.Builder
	function := monitor.Printable(api.Join(e.Function, e.FunctionBase64))
	if e.Handle == "" {
		fmt.Fprintf(&b, "%s\n", function)
	} else {
		fmt.Fprintf(&b, "%s of %s is %s\n", monitor.Printable(e.Handle), function, e.State)
	}
	for i, c := range e.Causes {
		mark := "  "
		if len(e.Causes) > 1 {
			mark = fmt.Sprintf("  %d. ", i+1)
		}
		fmt.Fprintf(&b, "%s%s\n", mark, monitor.Printable(c.Text))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

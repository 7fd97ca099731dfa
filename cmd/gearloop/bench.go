package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gearloop/codec"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
)

const benchHelp = `Put load on one or more Gearman servers of any kind and measure them.

Each client keeps a number of jobs in flight (a closed loop). With --rate jobs are submitted at a fixed rate, however
slow the server is (an open loop); times then count from the moment when a job was due, so that a stall counts for
every job that it delays. Workers, which this program runs too, answer each job at once. All arguments and results
are checked.

--background submits jobs while no worker asks, then has the workers empty the queue. --echo sends ECHO_REQ instead of
jobs. --sleepers adds workers of the same functions that sleep when the run begins; --idle adds workers that wait for
jobs that never come.

With the process id of a server on this machine (--server-pid, or pid= of a --server) its CPU time, context switches
and memory are measured too. Compare servers by these when the load runs on the same machine. Several servers are
measured in turns, and compared with the first one.

SIGINT ends a run and prints the results so far. Exit status: 0 with results, 1 when a server cannot be reached or
answers wrongly, 2 for a mistake in the options.

Do not use it on a server that others use: its workers take every job of their function.`

const benchExample = `  gearloop bench
  gearloop bench --server 10.0.0.7:4730 --clients 50 --depth 4 --workers 20 --duration 30s
  gearloop bench --rate 5000 --payload 1K --json
  gearloop bench --background --jobs 200000 --server-pid $(pidof gearloop)
  gearloop bench --idle 10000 --server-pid $(pidof gearmand)
  gearloop bench --server new=:4730,pid=812 --server old=:4731,pid=377 --rounds 5`

// benchOptions are the options of a measurement.
type benchOptions struct {
	load       load.Config
	payload    size
	result     size
	background bool
	echo       bool
	grab       string
	servers    []string
	pid        int
	rounds     int
	jobs       int
	duration   duration
	warmup     duration
	json       bool
	progress   string
}

func benchCommand() *cobra.Command {
	o := &benchOptions{payload: 64, duration: duration(5 * time.Second), warmup: duration(500 * time.Millisecond)}
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Put load on Gearman servers and measure them",
		Long:    benchHelp,
		Example: benchExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := o.plan(cmd.Flags(), cmd.ErrOrStderr())
			if err != nil {
				return usageError{err}
			}
			return o.run(plan, cmd.OutOrStdout())
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func (o *benchOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringArrayVar(&o.servers, "server", []string{"127.0.0.1:4730"}, "`server` as ADDRESS or NAME=ADDRESS, with ,pid=N behind it when its process is on this machine; an address is host, host:port, :port or unix:PATH; repeatable, ratios are to the first")
	f.IntVar(&o.pid, "server-pid", 0, "process `id` of the server, if there is only one and it runs on this machine")
	f.IntVarP(&o.load.Clients, "clients", "c", 20, "`number` of connections that submit")
	f.IntVar(&o.load.Depth, "depth", 1, "`number` of jobs that each client keeps in flight")
	f.BoolVar(&o.load.Connect, "connect", false, "open a connection for each job, and close it behind the result")
	f.Float64Var(&o.load.Rate, "rate", 0, "`number` of jobs per second that all clients together submit; 0 is a closed loop")
	f.IntVarP(&o.load.Workers, "workers", "w", 10, "`number` of connections that do jobs, one job at a time each")
	f.StringVar(&o.load.Function, "function", "gearloop_bench", "`name` of the function; with several functions, numbers are appended")
	f.IntVar(&o.load.Functions, "functions", 1, "`number` of functions")
	f.IntVar(&o.load.Abilities, "abilities", 0, "`number` of functions that each worker can do; 0 is all")
	f.Var(&o.payload, "payload", "size of arguments in `bytes` (K, M, G are understood), at least 8")
	f.Var(&o.result, "result", "size of results in `bytes`; 0 is that of the arguments")
	f.BoolVar(&o.load.Unique, "unique", false, "give every job a unique id")
	f.StringVar(&o.grab, "grab", "job", "`packet` that workers ask with: job, uniq or all (GRAB_JOB, GRAB_JOB_UNIQ, GRAB_JOB_ALL)")
	f.BoolVar(&o.background, "background", false, "submit background jobs, then have the workers empty the queue")
	f.BoolVar(&o.echo, "echo", false, "send ECHO_REQ instead of jobs")
	f.IntVar(&o.load.Sleepers, "sleepers", 0, "`number` of further workers that sleep when the run begins")
	f.IntVar(&o.load.Idle, "idle", 0, "`number` of workers that sleep all the time")
	f.VarP(&o.duration, "duration", "t", "`time` that is measured, as 90 (seconds) or 1m30s")
	f.Var(&o.warmup, "warmup", "`time` before the measurement starts")
	f.IntVarP(&o.jobs, "jobs", "n", 0, "`number` of jobs to measure instead of a time (100000 with --background)")
	f.IntVar(&o.rounds, "rounds", 1, "`number` of turns that each server has")
	f.IntVar(&o.load.Loops, "loops", 1, "`number` of event loops that make the load, each with a thread")
	f.BoolVar(&o.json, "json", false, "print one JSON object instead of tables")
	f.StringVar(&o.progress, "progress", "auto", "`whether` to show progress on standard error: auto (on a terminal), yes or no")
}

// plan converts the options, or returns what is wrong with them.
func (o *benchOptions) plan(f *pflag.FlagSet, stderr io.Writer) (rounds.Plan, error) {
	p := rounds.Plan{
		Load: o.load, Rounds: o.rounds,
		Span: load.Span{Jobs: o.jobs, Duration: time.Duration(o.duration), Warmup: time.Duration(o.warmup)},
	}
	// A value too large for an int is also too large for a packet, and rejected as that.
	p.Load.Payload, p.Load.Result = int(o.payload), int(o.result)
	switch {
	case o.background && o.echo:
		return p, fmt.Errorf("--background and --echo exclude each other")
	case o.background:
		p.Load.Mode = load.Background
	case o.echo:
		p.Load.Mode = load.Echo
	}
	switch o.grab {
	case "job":
		p.Load.Grab = codec.GrabJob
	case "uniq":
		p.Load.Grab = codec.GrabJobUniq
	case "all":
		p.Load.Grab = codec.GrabJobAll
	default:
		return p, fmt.Errorf("--grab is %q: it must be job, uniq or all", o.grab)
	}
	if err := p.Load.Check(); err != nil {
		return p, fmt.Errorf("--%w", err)
	}
	switch {
	case o.jobs < 0:
		return p, fmt.Errorf("--jobs is %d: it must not be negative", o.jobs)
	case o.jobs > 0 && (f.Changed("duration") || f.Changed("warmup")):
		return p, fmt.Errorf("--jobs excludes --duration and --warmup")
	case o.rounds < 1:
		return p, fmt.Errorf("--rounds is %d: it must be at least 1", o.rounds)
	case o.duration <= 0:
		return p, fmt.Errorf("--duration is %v: it must be more than 0", &o.duration)
	case o.pid != 0 && len(o.servers) > 1:
		return p, fmt.Errorf("--server-pid is for one server: for several write --server NAME=ADDRESS,pid=N")
	}
	if o.background && o.jobs == 0 && !f.Changed("duration") {
		p.Span.Jobs = 100_000
	}
	names := map[string]bool{}
	for _, s := range o.servers {
		server, err := parseServer(s)
		if err != nil {
			return p, fmt.Errorf("--server %q: %w", s, err)
		}
		if o.pid != 0 {
			server.PID = o.pid
		}
		if server.PID != 0 {
			if _, err := load.SampleUsage(server.PID); err != nil {
				return p, fmt.Errorf("process id of %s: %w", server.Name, err)
			}
		}
		if names[server.Name] {
			return p, fmt.Errorf("--server: there are two called %s", server.Name)
		}
		names[server.Name] = true
		p.Servers = append(p.Servers, server)
	}
	switch o.progress {
	case "yes":
		p.Progress = stderr
	case "no":
	case "auto":
		if isTerminal(stderr) {
			p.Progress = stderr
		}
	default:
		return p, fmt.Errorf("--progress is %q: it must be auto, yes or no", o.progress)
	}
	return p, nil
}

// parseServer parses [NAME=]ADDRESS[,pid=N].
func parseServer(s string) (rounds.Server, error) {
	var server rounds.Server
	rest, pid, found := strings.Cut(s, ",")
	if found {
		number, ok := strings.CutPrefix(pid, "pid=")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 1 {
			return server, fmt.Errorf("%q must be pid=NUMBER", pid)
		}
		server.PID = n
	}
	name, address, named := strings.Cut(rest, "=")
	if !named {
		name, address = rest, rest
	}
	if name == "" || address == "" {
		return server, fmt.Errorf("it must be ADDRESS or NAME=ADDRESS")
	}
	server.Name, server.Addr = name, address
	if strings.HasPrefix(address, "unix:") {
		return server, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		// A name or an address without a port.
		host, port = strings.Trim(address, "[]"), "4730"
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return server, err
		}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	server.Addr = net.JoinHostPort(host, port)
	return server, nil
}

// run measures and prints the results.
func (o *benchOptions) run(p rounds.Plan, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	report, failed := rounds.Run(ctx, p)
	if o.json {
		if err := report.WriteJSON(out); err != nil {
			return err
		}
	} else {
		report.WriteText(out)
	}
	return failed
}

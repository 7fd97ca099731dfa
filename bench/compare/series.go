package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
)

// seriesPlan is a measurement over a variable.
type seriesPlan struct {
	name, title string
	measure     func(ctx context.Context, o options) (series, error)
}

// namedSeries are measured only if they are named.
func namedSeries() []seriesPlan {
	return append(growthSeries(),
		seriesPlan{"openloops", "what a job of the scenario open costs over event loops", openOverLoops})
}

func allSeries() []seriesPlan {
	return []seriesPlan{
		{"payload", "server CPU µs per job over the size of argument and result; 4 clients × 2 in flight, 4 workers", overPayload},
		{"memory", "server memory in MiB over idle workers", overConnections},
		{"loops", "jobs per second over event loops, by scenario", overLoops},
	}
}

// overPayload gives processor time per job, in microseconds, over bytes.
func overPayload(ctx context.Context, o options) (series, error) {
	var s series
	host, err := bench.NewHost()
	if err != nil {
		return s, err
	}
	defer host.Close()
	servers, err := start(host, o.servers)
	if err != nil {
		return s, err
	}
	turn, warmup := o.span()
	for _, size := range []int{64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20} {
		report, err := rounds.Run(ctx, rounds.Plan{
			Load:    load.Config{Function: "bench", Functions: 1, Clients: 4, Depth: 2, Workers: 4, Payload: size},
			Span:    load.Span{Duration: turn, Warmup: warmup},
			Servers: servers, Rounds: 1,
		})
		if err == nil && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if err != nil {
			return s, err
		}
		for _, server := range report.Servers {
			s.add(server.Server.Name, float64(size), rounds.PerJob(server.Total.Server, server.Total.Part))
		}
	}
	return s, nil
}

// overConnections gives resident memory in MiB over idle workers, each time of a new server.
func overConnections(ctx context.Context, o options) (series, error) {
	var s series
	for _, n := range []int{0, 2500, 5000, 10_000, 15_000} {
		for _, name := range o.servers {
			mib, err := memoryOf(ctx, name, n)
			if errors.Is(err, bench.ErrMissing) {
				continue
			}
			if err != nil {
				return s, err
			}
			name, _, _ = strings.Cut(name, "=")
			s.add(name, float64(n), mib)
		}
	}
	return s, nil
}

// memoryOf returns the resident memory of a new server with n idle workers, in MiB.
func memoryOf(ctx context.Context, name string, n int) (float64, error) {
	host, err := bench.NewHost()
	if err != nil {
		return 0, err
	}
	defer host.Close()
	server, err := host.Start(name)
	if err != nil {
		return 0, err
	}
	l, err := load.Open(ctx, load.Config{
		Addr: server.Addr, Mode: load.Echo, Function: "bench", Functions: 1, Clients: 1, Depth: 1, Payload: 64, Idle: n,
	}, server.PID)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return float64(l.Growth().Connected) / (1 << 20), nil
}

// overLoops gives jobs per second over Gearloop's event loops, in some of the scenarios.
func overLoops(ctx context.Context, o options) (series, error) {
	var s series
	o.servers = nil
	o.syscalls = false
	loops := []int{1, 2, 4}
	for _, n := range loops {
		o.servers = append(o.servers, fmt.Sprintf("gearloop-%d", n))
	}
	for _, scenario := range bench.Scenarios() {
		switch scenario.Name {
		case "shallow", "deep", "functions", "64k":
		default:
			continue
		}
		report, _, err := run(ctx, scenario, o)
		if err != nil {
			return s, err
		}
		for i, server := range report.Servers {
			s.add(scenario.Name, float64(loops[i]), rounds.PerSecond(server.Total.Part))
		}
	}
	return s, nil
}

// openOverLoops gives what each job costs, and how long it takes, over Gearloop's event loops: as many as it has, of
// which it lets run what it needs, and as many as always run. Jobs come at a fixed rate, so all have the same work.
func openOverLoops(ctx context.Context, o options) (series, error) {
	var s series
	loops := []int{1, 2, 4, 8, 2, 4, 8}
	const alwaysFrom = 4
	o.servers = nil
	for i, n := range loops {
		name := fmt.Sprintf("gearloop-%d", n)
		if i >= alwaysFrom {
			name += "-all"
		}
		o.servers = append(o.servers, name)
	}
	all := bench.Scenarios()
	open := slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == "open" })
	report, syscalls, err := run(ctx, all[open], o)
	if err != nil {
		return s, err
	}
	for i, server := range report.Servers {
		x, total, kind := float64(loops[i]), &server.Total, ""
		if i >= alwaysFrom {
			kind = ", all run"
		}
		s.add("server CPU µs"+kind, x, rounds.PerJob(total.Server, total.Part))
		s.add("p50 µs"+kind, x, float64(total.P50)/1e3)
		s.add("p99 µs"+kind, x, float64(total.P99)/1e3)
		s.add("context switches"+kind, x, rounds.PerJob(total.Switches, total.Part))
		if n, ok := syscalls[server.Server.Name]; ok {
			s.add("system calls"+kind, x, n)
		}
	}
	return s, nil
}

func (s *series) print(out io.Writer) {
	fmt.Fprintln(out, "==", s.Name)
	for _, l := range s.Lines {
		fmt.Fprintf(out, "%25s", l.Name)
		for _, p := range l.Points {
			fmt.Fprintf(out, "  %g: %.4g", p.X, p.Y)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
)

// drift is by which fraction the floor's cost may differ between rounds before a round is made again.
const drift = 0.2

// syscallPart is the part of a turn in which system calls are counted.
const syscallPart = 0.3

// start starts the installed ones of the servers.
func start(host *bench.Host, names []string) ([]rounds.Server, error) {
	var servers []rounds.Server
	for _, name := range names {
		s, err := host.Start(name)
		if errors.Is(err, bench.ErrMissing) {
			fmt.Fprintln(os.Stderr, "compare:", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// measure measures a scenario with newly started servers, and prints the result.
func measure(ctx context.Context, s bench.Scenario, o options) (scenario, error) {
	measured := scenario{Name: s.Name, Title: s.Title, Mode: string(s.Load.Mode)}
	report, syscalls, err := run(ctx, s, o)
	if err != nil {
		return measured, err
	}
	fmt.Println("==", s.Name)
	report.WriteText(os.Stdout)
	var counts []string
	for _, server := range report.Servers {
		if n, ok := syscalls[server.Server.Name]; ok {
			counts = append(counts, fmt.Sprintf("%s %.2f", server.Server.Name, n))
		}
	}
	if len(counts) > 0 {
		fmt.Println("system calls per job:", strings.Join(counts, ", "))
	}
	fmt.Println()
	for _, server := range report.Servers {
		c := cellOf(server, syscalls[server.Server.Name])
		c.Ratios = ratios(server, report.Servers[0])
		measured.Servers = append(measured.Servers, c)
	}
	return measured, nil
}

// run starts the servers of a scenario and puts the load on them.
func run(ctx context.Context, s bench.Scenario, o options) (*rounds.Report, map[string]float64, error) {
	host, err := bench.NewHost()
	if err != nil {
		return nil, nil, err
	}
	defer host.Close()
	var names []string
	for _, name := range o.servers {
		if !s.Large || name != "floor" {
			names = append(names, name)
		}
	}
	servers, err := start(host, names)
	if err != nil {
		return nil, nil, err
	}
	commands := map[string]string{}
	for _, name := range names {
		short, _, _ := strings.Cut(name, "=")
		commands[short] = name
	}
	turn, warmup := o.span()
	plan := rounds.Plan{
		Load: s.Load, Span: load.Span{Jobs: s.Jobs, Duration: turn, Warmup: warmup}, Servers: servers, Rounds: o.rounds,
		Steady: "floor", Drift: drift, Repeats: o.rounds,
	}
	if s.Once {
		plan.Rounds = 1
	}
	if s.Fresh {
		plan.Renew = func(s rounds.Server) (rounds.Server, error) { return host.Start(commands[s.Name]) }
	}
	if f, err := os.Stderr.Stat(); err == nil && f.Mode()&os.ModeCharDevice != 0 {
		plan.Progress = os.Stderr
	}
	report, err := rounds.Run(ctx, plan)
	if err != nil {
		return nil, nil, err
	}
	if ctx.Err() != nil {
		report.WriteText(os.Stdout)
		return nil, nil, errors.New("interrupted")
	}
	syscalls := map[string]float64{}
	for _, server := range servers {
		if !o.syscalls || s.Once || s.Jobs > 0 {
			break
		}
		n, err := countSyscalls(ctx, s, server, time.Duration(float64(turn)*syscallPart))
		if err != nil {
			return nil, nil, err
		}
		if n > 0 {
			syscalls[server.Name] = n
		}
	}
	return report, syscalls, nil
}

// countSyscalls returns the number of system calls per job; 0 if they cannot be counted.
func countSyscalls(ctx context.Context, s bench.Scenario, server rounds.Server, turn time.Duration) (float64, error) {
	cfg := s.Load
	cfg.Addr = server.Addr
	l, err := load.Open(ctx, cfg, 0)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	if _, err := l.Run(ctx, load.Span{Duration: turn / 4}); err != nil {
		return 0, err
	}
	before, _ := l.Done()
	calls, _, err := bench.Syscalls(server.PID, func() error {
		_, err := l.Run(ctx, load.Span{Duration: turn})
		return err
	})
	after, _ := l.Done()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 0, ctx.Err()
	}
	return float64(calls) / float64(max(after-before, 1)), nil
}

// Durable measures jobs that outlive the server: Gearloop with a directory, in its three sync modes, beside
// itself without one, the C server with its sqlite queue, and, for scale, beanstalkd, a work queue with
// another protocol.
//
//	go run ./bench/durable
//	go run ./bench/durable -rounds 1 -jobs 50000 -dir /mnt/fast
//
// The directories are created below -dir, on the disk to measure. Programs that are not installed are left
// out, with a line that says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
	"gearloop/test/peers"
)

type options struct {
	dir      string
	jobs     int
	rounds   int
	restored int
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".", "`directory` on the disk to measure")
	flag.IntVar(&o.jobs, "jobs", 200_000, "`number` of jobs in each round; slow servers get a fraction")
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each server has its turn")
	flag.IntVar(&o.restored, "kept", 1_000_000, "`number` of jobs that a server is started with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "durable:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp(o.dir, "gearloop-durable-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	host, err := bench.NewHost()
	if err != nil {
		return err
	}
	defer host.Close()
	ours, c, err := start(host, dir)
	if err != nil {
		return err
	}
	for _, shape := range []struct {
		clients, depth, share int // share: a part of -jobs, as one of so many
	}{{4, 64, 1}, {1, 1, 20}} {
		many := load.Config{Mode: load.Background, Function: "f", Functions: 1, Clients: shape.clients, Depth: shape.depth, Workers: 8, Payload: 64}
		if err := run(ctx, many, ours, o.jobs/shape.share, o.rounds); err != nil {
			return err
		}
		if len(c) > 0 {
			if err := run(ctx, many, c, o.jobs/100, 1); err != nil {
				return err
			}
		}
		if err := beanstalks(ctx, dir, shape.clients, shape.depth, o.jobs/shape.share/4); err != nil {
			return err
		}
	}
	return restart(host, filepath.Join(dir, "kept"), o.restored)
}

// start starts the servers that speak Gearman.
func start(host *bench.Host, dir string) (ours, c []rounds.Server, err error) {
	for _, s := range []struct{ name, sync string }{
		{"in memory", ""}, {"always", "always"}, {"interval=10ms", "interval=10ms"}, {"none", "none"},
	} {
		var args []string
		if s.sync != "" {
			args = []string{"--data-dir", filepath.Join(dir, s.name), "--sync", s.sync}
		}
		server, err := host.StartWith(s.name, peers.Gearloop, args...)
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, server)
	}
	server, err := host.StartWith("C, sqlite", peers.C, "-q", "libsqlite3", "--libsqlite3-db", filepath.Join(dir, "queue.sqlite"))
	switch {
	case errors.Is(err, bench.ErrMissing):
		fmt.Fprintln(os.Stderr, "durable:", err)
	case err != nil:
		return nil, nil, err
	default:
		c = append(c, server)
	}
	return ours, c, nil
}

func run(ctx context.Context, l load.Config, servers []rounds.Server, jobs, times int) error {
	report, err := rounds.Run(ctx, rounds.Plan{Load: l, Span: load.Span{Jobs: jobs}, Servers: servers, Rounds: times})
	if report != nil {
		fmt.Println(jobs, "jobs in each round")
		report.WriteText(os.Stdout)
		fmt.Println()
	}
	if err == nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return err
}

// size returns the size of a directory on disk, in bytes.
func size(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	return sum, err
}

// installed reports whether a program exists, and prints where to get it if not.
func installed(program, debianPackage string) bool {
	if _, err := exec.LookPath(program); err != nil {
		fmt.Fprintf(os.Stderr, "durable: no %s to compare with: it comes with Debian's package %s\n", program, debianPackage)
		return false
	}
	return true
}

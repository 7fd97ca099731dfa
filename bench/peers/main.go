package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	peers    []string
	gearloop string
	nats     string
	dir      string
	rounds   int
	seconds  float64
	fill     int
	prefetch int
	write    bool
}

// fillLimit is how long a queue is filled for at most; slow servers get fewer jobs.
const fillLimit = 4 * time.Second

func main() {
	var o options
	list := flag.String("peers", "", "what to measure, separated by commas (gearloop,c,perl,beanstalkd,redis,nats,rabbitmq); none is all")
	flag.StringVar(&o.gearloop, "program", "bin/gearloop", "`path` of Gearloop")
	flag.StringVar(&o.nats, "nats", "bin/nats-server", "`path` of the NATS server")
	flag.StringVar(&o.dir, "dir", ".", "`directory` for data, on the disk to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each server has its turn; medians are shown")
	flag.Float64Var(&o.seconds, "seconds", 0.6, "`length` of a turn, after a quarter of it that does not count")
	flag.IntVar(&o.fill, "fill", 100_000, "`number` of jobs that are queued to measure memory; 0 = none")
	flag.IntVar(&o.prefetch, "prefetch", 1, "how `many` jobs a worker may have at Redis streams, JetStream and RabbitMQ")
	flag.BoolVar(&o.write, "write", false, "write table and plot into "+document+" and docs/bench of the current directory")
	flag.Parse()
	if *list != "" {
		o.peers = strings.Split(*list, ",")
	}
	err := o.validate()
	if err == nil {
		// SIGPIPE too: if nobody reads the output any more, servers and files are still to be removed.
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// wants reports whether a server is among those to measure.
func (o *options) wants(server string) bool {
	kind, _, _ := strings.Cut(server, "-")
	return len(o.peers) == 0 || slices.Contains(o.peers, kind)
}

func (o *options) validate() (err error) {
	for _, p := range o.peers {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.server == p || strings.HasPrefix(r.server, p+"-") }) {
			return fmt.Errorf("-peers: nothing is called %q (there are gearloop, c, perl, beanstalkd, redis, nats, rabbitmq)", p)
		}
	}
	if o.rounds < 1 || o.seconds <= 0 || o.prefetch < 1 || o.fill < 0 {
		return errors.New("-rounds and -prefetch must be at least 1, -seconds more than 0, -fill not negative")
	}
	if o.write && len(o.peers) > 0 {
		return errors.New("-write is for all peers; leave -peers out")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(o.dir, &fs); err != nil {
		return fmt.Errorf("-dir %s: %w", o.dir, err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		return fmt.Errorf("-dir %s is in memory (tmpfs): durable jobs need a directory on a disk", o.dir)
	}
	o.gearloop, err = filepath.Abs(o.gearloop)
	return err
}

func measure(ctx context.Context, o options) error {
	began := time.Now()
	dir, err := os.MkdirTemp(o.dir, "gearloop-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	e := &environment{dir: dir, gearloop: o.gearloop, nats: o.nats, prefetch: o.prefetch}
	defer e.close()
	var results []*result
	for i := range rows {
		if o.wants(rows[i].server) {
			results = append(results, &result{row: &rows[i], turns: map[shape][]figures{}})
		}
	}
	if results, err = fillAll(ctx, e, o, results); err != nil {
		return err
	}
	if results, err = loadAll(ctx, e, o, results); err != nil {
		return err
	}
	measured := o.describe(began) + markdown(results, o.fill)
	fmt.Println(measured)
	for _, r := range results {
		for _, s := range shapes {
			fmt.Fprintf(os.Stderr, "%s %s, %v: %.1f µs of CPU of the load per job\n",
				[]string{"in memory", "durable", "request"}[r.row.section], r.row.server, s, medians(r.turns[s]).Load)
		}
	}
	if o.write {
		return write(measured, results)
	}
	return nil
}

// fillAll fills the queues of fresh servers, one at a time.
func fillAll(ctx context.Context, e *environment, o options, results []*result) ([]*result, error) {
	for _, r := range slices.Clone(results) {
		if r.row.section == request || o.fill == 0 {
			continue
		}
		server, err := e.start(ctx, r.row.server)
		if errors.Is(err, errMissing) {
			results = without(results, r.row.server, err)
			continue
		}
		if err == nil {
			err = fill(ctx, server, o.fill, r)
			server.end()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.row.server, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %d jobs queued, %.0f bytes each\n", r.row.server, r.jobs, r.perQueued())
	}
	return results, nil
}

// without leaves out a server that is not installed, with a line that says so.
func without(results []*result, server string, err error) []*result {
	fmt.Fprintf(os.Stderr, "peers: left out: %v\n", err)
	return slices.DeleteFunc(results, func(r *result) bool { return r.row.server == server })
}

func fill(ctx context.Context, server *running, jobs int, r *result) error {
	l, err := drive(server.broker, server.pid)
	if err != nil {
		return err
	}
	defer l.close()
	r.jobs, r.memory, err = l.fill(ctx, jobs, fillLimit)
	return err
}

// loadAll lets all servers take turns.
func loadAll(ctx context.Context, e *environment, o options, results []*result) ([]*result, error) {
	loads := map[string]*driven{}
	defer func() {
		for _, l := range loads {
			l.close()
		}
	}()
	for _, r := range slices.Clone(results) {
		if loads[r.row.server] != nil || !slices.Contains(results, r) {
			continue
		}
		server, err := e.start(ctx, r.row.server)
		if errors.Is(err, errMissing) {
			results = without(results, r.row.server, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if loads[r.row.server], err = drive(server.broker, server.pid); err != nil {
			return nil, fmt.Errorf("%s: %w", r.row.server, err)
		}
	}
	length := time.Duration(o.seconds * 1e9)
	for _, s := range shapes {
		for _, part := range []section{inMemory, durable, request} {
			for round := range o.rounds {
				turns := slices.DeleteFunc(slices.Clone(results), func(r *result) bool { return r.row.section != part })
				if round%2 == 1 {
					slices.Reverse(turns)
				}
				for _, r := range turns {
					f, err := loads[r.row.server].turn(ctx, part == request, s, length/4, length)
					if err != nil {
						return nil, fmt.Errorf("%s, %v: %w", r.row.server, s, err)
					}
					r.turns[s] = append(r.turns[s], f)
				}
			}
		}
	}
	return results, nil
}

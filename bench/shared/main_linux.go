// Shared measures brokers that share a database: two of them beside a driver that sends the same statements
// to the same database and is no broker. The database is a primary with two synchronous standbys on this
// machine, with fsync. Both take turns.
//
//	go run ./bench/shared
//	go run ./bench/shared -rounds 1 -seconds 1
//	go run ./bench/shared -write   (into BENCHMARKS.md)
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
	"gearloop/test/peers"
	"gearloop/test/pgtest"
)

type options struct {
	rounds  int
	seconds float64
	write   bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each has its turn; the median counts")
	flag.Float64Var(&o.seconds, "seconds", 3, "`length` of a turn, behind a second that does not count")
	flag.BoolVar(&o.write, "write", false, "write the table into "+document)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "shared:", err)
		os.Exit(1)
	}
}

const (
	brokers  = 2
	schemaOf = "brokers"
	rawOf    = "raw"
)

func measure(ctx context.Context, o options) error {
	host, err := bench.NewHost()
	if err != nil {
		return err
	}
	defer host.Close()
	db, err := pgtest.LaunchCluster(pgtest.Options{Durable: true, Settings: []string{
		"shared_buffers=256MB", "max_wal_size=4GB", "wal_keep_size=1GB", "autovacuum_vacuum_scale_factor=0.02", "autovacuum_naptime=5",
	}}, pgtest.Rule)
	if err != nil {
		return err
	}
	defer db.End()
	for _, schema := range []string{schemaOf, rawOf} {
		if err := db.Nodes[0].Do("create schema " + schema); err != nil {
			return err
		}
	}
	var servers []rounds.Server
	for i := range brokers {
		name := fmt.Sprint("broker ", i+1)
		s, err := host.StartWith(name, peers.Gearloop, "--store", db.URL(schemaOf), "--node", name)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "Measured on %s, with %s and %d cores: `go run ./bench/shared %s`\n\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), strings.Replace(runtime.Version(), "go", "Go ", 1), runtime.NumCPU(), strings.Join(os.Args[1:], " "))
	fmt.Fprintln(&out, "| | raw jobs/s | two brokers | of raw | p50 | broker CPU/job | engine CPU/job | raw engine CPU | WAL/job | raw WAL |")
	fmt.Fprintln(&out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, c := range []shape{{"submitted, 64 in flight", 64, false}, {"submitted, 256 in flight", 256, false},
		{"in and out, 64 in flight", 64, true}, {"in and out, 256 in flight", 256, true}} {
		var raw, ours []result
		for round := range o.rounds {
			for turn := range 2 {
				var r result
				if (round+turn)%2 == 0 {
					r, err = rawTurn(ctx, db, c, o)
					raw = append(raw, r)
				} else {
					r, err = brokerTurn(ctx, db, servers, c, o)
					ours = append(ours, r)
				}
				if err != nil {
					return fmt.Errorf("%s, %d raw and %d turns of brokers: %w", c.name, len(raw), len(ours), err)
				}
			}
			fmt.Fprintf(os.Stderr, "%s: raw %.0f, brokers %.0f jobs/s\n", c.name, raw[round].rate, ours[round].rate)
		}
		a, b := median(raw), median(ours)
		fmt.Fprintf(&out, "| %s | %.0f | %.0f | %.2f | %.1f ms | %.0f µs | %.0f µs | %.0f µs | %.0f B | %.0f B |\n",
			c.name, a.rate, b.rate, b.rate/a.rate, b.p50*1e3, b.broker*1e6, b.engine*1e6, a.engine*1e6, b.wal, a.wal)
	}
	fmt.Fprintln(&out)
	if err := foreground(ctx, host, servers[0], o, &out); err != nil {
		return err
	}
	if err := statements(ctx, host, &out); err != nil {
		return err
	}
	fmt.Print(out.String())
	if o.write {
		return write(out.String())
	}
	return nil
}

// shape is what is measured: how many submissions wait for an answer, over all, and whether jobs are done
// meanwhile.
type shape struct {
	name     string
	inFlight int
	out      bool
}

// result is that of one turn. Times are in seconds, per job where they are sums.
type result struct {
	rate                float64 // submissions that were acknowledged, or jobs that were done, per second
	p50                 float64 // of a submission
	broker, engine, wal float64
}

// median returns the result with the median rate.
func median(all []result) result {
	slices.SortFunc(all, func(a, b result) int {
		if a.rate < b.rate {
			return -1
		}
		return 1
	})
	return all[len(all)/2]
}

// meter measures what the database uses.
type meter struct {
	db  *pgtest.Cluster
	cpu time.Duration
	wal float64
	at  time.Time
}

func begin(db *pgtest.Cluster) (m meter, err error) {
	m = meter{db: db, at: time.Now()}
	for _, n := range db.Nodes {
		m.cpu += n.CPU()
	}
	return m, db.Nodes[0].Ask("select (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8", &m.wal)
}

// end returns the result of jobs since begin.
func (m meter) end(jobs int64) (result, error) {
	after, err := begin(m.db)
	if err == nil && jobs == 0 {
		err = errors.New("no job was done")
	}
	n := float64(jobs)
	return result{
		rate: n / after.at.Sub(m.at).Seconds(), engine: (after.cpu - m.cpu).Seconds() / n, wal: (after.wal - m.wal) / n,
	}, err
}

// foreground measures foreground jobs at a broker with a store and at one without.
func foreground(ctx context.Context, host *bench.Host, with rounds.Server, o options, out *bytes.Buffer) error {
	without, err := host.StartWith("without", peers.Gearloop)
	if err != nil {
		return err
	}
	with.Name = "with"
	report, err := rounds.Run(ctx, rounds.Plan{
		Load:    load.Config{Mode: load.Foreground, Function: "f", Functions: 1, Clients: 4, Depth: 64, Workers: 8, Payload: 64},
		Span:    load.Span{Duration: time.Duration(o.seconds * float64(time.Second) / 2), Warmup: time.Second / 2},
		Servers: []rounds.Server{with, without}, Rounds: 2*o.rounds - 1,
	})
	if err != nil {
		return err
	}
	var ratios []float64
	for i := range report.Servers[0].Rounds {
		with, without := report.Servers[0].Rounds[i], report.Servers[1].Rounds[i]
		ratios = append(ratios, rounds.PerSecond(with.Part)/rounds.PerSecond(without.Part))
	}
	slices.Sort(ratios)
	fmt.Fprintf(out, "- Foreground jobs, 4 clients × 64 in flight, 8 workers: %.0f a second with a database, %.0f without: %.2f (median of %d).\n",
		rounds.PerSecond(report.Servers[0].Total.Part), rounds.PerSecond(report.Servers[1].Total.Part), ratios[len(ratios)/2], len(ratios))
	return nil
}

// statements counts what a broker asks of its database while jobs are grabbed and do not end.
func statements(ctx context.Context, host *bench.Host, out *bytes.Buffer) error {
	db, err := pgtest.Launch(pgtest.Options{Settings: []string{"shared_preload_libraries=pg_stat_statements"}})
	if err != nil {
		return err
	}
	defer db.End()
	if err := db.Do("create extension pg_stat_statements"); err != nil {
		return err
	}
	server, err := host.StartWith("counted", peers.Gearloop, "--store", db.URL(""), "--node", "counted")
	if err != nil {
		return err
	}
	const jobs = 2000
	if err := fill(server.Addr, jobs); err != nil {
		return err
	}
	const calls = `select coalesce(sum(calls), 0)::bigint from pg_stat_statements where query ~ '\y(job|arg)\y' and query !~ 'pg_stat_statements'`
	var before, after int64
	if err := db.Ask(calls, &before); err != nil {
		return err
	}
	if before == 0 {
		return errors.New("pg_stat_statements counts nothing")
	}
	if err := grab(server.Addr, jobs); err != nil {
		return err
	}
	if err := db.Ask(calls, &after); err != nil {
		return err
	}
	fmt.Fprintf(out, "- Statements about jobs while %d of them were grabbed: %d (there had been %d to store them).\n", jobs, after-before, before)
	return ctx.Err()
}

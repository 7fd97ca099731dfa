// Compare measures Gearloop beside the reference servers and the floor, which it starts itself.
//
//	go run ./bench/compare -write                               everything, and writes what BENCHMARKS.md shows
//	go run ./bench/compare -from docs/bench/results.json        the tables and plots of a former run once more
//	go run ./bench/compare -check docs/bench/results.json -servers floor,gearloop     what has become slower
//	go run ./bench/compare -scenarios names,connections,sleeping,queued,queuedmemory,listeners -plots docs/bench
//	go run ./bench/compare -scenarios openloops                 what a job costs with 1 to 8 event loops, at a fixed rate
//	go run ./bench/compare -list                                what there is
//	go run ./bench/compare -scenarios shallow,deep -servers floor,gearloop-1,c -rounds 3 -seconds 2
//	go run ./bench/compare -scenarios deep -servers 'floor,old=/tmp/gearloop serve -L 127.0.0.1:0,gearloop'
//
// Beside the scenarios of package bench there are series for plots: payload, memory and loops, those of growth, and
// openloops.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"gearloop/bench"
)

// options select what to measure.
type options struct {
	scenarios []string // all if empty
	servers   []string
	rounds    int
	seconds   float64
	syscalls  bool
	write     bool
	from      string
	against   string
	limit     time.Duration
	plots     string
}

func main() {
	var o options
	scenarios := flag.String("scenarios", "", "`names` of scenarios and series, separated by commas; none is all")
	servers := flag.String("servers", "floor,gearloop-1,gearloop,c,perl",
		"`names` of servers, or NAME=COMMAND, separated by commas; ratios are to the first")
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each server has its turn")
	flag.Float64Var(&o.seconds, "seconds", 1, "how `long` a turn is")
	flag.BoolVar(&o.syscalls, "syscalls", true, "count system calls, after the rounds")
	flag.BoolVar(&o.write, "write", false, "write tables and plots into BENCHMARKS.md and docs/bench of the current directory")
	flag.StringVar(&o.from, "from", "", "take the results from a `file` that -write has written, instead of measuring")
	flag.StringVar(&o.against, "check", "", "compare the ratios to the floor with those of a `file` that -write has written: "+
		"exit status 1, and a line for each scenario in which a server costs more than noise explains")
	flag.DurationVar(&o.limit, "limit", 0, "how `long` all of it may take: with too little time there are fewer rounds; 0 is any time")
	flag.StringVar(&o.plots, "plots", "", "`directory` to write plots of the growth series to")
	list := flag.Bool("list", false, "print the names of scenarios, series and servers")
	flag.Parse()
	if *list {
		printNames()
		return
	}
	o.servers = strings.Split(*servers, ",")
	if *scenarios != "" {
		o.scenarios = strings.Split(*scenarios, ",")
	}
	err := o.validate()
	var worse []string
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if o.against != "" {
			worse, err = o.check(ctx)
		} else {
			err = compare(ctx, o)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	}
	for _, line := range worse {
		fmt.Println(line)
	}
	if len(worse) > 0 {
		os.Exit(1)
	}
}

func printNames() {
	for _, s := range bench.Scenarios() {
		fmt.Printf("%-12s %s\n", s.Name, s.Title)
	}
	for _, s := range append(allSeries(), namedSeries()...) {
		fmt.Printf("%-12s %s\n", s.name, s.title)
	}
	fmt.Println("servers:", strings.Join(bench.ServerNames(), ", "))
}

func (o *options) validate() error {
	var known []string
	for _, s := range bench.Scenarios() {
		known = append(known, s.Name)
	}
	for _, s := range append(allSeries(), namedSeries()...) {
		known = append(known, s.name)
	}
	for _, name := range o.scenarios {
		if !slices.Contains(known, name) {
			return fmt.Errorf("no scenario is called %q (there are: %s)", name, strings.Join(known, ", "))
		}
	}
	if o.rounds < 1 || o.seconds <= 0 {
		return errors.New("-rounds must be at least 1, -seconds more than 0")
	}
	if o.against != "" && (o.write || o.from != "" || o.servers[0] != "floor") {
		return errors.New("-check goes neither with -write nor with -from, and the first of -servers must be the floor")
	}
	if o.write && len(o.scenarios) > 0 {
		return errors.New("-write is for all scenarios")
	}
	return nil
}

func (o *options) wants(name string) bool {
	return len(o.scenarios) == 0 || slices.Contains(o.scenarios, name)
}

// span returns the duration of a turn and of its warm-up.
func (o *options) span() (turn, warmup time.Duration) {
	return time.Duration(o.seconds * 1e9), time.Duration(o.seconds * 2e8)
}

func compare(ctx context.Context, o options) error {
	if o.from != "" {
		return writeAgain(o.from)
	}
	began := time.Now()
	r := results{Machine: describeMachine(), Date: began.UTC().Format("2006-01-02 15:04 UTC"), Command: command(), Rounds: o.rounds, Seconds: o.seconds}
	chosen := allSeries()
	if len(o.scenarios) > 0 {
		chosen = append(chosen, namedSeries()...)
	}
	left := 0
	for _, s := range bench.Scenarios() {
		if o.wants(s.Name) {
			left++
		}
	}
	for _, s := range chosen {
		if o.wants(s.name) {
			left++
		}
	}
	b, asked := budget{limit: o.limit}, o.rounds
	spent := func() {
		left--
		b.done += o.rounds
		b.elapsed = time.Since(began)
		if o.rounds = b.rounds(asked, left); o.rounds < asked && left > 0 {
			fmt.Printf("%.0f seconds have passed: rounds are cut to %d\n\n", b.elapsed.Seconds(), o.rounds)
		}
	}
	for _, s := range bench.Scenarios() {
		if o.wants(s.Name) {
			measured, err := measure(ctx, s, o)
			spent()
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			r.Scenarios = append(r.Scenarios, measured)
		}
	}
	for _, s := range chosen {
		if o.wants(s.name) {
			measured, err := s.measure(ctx, o)
			spent()
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			measured.Name = s.name
			measured.print(os.Stdout)
			r.Series = append(r.Series, measured)
		}
	}
	fmt.Printf("%.0f seconds\n", time.Since(began).Seconds())
	if o.plots != "" {
		if err := r.plotGrowth(o.plots); err != nil {
			return err
		}
	}
	if o.write {
		return r.write()
	}
	return nil
}

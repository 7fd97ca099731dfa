// Scale measures what a connection that does nothing costs in memory: idle clients, and workers that sleep.
//
//	go run ./bench/scale
//	go run ./bench/scale -connections 1000,2000,4000 -times 1 -- --loops 2
//
// What stands behind the options are options of the server. It is started anew for each kind of connection,
// and each time twice: once as it is, for its resident memory and the kernel's, and once with every
// allocation recorded, which says whose the heap is. The connections come from this process, so that each of
// the two may have as many as a process may have descriptors. Figures are slopes: what a further connection
// takes, from the least number on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
)

// kinds are the connections that are measured, each with the load that has n of them.
var kinds = []struct {
	title string
	load  func(n int) load.Config
}{
	{"idle client", func(n int) load.Config { return load.Config{Clients: n} }},
	{"sleeping worker of one function", func(n int) load.Config { return load.Config{Clients: 1, Idle: n - 1} }},
}

type options struct {
	counts []int // in ascending order
	times  int
	args   []string // of the server

	oneAddress bool
}

func main() {
	var o options
	counts := flag.String("connections", "5000,10000,19000", "`numbers` of connections, separated by commas")
	flag.IntVar(&o.times, "times", 3, "how `often` it is measured; the middle counts")
	flag.BoolVar(&o.oneAddress, "one-address", false, "have the server listen on one address, so that the search for free ports shows")
	flag.Parse()
	o.args = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := o.parse(*counts)
	if err == nil {
		err = o.measure(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func (o *options) parse(counts string) error {
	for text := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 || len(o.counts) > 0 && n <= o.counts[len(o.counts)-1] {
			return fmt.Errorf("-connections is %q: it must be rising numbers from 2 on", counts)
		}
		o.counts = append(o.counts, n)
	}
	if len(o.counts) < 2 || o.times < 1 {
		return errors.New("two -connections and one of -times are the least")
	}
	return nil
}

func (o *options) measure(ctx context.Context) error {
	var columns []column
	for _, k := range kinds {
		var all []slopes
		for range o.times {
			s, err := o.slopes(ctx, k.load)
			if err != nil {
				return fmt.Errorf("%s: %w", k.title, err)
			}
			all = append(all, s)
		}
		columns = append(columns, column{k.title, middle(all)})
	}
	writeTable(os.Stdout, o.counts, columns)
	return nil
}

// slopes measures one kind of connection once.
func (o *options) slopes(ctx context.Context, kind func(n int) load.Config) (slopes, error) {
	plain, err := o.series(ctx, kind, nil)
	if err != nil {
		return nil, err
	}
	recorded, err := o.series(ctx, kind, []string{"GODEBUG=memprofilerate=1"})
	if err != nil {
		return nil, err
	}
	for i := range plain {
		plain[i].heap = recorded[i].heap
	}
	return slopesOf(o.counts, plain), nil
}

// series measures a new server with each number of connections.
func (o *options) series(ctx context.Context, kind func(n int) load.Config, env []string) ([]sample, error) {
	host, err := bench.NewHost()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	// One address per part: if more than half of the ports of an address are in use, finding a free one is what
	// takes long.
	args := o.args
	for i := range o.counts {
		if i == 0 || !o.oneAddress {
			args = append(slices.Clip(args), "--listen", fmt.Sprintf("127.0.0.%d:0", i%250+1))
		}
	}
	server, err := host.StartProfiled(env, args...)
	if err != nil {
		return nil, err
	}
	var samples []sample
	var loads []*load.Load
	defer func() {
		for _, l := range slices.Backward(loads) {
			l.Close()
		}
	}()
	there := 0
	for i, n := range o.counts {
		cfg := kind(n - there)
		cfg.Addr, cfg.Mode, cfg.Function, cfg.Functions, cfg.Depth, cfg.Payload = server.Addrs[i%len(server.Addrs)], load.Echo, "scale", 1, 1, 64
		began := time.Now()
		l, err := load.Open(ctx, cfg, server.PID)
		if err != nil {
			return nil, err
		}
		rate := float64(n-there) / time.Since(began).Seconds()
		loads, there = append(loads, l), n
		s, err := sampleServer(ctx, server)
		if err != nil {
			return nil, err
		}
		s.rate = rate
		samples = append(samples, s)
	}
	return samples, nil
}

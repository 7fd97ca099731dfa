// Storm measures what others notice when very many workers connect at once, and when workers declare very
// many functions: how fast the server takes them, how long jobs of a bystander take meanwhile, and what
// memory is left afterwards.
//
//	go run ./bench/storm
//	go run ./bench/storm -servers c,gearloop -workers 15000 -functions 100000 -rounds 3
//
// The bystander is one client and one worker of a function of their own. It submits a job every two
// milliseconds, whatever the server does; the time of a job counts from when it was due. Servers take turns,
// each is started anew. With -apart the bystander uses an idle server of its own: its times are what the machine
// and this program alone cost.
//
// Connections per second are bounded by this program: one thread opens all connections unless -threads says
// otherwise, and the kernel does most of the server's part of a handshake within its connect(2). Compare servers by
// their CPU per connection: the old one is closed, the new one accepted, its three packets handled and one answered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"gearloop/bench"
	"gearloop/internal/load"
	"gearloop/internal/rounds"
	"gearloop/test/peers"
)

// options select what to measure.
type options struct {
	servers   []string
	workers   int // that connect at once
	functions int // that are declared at once
	declarers int // workers that declare them
	threads   int // of this program that connect
	rounds    int
	apart     bool          // the bystander has a server of its own
	alone     time.Duration // how long the bystander is measured before, and while the declarers leave
	patience  time.Duration // how long no memory was given back when all of it was
}

func main() {
	var o options
	servers := flag.String("servers", "c,gearloop", "`names` of servers, or NAME=COMMAND, separated by commas")
	flag.IntVar(&o.workers, "workers", 15_000, "`number` of workers that connect at once")
	flag.IntVar(&o.functions, "functions", 100_000, "`number` of functions that are declared at once")
	flag.IntVar(&o.declarers, "declarers", 100, "`number` of workers that declare them")
	flag.IntVar(&o.threads, "threads", 1, "`number` of threads of this program that connect")
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each server has its turn; medians are shown")
	flag.BoolVar(&o.apart, "apart", false, "the bystander uses an idle server of its own: what the machine alone costs it")
	flag.DurationVar(&o.patience, "patience", 5*time.Second, "how `long` a server must give no memory back to be taken as done with that")
	flag.Parse()
	o.alone = time.Second
	o.servers = strings.Split(*servers, ",")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := o.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) error {
	if o.workers < 1 || o.rounds < 1 || o.threads < 1 || o.declarers < 1 || o.functions < o.declarers {
		return errors.New("-workers, -rounds, -threads and -declarers must be at least 1, -functions at least -declarers")
	}
	if err := raiseDescriptors(); err != nil {
		return err
	}
	// The goroutines of the bystander must not wait for a processor of Go's that a thread of the crowd holds: Go takes
	// it away after ten milliseconds, the system at once.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), o.threads+4))
	// Go's collector would stop the bystander for milliseconds: each measurement begins with a collection instead.
	debug.SetGCPercent(-1)
	all := map[string][]figures{}
	for range o.rounds {
		for _, name := range o.servers {
			f, err := o.measure(ctx, name)
			if errors.Is(err, bench.ErrMissing) {
				fmt.Fprintln(os.Stderr, "storm:", err)
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all[name] = append(all[name], f)
		}
	}
	o.print(all)
	return nil
}

// figures are the results of one turn of a server, by row of the table.
type figures map[string]float64

// The rows of the table.
const (
	calm       = "bystander before, p99 ms"
	rate       = "connections per second"
	stormP99   = "bystander meanwhile, p99 ms"
	stormMax   = "bystander meanwhile, longest ms"
	closeMax   = "... while the old ones are closed"
	openMax    = "... while the new ones connect"
	stormCPU   = "server CPU per connection, µs"
	ownCPU     = "generator's CPU per connection, µs"
	rssBefore  = "resident before, MiB"
	rssWith    = "resident with all, MiB"
	rssAfter   = "resident afterwards, MiB"
	declared   = "functions declared per second"
	declareP99 = "bystander meanwhile (functions), p99 ms"
	declareMax = "bystander meanwhile (functions), longest ms"
	leaveP99   = "bystander while they leave, p99 ms"
	rssEnd     = "resident at the end, MiB"
)

var rows = []string{
	calm, rate, stormCPU, ownCPU, stormP99, stormMax, closeMax, openMax, rssBefore, rssWith, rssAfter,
	declared, declareP99, declareMax, leaveP99, rssEnd,
}

// measure has a new server go through both storms.
func (o *options) measure(ctx context.Context, name string) (figures, error) {
	host, err := bench.NewHost()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	server, err := start(host, name)
	if err != nil {
		return nil, err
	}
	runtime.GC()
	beside := server
	if o.apart {
		if beside, err = start(host, name); err != nil {
			return nil, err
		}
	}
	by, err := newBystander(beside.Addr)
	if err != nil {
		return nil, err
	}
	defer by.close()
	f := figures{}
	if err := by.during(f, calm, "", func() error { return pause(ctx, o.alone) }); err != nil {
		return nil, err
	}
	// All connect, are cut off, and connect again at once: that is what is measured.
	worker := func(int) []byte { return workerHello("storm") }
	crowd, err := newCrowd(server.Addr, o.threads)
	if err != nil {
		return nil, err
	}
	defer func() { crowd.close() }()
	f[rssBefore] = resident(server.PID)
	if err := crowd.connect(ctx, o.workers, worker); err != nil {
		return nil, err
	}
	before, _ := load.SampleUsage(server.PID)
	own, _ := load.SampleUsage(os.Getpid())
	var closed, began, ended time.Time
	if err := by.during(f, stormP99, stormMax, func() error {
		closed = time.Now()
		crowd.close()
		if crowd, err = newCrowd(server.Addr, o.threads); err != nil {
			return err
		}
		began = time.Now()
		err := crowd.connect(ctx, o.workers, worker)
		ended = time.Now()
		f[rate] = float64(o.workers) / ended.Sub(began).Seconds()
		return err
	}); err != nil {
		return nil, err
	}
	f[closeMax] = float64(by.times(closed, began).Max()) / 1e6
	f[openMax] = float64(by.times(began, ended).Max()) / 1e6
	after, _ := load.SampleUsage(server.PID)
	f[stormCPU] = float64((after.CPU - before.CPU).Microseconds()) / float64(o.workers)
	after, _ = load.SampleUsage(os.Getpid())
	f[ownCPU] = float64((after.CPU - own.CPU).Microseconds()) / float64(o.workers)
	f[rssWith] = resident(server.PID)
	crowd.close()
	f[rssAfter] = o.settled(ctx, server.PID)

	if crowd, err = newCrowd(server.Addr, o.threads); err != nil {
		return nil, err
	}
	each := o.functions / o.declarers
	if err := by.during(f, declareP99, declareMax, func() error {
		began := time.Now()
		err := crowd.connect(ctx, o.declarers, func(i int) []byte { return declarerHello(i*each, each) })
		f[declared] = float64(each*o.declarers) / time.Since(began).Seconds()
		return err
	}); err != nil {
		return nil, err
	}
	if err := by.during(f, leaveP99, "", func() error {
		crowd.close()
		return pause(ctx, o.alone)
	}); err != nil {
		return nil, err
	}
	f[rssEnd] = o.settled(ctx, server.PID)
	return f, nil
}

// start starts a server. The C server's usual backlog is 32 connections: in a storm most would only try
// again, for a minute.
func start(host *bench.Host, name string) (rounds.Server, error) {
	if name == "c" {
		return host.StartWith(name, peers.C, "--backlog", "4096")
	}
	return host.Start(name)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// resident returns the resident memory of a process in MiB.
func resident(pid int) float64 {
	u, _ := load.SampleUsage(pid)
	return float64(u.Resident) / (1 << 20)
}

// settled waits until a process gives no more memory back, for a minute at most, and returns what it has in
// MiB.
func (o *options) settled(ctx context.Context, pid int) float64 {
	least, since := resident(pid), time.Now()
	for end := since.Add(time.Minute); time.Since(since) < o.patience && time.Now().Before(end); {
		if pause(ctx, 100*time.Millisecond) != nil {
			break
		}
		if now := resident(pid); now < least-0.1 {
			least, since = now, time.Now()
		}
	}
	return resident(pid)
}

// print prints the median of each figure.
func (o *options) print(all map[string][]figures) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d workers, %d functions of %d workers\t", o.workers, o.functions, o.declarers)
	for _, s := range o.servers {
		name, _, _ := strings.Cut(s, "=")
		fmt.Fprintf(w, "%s\t", name)
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t", row)
		for _, s := range o.servers {
			var values []float64
			for _, f := range all[s] {
				values = append(values, f[row])
			}
			if slices.Sort(values); len(values) == 0 {
				fmt.Fprint(w, "–\t")
				continue
			}
			fmt.Fprintf(w, "%.4g\t", values[len(values)/2])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

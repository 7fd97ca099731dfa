package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"

	"gearloop/bench"
	"gearloop/codec"
	"gearloop/internal/load"
	"gearloop/internal/monitor"
	"gearloop/internal/rounds"
	"gearloop/test/peers"
)

// Series that show whether a job costs the same however much there is of something else. They are measured only if they
// are named.

// growthSeries returns them.
func growthSeries() []seriesPlan {
	return []seriesPlan{
		{"names", "server CPU µs per job over functions; 20 clients, 20 workers that share the functions", overFunctions},
		{"connections", "server CPU µs per job over idle workers of another function; 1 client × 1, 1 worker", overIdle},
		{"sleeping", "server CPU µs per job over sleepers of the same function; 1 client × 1, 1 worker", overSleepers},
		{"queued", "server CPU µs per job over queued jobs of another function; 4 clients × 16, 4 workers", overQueued},
		{"queuedmemory", "server memory in bytes per queued job over queued jobs", memoryOverQueued},
		{"listeners", "server CPU µs per listener over the listeners of a job", overListeners},
	}
}

// grows measures the processor time per job of each server, in microseconds, over a variable. All values of it take
// turns, each with a server of its own, so that a disturbance does not look like growth. prepare is called with the new
// server; nil: nothing.
func grows(
	ctx context.Context, o options, values []int, cfg func(x int) load.Config, prepare func(addr string, x int) error,
) (series, error) {
	var s series
	turn, warmup := o.span()
	for _, name := range o.servers {
		if name == "floor" {
			continue // it is about servers that keep something
		}
		title, _, _ := strings.Cut(name, "=")
		err := func() error {
			host, err := bench.NewHost()
			if err != nil {
				return err
			}
			defer host.Close()
			var all []rounds.Server
			for _, x := range values {
				server, err := startFor(host, name, x)
				if err != nil {
					return err
				}
				c := cfg(x)
				server.Load, server.Name = &c, strconv.Itoa(x)
				if prepare != nil {
					if err := prepare(server.Addr, x); err != nil {
						return err
					}
				}
				all = append(all, server)
			}
			report, err := rounds.Run(ctx, rounds.Plan{
				Load: cfg(values[0]), Span: load.Span{Duration: turn, Warmup: warmup}, Servers: all, Rounds: o.rounds,
			})
			if err == nil && ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			if err != nil {
				return err
			}
			for i, server := range report.Servers {
				s.add(title, float64(values[i]), rounds.PerJob(server.Total.Server, server.Total.Part))
			}
			return nil
		}()
		if errors.Is(err, bench.ErrMissing) {
			fmt.Fprintln(os.Stderr, "compare:", err)
			continue
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", title, err)
		}
	}
	return s, nil
}

// startFor starts a server that is to have x of something. By default a broker keeps more descriptors for other uses than
// are left where a process may have 20,000.
func startFor(host *bench.Host, name string, x int) (rounds.Server, error) {
	if name == "gearloop" && x == mostIdle {
		return host.StartWith(name, peers.Gearloop, "--max-connections", strconv.Itoa(mostIdle+500))
	}
	return host.Start(name)
}

// mostIdle is for how many idle connections is measured: 20,000 descriptors suffice for them.
const mostIdle = 19_000

// one is one client with one job in flight, and one worker.
func one() load.Config {
	return load.Config{Function: "bench", Functions: 1, Clients: 1, Depth: 1, Workers: 1, Payload: 64}
}

func overFunctions(ctx context.Context, o options) (series, error) {
	return grows(ctx, o, []int{1, 10, 100, 1000, 10_000, 100_000}, func(x int) load.Config {
		c := one()
		c.Clients, c.Workers, c.Functions, c.Abilities = 20, 20, x, max(1, x/20)
		return c
	}, nil)
}

func overIdle(ctx context.Context, o options) (series, error) {
	return grows(ctx, o, []int{10, 100, 1000, 5000, mostIdle}, func(x int) load.Config {
		c := one()
		c.Idle = x
		return c
	}, nil)
}

func overSleepers(ctx context.Context, o options) (series, error) {
	return grows(ctx, o, []int{0, 16, 17, 100, 1000, 5000}, func(x int) load.Config {
		c := one()
		c.Sleepers = x
		return c
	}, nil)
}

// queuedValues are for how many queued jobs is measured. Ten million take some GiB of each server.
var queuedValues = []int{0, 1000, 100_000, 1_000_000, 10_000_000}

func overQueued(ctx context.Context, o options) (series, error) {
	return grows(ctx, o, queuedValues, func(int) load.Config {
		c := one()
		c.Clients, c.Depth, c.Workers = 4, 16, 4
		return c
	}, fill)
}

// memoryOverQueued gives how much resident memory a queued job takes, in bytes.
func memoryOverQueued(_ context.Context, o options) (s series, err error) {
	for _, name := range o.servers {
		for _, x := range queuedValues[2:] {
			host, err := bench.NewHost()
			if err != nil {
				return s, err
			}
			server, err := host.Start(name)
			if err == nil {
				var before, after load.Usage
				if before, err = load.SampleUsage(server.PID); err == nil {
					err = fill(server.Addr, x)
				}
				if err == nil {
					after, err = load.SampleUsage(server.PID)
				}
				title, _, _ := strings.Cut(name, "=")
				s.add(title, float64(x), float64(after.Resident-before.Resident)/float64(x))
			}
			host.Close()
			if err != nil {
				return s, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return s, nil
}

// fill queues n background jobs of 64 bytes of a function that nobody works for.
func fill(addr string, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		packet := codec.AppendRequest(nil, codec.SubmitJobBg, "queue", "", strings.Repeat("x", 64))
		out := bufio.NewWriterSize(c, 1<<20)
		for range n {
			if _, err := out.Write(packet); err != nil {
				sent <- err
				return
			}
		}
		sent <- out.Flush()
	}()
	in := bufio.NewReaderSize(c, 1<<20)
	for range n {
		p, err := codec.ReadResponse(in, 1<<20)
		if err == nil && p.Type != codec.JobCreated {
			err = fmt.Errorf("a job was answered with %s", p)
		}
		if err != nil {
			return err
		}
	}
	return <-sent
}

// overListeners gives the processor time, in microseconds, that a result takes for each of those who listen to its job.
func overListeners(ctx context.Context, o options) (s series, err error) {
	for _, name := range o.servers {
		if name == "floor" {
			continue // it coalesces nothing
		}
		host, err := bench.NewHost()
		if err != nil {
			return s, err
		}
		server, err := host.Start(name)
		title, _, _ := strings.Cut(name, "=")
		for _, x := range []int{1, 10, 100, 1000, 10_000} {
			if err != nil {
				break
			}
			var cost time.Duration
			if cost, err = tellListeners(ctx, server, x, max(1, 10_000/x)); err == nil {
				s.add(title, float64(x), float64(cost)/1e3)
			}
		}
		host.Close()
		if err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
}

// tellListeners returns the processor time per listener from WORK_COMPLETE until all of n have got it, the mean of
// several jobs. Up to 50 connections share the listeners.
func tellListeners(ctx context.Context, server rounds.Server, n, jobs int) (time.Duration, error) {
	peer := func() (net.Conn, *bufio.Reader, error) {
		c, err := net.Dial("tcp", server.Addr)
		return c, bufio.NewReaderSize(c, 64<<10), err
	}
	worker, fromServer, err := peer()
	if err != nil {
		return 0, err
	}
	defer worker.Close()
	function := fmt.Sprintf("listeners%d", n)
	worker.Write(codec.AppendRequest(nil, codec.CanDo, function))
	type client struct {
		net.Conn
		in   *bufio.Reader
		jobs int
	}
	var clients []client
	for i := range min(n, 50) {
		c, in, err := peer()
		if err != nil {
			return 0, err
		}
		defer c.Close()
		clients = append(clients, client{c, in, n/min(n, 50) + min(1, max(0, n%min(n, 50)-i))})
	}
	want := func(in *bufio.Reader, typ codec.Type, times int) (last codec.Response, err error) {
		for range times {
			if last, err = codec.ReadResponse(in, 1<<20); err != nil {
				return last, err
			}
			if last.Type != typ {
				return last, fmt.Errorf("got %s instead of %s", last, typ)
			}
		}
		return last, nil
	}
	var spent time.Duration
	for j := range jobs {
		if ctx.Err() != nil {
			return 0, errors.New("interrupted")
		}
		packet := codec.AppendRequest(nil, codec.SubmitJob, function, "u"+strconv.Itoa(j), strings.Repeat("x", 64))
		for _, c := range clients {
			var out []byte
			for range c.jobs {
				out = append(out, packet...)
			}
			if _, err := c.Write(out); err != nil {
				return 0, err
			}
			if _, err := want(c.in, codec.JobCreated, c.jobs); err != nil {
				return 0, err
			}
		}
		worker.Write(codec.AppendRequest(nil, codec.GrabJob))
		assigned, err := want(fromServer, codec.JobAssign, 1)
		if err != nil {
			return 0, err
		}
		before, err := load.SampleUsage(server.PID)
		if err != nil {
			return 0, err
		}
		worker.Write(codec.AppendRequest(nil, codec.WorkComplete, assigned.Args(2)[0], strings.Repeat("y", 64)))
		for _, c := range clients {
			if _, err := want(c.in, codec.WorkComplete, c.jobs); err != nil {
				return 0, err
			}
		}
		after, err := load.SampleUsage(server.PID)
		if err != nil {
			return 0, err
		}
		spent += after.CPU - before.CPU
	}
	return spent / time.Duration(n*jobs), nil
}

// growthCharts returns the charts of the growth series that were measured.
func (r *results) growthCharts() (all []chart) {
	for _, s := range growthSeries() {
		if measured := r.series(s.name); len(measured.Lines) > 0 {
			title, _, _ := strings.Cut(s.title, ";")
			y, x, _ := strings.Cut(title, " over ")
			all = append(all, chart{s.name + ".svg", title, x, y, measured, true, true, measured.decades()})
		}
	}
	return all
}

// decades returns a tick at each power of ten up to the largest x. Zero, which has no place on a logarithmic axis, is
// where 1 would be.
func (s *series) decades() (ticks []plot.Tick) {
	least, most := math.Inf(1), 1.0
	for _, l := range s.Lines {
		for _, at := range l.Points {
			least, most = min(least, at.X), max(most, at.X)
		}
	}
	for n := 1; n <= int(most); n *= 10 {
		label := monitor.Number(int64(n))
		if n == 1 && least == 0 {
			label = "0"
		}
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: label})
	}
	return ticks
}

// plotGrowth writes the plots of the growth series that were measured.
func (r *results) plotGrowth(directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for _, c := range r.growthCharts() {
		for i := range c.series.Lines {
			for k := range c.series.Lines[i].Points {
				c.series.Lines[i].Points[k].X = max(c.series.Lines[i].Points[k].X, 1)
			}
		}
		content, err := c.svg()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(directory, c.file), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

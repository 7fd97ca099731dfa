package load_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/load"
	"gearloop/test/peers"

	"gearloop/test/await"
)

// limit is longer than any step takes on a slow machine.
var limit = await.Limit

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// small returns a load with one of everything, changed by f.
func small(addr string, f func(c *load.Config)) load.Config {
	c := load.Config{Addr: addr, Function: "f", Functions: 1, Clients: 1, Depth: 1, Workers: 1, Payload: 64}
	if f != nil {
		f(&c)
	}
	return c
}

// TestShapes runs small loads of every shape against each server, twice over the same connections. Each job
// comes back once, with its own result.
func TestShapes(t *testing.T) {
	shapes := map[string]func(c *load.Config){
		"smallest":        func(c *load.Config) { c.Payload = load.MinPayload },
		"several":         func(c *load.Config) { c.Clients, c.Depth, c.Workers = 3, 7, 2 },
		"functions":       func(c *load.Config) { c.Functions, c.Clients, c.Workers, c.Abilities = 5, 2, 3, 2 },
		"large":           func(c *load.Config) { c.Clients, c.Depth, c.Workers, c.Payload = 2, 2, 5, 300<<10 },
		"large argument":  func(c *load.Config) { c.Payload, c.Result = 1<<20, 8 },
		"large result":    func(c *load.Config) { c.Result, c.Depth = 1<<20, 3 },
		"a frame of 16 K": func(c *load.Config) { c.Payload, c.Depth = 16<<10, 8 },
		"two loops":       func(c *load.Config) { c.Clients, c.Depth, c.Workers, c.Loops = 4, 3, 4, 2 },
		"connecting":      func(c *load.Config) { c.Connect, c.Clients, c.Workers = true, 3, 2 },
		"connecting echo": func(c *load.Config) { c.Connect, c.Mode, c.Workers, c.Loops, c.Clients = true, load.Echo, 0, 2, 2 },
		"unique ids":      func(c *load.Config) { c.Unique, c.Clients, c.Depth = true, 3, 3 },
		"sleepers":        func(c *load.Config) { c.Sleepers, c.Idle = 5, 5 },
		"open":            func(c *load.Config) { c.Rate, c.Clients, c.Workers = 2000, 3, 2 },
		"open, two loops": func(c *load.Config) { c.Rate, c.Clients, c.Workers, c.Loops = 2000, 3, 2, 2 },
		"echo":            func(c *load.Config) { c.Mode, c.Workers, c.Clients, c.Depth = load.Echo, 0, 2, 5 },
		"large echo":      func(c *load.Config) { c.Mode, c.Workers, c.Payload = load.Echo, 0, 1<<20 },
		"background":      func(c *load.Config) { c.Mode, c.Clients, c.Depth, c.Workers = load.Background, 3, 4, 2 },
		"GRAB_JOB_UNIQ":   func(c *load.Config) { c.Unique, c.Grab = true, codec.GrabJobUniq },
		"GRAB_JOB_ALL":    func(c *load.Config) { c.Grab, c.Payload = codec.GrabJobAll, 100<<10 },
	}
	for _, kind := range []peers.Kind{peers.Gearloop, peers.C, peers.Perl} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			server := peers.Start(t, kind)
			for name, shape := range shapes {
				cfg := small(server.Addr, shape)
				if kind == peers.Perl && cfg.Grab != 0 {
					continue // it has only GRAB_JOB
				}
				// What one shape leaves behind, such as sleepers that disconnect, must not affect the next.
				cfg.Function = strings.Map(letters, name)
				t.Run(name, func(t *testing.T) { runShape(t, cfg, server.PID) })
			}
			if !server.Alive() {
				t.Error("the server has ended")
			}
		})
	}
}

func letters(r rune) rune {
	if r < 'A' || r > 'z' {
		return '_'
	}
	return r
}

func runShape(t *testing.T, cfg load.Config, pid int) {
	ctx := testContext(t)
	l, err := load.Open(ctx, cfg, pid)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, jobs := range []int{1, 50} {
		res, err := l.Run(ctx, load.Span{Jobs: jobs, PID: pid})
		if err != nil {
			t.Fatal(err)
		}
		half, most := time.Duration(res.Times.ValueAtQuantile(50)), time.Duration(res.Times.Max())
		if res.Jobs != int64(jobs) || res.Times.TotalCount() != int64(jobs) || half <= 0 || half > most || res.InFlight != 0 {
			t.Errorf("%d jobs, %d of them timed, %v, %v at most; %d in flight", res.Jobs, res.Times.TotalCount(), half, most, res.InFlight)
		}
		if cfg.Rate == 0 && most > 2*res.Elapsed || res.Elapsed <= 0 {
			t.Errorf("a job took %v, all of them %v", most, res.Elapsed)
		}
		if cfg.Mode == load.Background && (res.Drain.Jobs != int64(jobs) || res.Drain.Elapsed <= 0) {
			t.Errorf("%d jobs drained in %v", res.Drain.Jobs, res.Drain.Elapsed)
		}
		if res.Server <= 0 || res.Resident < 1<<20 || res.Peak < res.Resident/2 {
			t.Errorf("the server took %v and has %d bytes, %d at most", res.Server, res.Resident, res.Peak)
		}
	}
}

// TestTime runs jobs for a given time. Only jobs within it count.
func TestTime(t *testing.T) {
	server := peers.Start(t, peers.Gearloop)
	ctx := testContext(t)
	l, err := load.Open(ctx, small(server.Addr, func(c *load.Config) { c.Depth = 4 }), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// On a busy machine there may be no job in the time, or too many that end while the times are taken, which may
	// count or not. That hardly happens five times.
	fine := false
	var res load.Result
	var all int64
	for try := 0; try < 5 && !fine; try++ {
		before, _ := l.Done()
		if res, err = l.Run(ctx, load.Span{Duration: 200 * time.Millisecond, Warmup: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		all, _ = l.Done()
		all -= before
		d := res.Times.TotalCount() - res.Jobs
		fine = res.Jobs >= 1 && res.Jobs < all && d >= -res.Jobs/4-8 && d <= res.Jobs/4+8
	}
	if !fine || res.Elapsed < 200*time.Millisecond || res.Server != 0 {
		t.Errorf("%d of %d jobs counted and %d timed in %v", res.Jobs, all, res.Times.TotalCount(), res.Elapsed)
	}
}

// TestOpenLoopCountsFromWhenDue: if a server stalls, all jobs that were due meanwhile are counted as late.
func TestOpenLoopCountsFromWhenDue(t *testing.T) {
	const stall = 300 * time.Millisecond
	var once sync.Once
	addr := fake(t, func(c net.Conn, argument string) {
		once.Do(func() { time.Sleep(stall) })
		complete(c, argument)
	})
	ctx := testContext(t)
	l, err := load.Open(ctx, small(addr, func(c *load.Config) { c.Rate = 1000 }), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	res, err := l.Run(ctx, load.Span{Jobs: 600})
	if err != nil {
		t.Fatal(err)
	}
	// The first of 600 jobs waits for the whole stall, the 150th for half of it.
	if first := time.Duration(res.Times.Max()); first < stall {
		t.Errorf("the longest time is %v: a stall of %v was not seen", first, stall)
	}
	if q := time.Duration(res.Times.ValueAtQuantile(100 - 100*140.0/600)); q < stall/2 {
		t.Errorf("140 jobs waited for %v at least, although so many were due in half of the stall", q)
	}
	if res.Elapsed < 590*time.Millisecond {
		t.Errorf("600 jobs at 1000 per second in %v", res.Elapsed)
	}
}

// TestInterrupt ends a run through its context.
func TestInterrupt(t *testing.T) {
	server := peers.Start(t, peers.Gearloop)
	for name, cfg := range map[string]load.Config{
		"closed":     small(server.Addr, nil),
		"open":       small(server.Addr, func(c *load.Config) { c.Rate = 500 }),
		"background": small(server.Addr, func(c *load.Config) { c.Mode, c.Function = load.Background, "b" }),
	} {
		for _, span := range []load.Span{{Duration: time.Hour}, {Jobs: 1 << 40}} {
			ctx, cancel := context.WithCancel(testContext(t))
			l, err := load.Open(ctx, cfg, 0)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for n := int64(0); n < 20; n, _ = l.Done() {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			res, err := l.Run(ctx, span)
			l.Close()
			cancel()
			if err != nil || !res.Interrupted || res.Jobs < 20 || res.InFlight != 0 || cfg.Mode == load.Background && res.Drain.Jobs < 20 {
				t.Errorf("%s, %+v: %d jobs, %d drained, %d in flight, interrupted %v, %v", name, span, res.Jobs, res.Drain.Jobs, res.InFlight, res.Interrupted, err)
			}
		}
	}
}

// TestUnixSocket reaches a server by its socket. The generator reports an address that it cannot reach.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	server := peers.Start(t, peers.Gearloop, "--listen", "unix:"+path)
	runShape(t, small(server.Addr, nil), server.PID)
	if _, err := load.Open(testContext(t), small("unix:"+path+"x", nil), 0); err == nil {
		t.Error("connected to nothing")
	}
}

// TestFaultsAreTold runs the generator against faulty servers. Each run must end with an error that names the
// fault.
func TestFaultsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(client net.Conn, argument string) // to SUBMIT_JOB
		want   string
	}{
		"the connection ends": {func(c net.Conn, _ string) { c.Close() }, "EOF"},
		"a job fails":         {func(c net.Conn, _ string) { c.Write(codec.AppendPacket(nil, codec.WorkFail, "H:x:1")) }, "WORK_FAIL"},
		"an error":            {func(c net.Conn, _ string) { c.Write(codec.AppendPacket(nil, codec.Error, "bad", "news")) }, "news"},
		"a wrong result":      {func(c net.Conn, a string) { complete(c, a[:len(a)-1]+"!") }, "ends in something else"},
		"a short result":      {func(c net.Conn, a string) { complete(c, a[:load.MinPayload]) }, "8 bytes"},
		"no handle":           {func(c net.Conn, _ string) { c.Write(codec.AppendPacket(nil, codec.WorkComplete, "H")) }, "WORK_COMPLETE"},
		"a result twice":      {func(c net.Conn, a string) { complete(c, a); complete(c, a) }, "not under way"},
		"a result of no job":  {func(c net.Conn, a string) { complete(c, "\xff\xff"+a[2:]) }, "not under way"},
		"a line of text":      {func(c net.Conn, _ string) { io.WriteString(c, "OK\n") }, "OK"},
		"a worker's packet":   {func(c net.Conn, _ string) { c.Write(codec.AppendPacket(nil, codec.NoJob)) }, "NO_JOB"},
		"something else":      {func(c net.Conn, _ string) { io.WriteString(c, "\x00what\n") }, codec.ErrMagic.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			l, err := load.Open(ctx, small(fake(t, c.answer), nil), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := l.Run(ctx, load.Span{Jobs: 10}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func complete(c net.Conn, result string) {
	c.Write(codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", result))
}

// fake starts a server that accepts workers and answers submissions in its own way, and returns its address.
func fake(t *testing.T, answer func(client net.Conn, argument string)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				serveFake(c, answer)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func serveFake(c net.Conn, answer func(client net.Conn, argument string)) {
	in := bufio.NewReaderSize(c, 1<<20)
	for {
		head, err := in.Peek(codec.HeaderSize)
		if err != nil {
			return
		}
		it, err := codec.Next(head, 1<<20)
		if err != nil {
			return
		}
		frame := make([]byte, codec.HeaderSize+it.Size)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		data := frame[codec.HeaderSize:]
		switch it.Type {
		case codec.EchoReq:
			c.Write(codec.AppendPacket(nil, codec.EchoRes, string(data)))
		case codec.SubmitJob:
			_, rest, _ := codec.Cut(data)
			_, argument, _ := codec.Cut(rest)
			answer(c, string(argument))
		}
	}
}

// TestCheck rejects impossible loads.
func TestCheck(t *testing.T) {
	for want, change := range map[string]func(c *load.Config){
		"unknown mode":    func(c *load.Config) { c.Mode = "x" },
		"clients is 0":    func(c *load.Config) { c.Clients = 0 },
		"depth is 0":      func(c *load.Config) { c.Depth = 0 },
		"workers is 0":    func(c *load.Config) { c.Workers = 0 },
		"workers is -1":   func(c *load.Config) { c.Workers = -1 },
		"payload is 7":    func(c *load.Config) { c.Payload = 7 },
		"result is 7":     func(c *load.Config) { c.Result = 7 },
		"functions is 0":  func(c *load.Config) { c.Functions = 0 },
		"nobody would":    func(c *load.Config) { c.Functions, c.Abilities = 3, 2 },
		"abilities is 4":  func(c *load.Config) { c.Functions, c.Abilities = 3, 4 },
		"rate is -1":      func(c *load.Config) { c.Rate = -1 },
		"asks for no job": func(c *load.Config) { c.Grab = codec.PreSleep },
		"function's name": func(c *load.Config) { c.Function = "" },
		"sleepers would":  func(c *load.Config) { c.Mode, c.Sleepers = load.Background, 1 },
	} {
		cfg := small("127.0.0.1:1", change)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if l, err := load.Open(testContext(t), cfg, 0); err == nil {
			l.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// TestUsage makes this process use CPU until the figure shows it.
func TestUsage(t *testing.T) {
	sample := func() load.Usage {
		u, err := load.SampleUsage(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	before := sample()
	if before.Resident < 1<<20 || before.Peak < before.Resident/2 || before.Switches == 0 {
		t.Errorf("%+v", before)
	}
	deadline := time.Now().Add(limit)
	for n := 0; sample().CPU < before.CPU+20*time.Millisecond; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("only %v of processor time after %v of work", sample().CPU-before.CPU, limit)
		}
		_ = fmt.Sprint(n)
	}
	for _, pid := range []int{1 << 30, -5} {
		if _, err := load.SampleUsage(pid); err == nil {
			t.Errorf("process %d, which can't be, has used something", pid)
		}
	}
}

package bench

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/peers"
)

// TestLoad runs small loads of every shape through each server: each job comes back once, with its own
// result, and a second run finds everything as the first did.
func TestLoad(t *testing.T) {
	for _, kind := range []peers.Kind{peers.Gearloop, peers.Perl, peers.C} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			server := peers.Start(t, kind)
			for _, cfg := range []LoadConfig{
				{Clients: 1, Depth: 1, Workers: 1, Payload: MinPayload},
				{Clients: 3, Depth: 7, Workers: 2, Payload: 64},
				{Clients: 2, Depth: 2, Workers: 5, Payload: 300 << 10},
			} {
				cfg.Addr, cfg.Function = server.Addr, "bench"
				l, err := Open(cfg)
				if err != nil {
					t.Fatal(err)
				}
				for _, jobs := range []int{1, 50} {
					res, err := l.Run(jobs)
					if err != nil {
						t.Fatalf("%+v: %v", cfg, err)
					}
					half, most := res.Latency.Quantile(0.5), res.Latency.Quantile(1)
					if res.Latency.Count() != jobs || half <= 0 || half > most || most > 2*res.Elapsed {
						t.Errorf("%+v: %d jobs in %v, half within %v, all within %v", cfg, res.Latency.Count(), res.Elapsed, half, most)
					}
				}
				l.Close()
			}
			if !server.Alive() {
				t.Error("the server has ended")
			}
		})
	}
}

// TestLoadTellsFaults gives the load servers that do something wrong: Run has to end and to say what.
func TestLoadTellsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(client io.Writer, argument string) // to SUBMIT_JOB
		want   string
	}{
		"the connection ends": {func(c io.Writer, _ string) { c.(net.Conn).Close() }, "EOF"},
		"a job fails":         {func(c io.Writer, _ string) { c.Write(codec.AppendPacket(nil, codec.WorkFail, "H:x:1")) }, "WORK_FAIL"},
		"an error":            {func(c io.Writer, _ string) { c.Write(codec.AppendPacket(nil, codec.Error, "bad", "news")) }, "news"},
		"a wrong result":      {func(c io.Writer, a string) { complete(c, a[:len(a)-1]+"!") }, "ends in something else"},
		"a short result":      {func(c io.Writer, a string) { complete(c, a[:MinPayload]) }, "WORK_COMPLETE"},
		"a result twice":      {func(c io.Writer, a string) { complete(c, a); complete(c, a) }, "not under way"},
		"a result of no job":  {func(c io.Writer, a string) { complete(c, "\xff\xff"+a[2:]) }, "not under way"},
		"a line of text":      {func(c io.Writer, _ string) { io.WriteString(c, "OK\n") }, "OK"},
		"something else":      {func(c io.Writer, _ string) { io.WriteString(c, "\x00what\n") }, codec.ErrMagic.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := Open(LoadConfig{Addr: fake(t, c.answer), Function: "f", Clients: 1, Depth: 1, Workers: 1, Payload: 64})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := l.Run(10); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func complete(client io.Writer, result string) {
	client.Write(codec.AppendPacket(nil, codec.WorkComplete, "H:x:1", result))
}

// fake starts a server that takes workers and answers submissions in its own way, and returns its address.
func fake(t *testing.T, answer func(client io.Writer, argument string)) string {
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
				s := stream{conn: c}
				for s.read(func(typ codec.Type, data []byte) error {
					switch typ {
					case codec.EchoReq:
						_, err := c.Write(codec.AppendPacket(nil, codec.EchoRes, string(data)))
						return err
					case codec.SubmitJob:
						_, rest, _ := codec.Cut(data)
						_, argument, _ := codec.Cut(rest)
						answer(c, string(argument))
					}
					return nil
				}) == nil {
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func TestLoadShapes(t *testing.T) {
	for _, cfg := range []LoadConfig{
		{Clients: 0, Depth: 1, Workers: 1, Payload: MinPayload},
		{Clients: 1, Depth: 0, Workers: 1, Payload: MinPayload},
		{Clients: 1, Depth: 1, Workers: 0, Payload: MinPayload},
		{Clients: 1, Depth: 1, Workers: 1, Payload: MinPayload - 1},
	} {
		if l, err := Open(cfg); err == nil {
			l.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestLatencies(t *testing.T) {
	var l Latencies
	if l.Quantile(0.5) != 0 || l.Count() != 0 {
		t.Error("nothing has a median")
	}
	for i := 1; i <= 1000; i++ {
		l.Add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{
		0: 1, 0.001: 1, 0.01: 10, 0.25: 250, 0.5: 500, 0.9: 900, 0.99: 990, 0.999: 999, 1: 1000,
	} {
		want *= time.Microsecond
		if got := l.Quantile(q); got < want || got > want+want/32+1 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	var sum Latencies
	sum.Add(-time.Second)
	sum.Merge(&l)
	sum.Merge(&l)
	if sum.Count() != 2001 || sum.Quantile(0) != 0 || sum.Quantile(1) != l.Quantile(1) {
		t.Errorf("merged: %d, from %v to %v", sum.Count(), sum.Quantile(0), sum.Quantile(1))
	}
}

// TestBuckets: every duration is counted in a bucket that ends at it or little above.
func TestBuckets(t *testing.T) {
	for shift := range 63 {
		for _, v := range []uint64{1 << shift, 1<<shift + 1, 1<<shift - 1, 3 << shift >> 1, 1<<63 - 1} {
			i := bucket(v)
			if i >= buckets {
				t.Fatalf("%d is in bucket %d of %d", v, i, buckets)
			}
			if end := bucketEnd(i); end < v || end-v > v/32 || i > 0 && bucketEnd(i-1) >= v {
				t.Errorf("%d is in bucket %d, which ends at %d", v, i, end)
			}
		}
	}
}

// TestCPUTime has this process work until it is seen.
func TestCPUTime(t *testing.T) {
	used := func() time.Duration {
		user, system, err := CPUTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return user + system
	}
	start, before := time.Now(), used()
	text := []byte("some work")
	for used() < before+3*clockTick {
		if time.Since(start) > stallLimit {
			t.Fatalf("only %v of processor time after %v of work", used()-before, time.Since(start))
		}
		for range 10_000 {
			codec.Escape(string(text))
		}
	}
	if _, _, err := CPUTime(-1); err == nil {
		t.Error("a process that can't be has processor time")
	}
}

func TestParseStat(t *testing.T) {
	const stat = "12 (a) b (c) 1) S 1 12 12 0 -1 4194304 500 0 0 0 %d %d 7 8 20 0 5 0 100 1000000 300 0\n"
	user, system, err := parseStat(fmt.Appendf(nil, stat, 150, 25))
	if user != 1500*time.Millisecond || system != 250*time.Millisecond || err != nil {
		t.Errorf("%v, %v, %v", user, system, err)
	}
	for _, broken := range []string{"", "12 (a) S 1 2", "12 (a", strings.Replace(stat, "%d", "x", 2)} {
		if _, _, err := parseStat([]byte(broken)); err == nil {
			t.Errorf("%q was understood", broken)
		}
	}
}

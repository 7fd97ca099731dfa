package systest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// promisedWait is SECURITY.md's promise: no input delays other connections for longer.
var promisedWait = await.Scaled(100 * time.Millisecond)

// TestNobodyIsHeldUp sends inputs that cost much to a server with one loop, while another connection sends
// echoes. On a machine that is busy with other work an echo is late now and then. An input that blocks the
// loop makes it late every time. So one of several attempts must keep the promise.
func TestNobodyIsHeldUp(t *testing.T) {
	for _, attack := range []struct {
		name   string
		args   []string
		before func(t testing.TB, addr string) // once
		act    func(t testing.TB, addr string) // and waits until the server has dealt with it
	}{
		{name: "a packet of 60 MB", act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			c.Send(codec.EchoReq, strings.Repeat("x", 60<<20))
			c.WantType(codec.EchoRes)
		}},
		{name: "an argument of 60 MB that is its unique id", act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			c.Submit(codec.SubmitJob, "f", "-", strings.Repeat("x", 60<<20))
		}},
		{name: "100,000 packets at once", act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			go c.Raw(bytes.Repeat(codec.AppendRequest(nil, codec.EchoReq, "e"), 100_000))
			for range 100_000 {
				c.WantType(codec.EchoRes)
			}
		}},
		{name: "times that never come", act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			for range 1000 {
				c.Send(codec.SubmitJobSched, "f", "", "0", "0", "29", "2", "0", "x")
				c.Next()
			}
		}},
		{name: "20,000 jobs of one client that leaves", act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			submit(c, codec.SubmitJob, 20_000, func(int) string { return "" })
			c.Close()
			allGone(t, addr)
		}},
		{name: "joining a job again and again", before: worker("f"), act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			submit(c, codec.SubmitJob, 20_000, func(int) string { return "u" })
			c.Close()
			allGone(t, addr)
		}},
		{name: "16,384 functions, asked for a job in vain, and forgotten", act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			for i := range 16384 {
				c.Send(codec.CanDo, fmt.Sprint("ability", i))
			}
			for range 50 {
				c.Send(codec.GrabJob)
			}
			for range 50 {
				c.WantType(codec.NoJob)
			}
			c.Send(codec.PreSleep)
			c.Send(codec.ResetAbilities)
			c.Sync()
		}},
		{name: "the tables of 50,000 jobs of as many functions", before: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			for i := range 50_000 {
				c.Send(codec.SubmitJobBg, fmt.Sprint("many", i), fmt.Sprint(i), "x")
				if i%100 == 99 {
					for range 100 {
						c.WantType(codec.JobCreated)
					}
				}
			}
		}, act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			for _, table := range []string{"status", "jobs", "gladiator all", "workers"} {
				c.Table(table)
			}
		}},
		{name: "1,000 listeners of a job, and 1 MB for each", act: func(t testing.TB, addr string) {
			w := wire.Dial(t, addr)
			w.Send(codec.CanDo, "listened")
			w.Sync()
			var all []*wire.Conn
			for range 1000 {
				c := wire.Dial(t, addr)
				c.Submit(codec.SubmitJob, "listened", "u", "x")
				all = append(all, c)
			}
			h, _ := w.Grab()
			w.Send(codec.WorkData, h, strings.Repeat("x", 1<<20))
			w.Send(codec.WorkComplete, h, "")
			w.Sync()
			for _, c := range all {
				c.Close()
			}
			w.Close()
			allGone(t, addr)
		}},
		{name: "stored jobs of 1 MB", args: []string{"--data-dir"}, before: worker("f"), act: func(t testing.TB, addr string) {
			c := wire.Dial(t, addr)
			for range 20 {
				c.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("x", 1<<20))
			}
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			args := append([]string{"--loops", "1"}, attack.args...)
			if len(attack.args) > 0 {
				args = append(args, t.TempDir())
			}
			s := peers.Start(t, peers.Gearloop, args...)
			if attack.before != nil {
				attack.before(t, s.Addr)
			}
			var seen []time.Duration
			for range 8 {
				longest := longestEcho(t, s.Addr, func() { attack.act(wire.Aside(t), s.Addr) })
				if seen = append(seen, longest); longest <= promisedWait {
					t.Log(seen)
					return
				}
			}
			t.Errorf("an echo was late each time, the promise is %v: %v", promisedWait, seen)
		})
	}
}

// longestEcho returns the longest time in which an echo was answered while something was done.
func longestEcho(t *testing.T, addr string, act func()) (longest time.Duration) {
	c := wire.Dial(t, addr)
	defer c.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		act()
	}()
	for {
		at := time.Now()
		c.Send(codec.EchoReq, "witness")
		c.WantType(codec.EchoRes)
		longest = max(longest, time.Since(at))
		select {
		case <-done:
			return longest
		default:
		}
	}
}

// submit submits so many jobs, and waits until all are answered.
func submit(c *wire.Conn, typ codec.Type, n int, unique func(int) string) {
	var b []byte
	for i := range n {
		b = codec.AppendRequest(b, typ, "f", unique(i), "x")
	}
	go c.Raw(b)
	for range n {
		c.Next() // JOB_CREATED, or an error when it has too many
	}
}

// worker returns a function that connects a worker which asks for nothing.
func worker(function string) func(t testing.TB, addr string) {
	return func(t testing.TB, addr string) {
		w := wire.Dial(t, addr)
		w.Send(codec.CanDo, function)
		w.Sync()
	}
}

// allGone waits until only the asking connection and the witness are there.
func allGone(t testing.TB, addr string) {
	admin := wire.Dial(t, addr)
	defer admin.Close()
	wire.Await(t, "the others have gone", func() bool { return count(admin, "connection") <= "3" && len(count(admin, "connection")) == 1 })
}

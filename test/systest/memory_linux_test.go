package systest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// confinement limits the memory of a command. prefix is put before the command. most returns the most memory
// it has taken, in bytes, or 0 if unknown.
type confinement struct {
	prefix string
	most   func() int64
}

// controlGroup makes a control group that may take so many bytes: of version 2 if that controls memory here,
// else of version 1. Whether that is possible it learns from the machine's own files.
func controlGroup(t *testing.T, bytes int64) (confinement, error) {
	type kind struct{ root, limit, peak string }
	kinds := []kind{
		{"/sys/fs/cgroup", "memory.max", "memory.peak"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"},
	}
	var last error
	for _, k := range kinds {
		if _, last = os.Stat(filepath.Join(k.root, "cgroup.procs")); last != nil {
			continue // no control groups of this kind
		}
		dir := filepath.Join(k.root, fmt.Sprintf("gearloop-test-%d-%d", os.Getpid(), rand.Uint32()))
		if last = os.Mkdir(dir, 0o755); last != nil {
			continue
		}
		t.Cleanup(func() {
			await.Until(t, "the control group can be removed", func() bool { return os.Remove(dir) == nil })
		})
		if last = os.WriteFile(filepath.Join(dir, k.limit), []byte(strconv.FormatInt(bytes, 10)), 0o644); last != nil {
			continue
		}
		os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0o644) // version 2, if there is swap
		return confinement{
			prefix: `echo $$ > "` + dir + `/cgroup.procs" && `,
			most: func() int64 {
				text, _ := os.ReadFile(filepath.Join(dir, k.peak))
				n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
				return n
			},
		}, nil
	}
	return confinement{}, last
}

// dataLimit limits the data segment of a process (RLIMIT_DATA).
func dataLimit(bytes int64) confinement {
	return confinement{prefix: fmt.Sprintf("ulimit -d %d && ", bytes>>10), most: func() int64 { return 0 }}
}

// TestLittleMemory starts a server that finds out by itself how much memory there is. Then peers do
// everything that takes memory at once: they submit large and small jobs, read no answers, send half packets
// and lines without an end, add listeners, and connect again when they are disconnected. The server stays
// within its memory, where the system would have killed it otherwise, and serves peers that behave.
func TestLittleMemory(t *testing.T) {
	for _, c := range []struct {
		name    string
		bytes   int64
		confine func(t *testing.T, bytes int64) (confinement, error)
		args    []string
	}{
		{"control group of 64 MiB", 64 << 20, controlGroup, nil},
		{"control group of 128 MiB, jobs stored", 128 << 20, controlGroup, []string{"--data-dir"}},
		// A Go program takes 80 MiB of address space before it does anything.
		{"RLIMIT_DATA of 192 MiB", 192 << 20, func(t *testing.T, n int64) (confinement, error) { return dataLimit(n), nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := c.confine(t, c.bytes)
			if err != nil {
				// RLIMIT_DATA is available everywhere and bounds the same.
				t.Skipf("control groups can't be made here: %v", err)
			}
			args := c.args
			if len(args) > 0 {
				args = append(slices.Clone(args), t.TempDir())
			}
			p := launch(t, command("/bin/sh", nil, append([]string{"-c", in.prefix + `exec "$0" serve --listen 127.0.0.1:0 "$@"`,
				peers.Binary(t)}, args...)...))
			wire.Await(t, "it listens", func() bool { return strings.Contains(p.stdout.String(), "\n") || p.isDone() })
			addr := strings.TrimPrefix(strings.TrimSpace(p.stdout.String()), "listening on ")
			served, longest := crowd(t, addr, 6*time.Second)
			if p.isDone() {
				t.Fatalf("the server has ended: %s", p.stderr.String())
			}
			t.Logf("%d of %d bytes were taken at most; %d echoes were answered meanwhile, each within %v", in.most(), c.bytes,
				served, longest)
			if n := in.most(); n > c.bytes {
				t.Errorf("%d bytes were taken of %d", n, c.bytes)
			}
			if served == 0 {
				t.Error("nobody was served meanwhile")
			}
			// When the peers have left and the jobs are done there is room again.
			admin := wire.Dial(t, addr)
			await.UntilSaid(t, func() bool { return len(admin.Table("workers")) == 1 }, func() string {
				return "connections are left: " + strings.Join(admin.Table("workers"), "; ") + "; " + strings.Join(admin.Table("gladiator all"), "; ")
			})
			worker, client := wire.Dial(t, addr), wire.Dial(t, addr)
			worker.Send(codec.CanDo, "f")
			for more := true; more; {
				worker.Send(codec.GrabJob)
				job := worker.Next()
				if more = job.Type == codec.JobAssign; more {
					worker.Send(codec.WorkComplete, job.Args(3)[0], "")
				}
			}
			h := client.Submit(codec.SubmitJob, "f", "", "at last")
			if got, argument := worker.Grab(); got != h || argument != "at last" {
				t.Errorf("the worker got %s, %q", got, argument)
			}
			worker.Send(codec.WorkComplete, h, "done")
			client.Want(codec.WorkComplete, h, "done")
		})
	}
}

// crowd lets many kinds of peers use the server's memory for some time. It returns how many echoes a
// well-behaved peer got answered meanwhile, and the longest wait for one.
func crowd(t *testing.T, addr string, during time.Duration) (served int, longest time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	var all sync.WaitGroup
	// peer repeats an action on new connections. It may fail, and is interrupted at the end.
	peer := func(n int, act func(c *wire.Conn, rnd *rand.Rand) error) {
		for i := range n {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				for ctx.Err() == nil {
					c, err := dialQuietly(ctx, addr)
					if err != nil {
						time.Sleep(10 * time.Millisecond)
						continue
					}
					stop := context.AfterFunc(ctx, func() { c.Close() })
					act(c, rnd)
					stop()
					c.Close()
				}
			})
		}
	}
	write := func(c *wire.Conn, b []byte) error { _, err := c.Write(b); return err }
	large := strings.Repeat("L", 3<<20)
	// Jobs of all sizes, until memory is used up and beyond.
	peer(3, func(c *wire.Conn, rnd *rand.Rand) error {
		go func() {
			buf := make([]byte, 64<<10)
			for {
				if _, err := c.Conn.Read(buf); err != nil {
					return
				}
			}
		}()
		for {
			size := 1 << rnd.IntN(22)
			if err := write(c, codec.AppendRequest(nil, codec.SubmitJobBg, "f", "", large[:min(size, len(large))])); err != nil {
				return err
			}
		}
	})
	// Large and small answers that nobody reads.
	peer(30, func(c *wire.Conn, rnd *rand.Rand) error {
		for {
			if err := write(c, codec.AppendRequest(nil, codec.EchoReq, large[:1<<(8+rnd.IntN(13))])); err != nil {
				return err
			}
		}
	})
	peer(5, func(c *wire.Conn, rnd *rand.Rand) error {
		for {
			if err := write(c, []byte(strings.Repeat("jobs\nversion\n", 1000))); err != nil {
				return err
			}
		}
	})
	// Packets that are half sent, and lines without an end; they stay until they are hung up on.
	peer(60, func(c *wire.Conn, rnd *rand.Rand) error {
		b := codec.AppendRequest(nil, codec.SubmitJob, "f", "", large)
		if rnd.IntN(3) == 0 {
			b = []byte(large[:8000])
		} else {
			b = b[:1+rnd.IntN(1<<(4+rnd.IntN(16)))]
		}
		if err := write(c, b); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(during))
		_, err := c.Conn.Read(make([]byte, 1))
		return err
	})
	// Listeners of one job that do not read.
	peer(4, func(c *wire.Conn, rnd *rand.Rand) error {
		for {
			if err := write(c, codec.AppendRequest(nil, codec.SubmitJob, "listened", "u", "x")); err != nil {
				return err
			}
		}
	})
	// Connections that do nothing.
	peer(150, func(c *wire.Conn, rnd *rand.Rand) error {
		_, err := c.Conn.Read(make([]byte, 1))
		return err
	})
	honest, err := dialQuietly(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { honest.Close() })()
	all.Go(func() {
		for ctx.Err() == nil {
			at := time.Now()
			err := write(honest, codec.AppendRequest(nil, codec.EchoReq, "e"))
			if err == nil {
				_, err = honest.Receive()
			}
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("a peer that behaves lost its connection: %v", err)
				}
				return
			}
			served++
			longest = max(longest, time.Since(at))
		}
	})
	all.Wait()
	return served, longest
}

// dialQuietly connects, or returns the error.
func dialQuietly(ctx context.Context, addr string) (*wire.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return wire.New(nil, c), nil
}

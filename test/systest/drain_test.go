package systest

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// refused waits until nobody can connect any more.
func refused(t *testing.T, addr string) {
	t.Helper()
	wire.Await(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// A graceful end waits for queued and running jobs, and for nothing else; connected peers are served until
// then. Signals and the text command have the same effect.
func TestDrain(t *testing.T) {
	t.Parallel()
	for state, left := range map[string]func(t *testing.T, addr string, client, worker *wire.Conn) (finish func()){
		"nothing": func(*testing.T, string, *wire.Conn, *wire.Conn) func() { return func() {} },
		"a worker that sleeps": func(_ *testing.T, _ string, _, worker *wire.Conn) func() {
			worker.Send(codec.PreSleep)
			worker.Sync()
			return func() {}
		},
		"half a packet": func(_ *testing.T, _ string, client, _ *wire.Conn) func() {
			client.Sync()
			client.Raw([]byte("\x00REQ\x00\x00\x00\x07\x00\x10\x00\x00f"))
			return func() {}
		},
		"a delayed job": func(_ *testing.T, _ string, client, _ *wire.Conn) func() {
			client.Send(codec.SubmitJobEpoch, "f", "", strconv.FormatInt(time.Now().Unix()+3600, 10), "x")
			client.WantType(codec.JobCreated)
			return func() {}
		},
		"a job whose client has gone": func(t *testing.T, addr string, client, _ *wire.Conn) func() {
			goes := wire.Dial(t, addr)
			goes.Submit(codec.SubmitJob, "f", "", "x")
			goes.Close()
			wire.Await(t, "it has gone", func() bool { return len(client.Table("workers")) == 3 })
			return func() {}
		},
		"a queued job": func(t *testing.T, addr string, client, worker *wire.Conn) func() {
			handle := client.Submit(codec.SubmitJob, "f", "", "x")
			return func() {
				refused(t, addr)
				worker.Grab()
				worker.Send(codec.WorkComplete, handle, "y")
				client.Want(codec.WorkComplete, handle, "y")
			}
		},
		"a running job": func(t *testing.T, addr string, client, worker *wire.Conn) func() {
			handle := client.Submit(codec.SubmitJobBg, "f", "", "x")
			worker.Grab()
			return func() {
				refused(t, addr)
				worker.Send(codec.WorkComplete, handle, "y")
			}
		},
		"a job that comes meanwhile": func(t *testing.T, addr string, client, worker *wire.Conn) func() {
			first := client.Submit(codec.SubmitJob, "f", "", "1")
			worker.Grab()
			return func() {
				refused(t, addr)
				second := client.Submit(codec.SubmitJob, "f", "", "2")
				worker.Send(codec.WorkComplete, first, "one")
				client.Want(codec.WorkComplete, first, "one")
				if handle, argument := worker.Grab(); handle != second || argument != "2" {
					t.Errorf("got job %s with %q, want %s", handle, argument, second)
				}
				worker.Send(codec.WorkComplete, second, "two")
				client.Want(codec.WorkComplete, second, "two")
			}
		},
		"a job whose worker leaves": func(t *testing.T, addr string, client, worker *wire.Conn) func() {
			handle := client.Submit(codec.SubmitJob, "f", "", "x")
			worker.Grab()
			return func() {
				refused(t, addr)
				worker.Reset()
				client.Want(codec.WorkFail, handle)
			}
		},
		"a job that runs out of time": func(_ *testing.T, _ string, client, worker *wire.Conn) func() {
			worker.Send(codec.CanDoTimeout, "f", "0.2")
			handle := client.Submit(codec.SubmitJob, "f", "", "x")
			worker.Grab()
			return func() { client.Want(codec.WorkFail, handle) }
		},
	} {
		for means, end := range map[string]func(s *peers.Server, admin *wire.Conn){
			"SIGTERM": func(s *peers.Server, _ *wire.Conn) { s.Signal(syscall.SIGTERM) },
			"SIGINT":  func(s *peers.Server, _ *wire.Conn) { s.Signal(os.Interrupt) },
			"SIGUSR1": func(s *peers.Server, _ *wire.Conn) { s.Signal(syscall.SIGUSR1) },
			"shutdown graceful": func(_ *peers.Server, admin *wire.Conn) {
				admin.Line("shutdown graceful")
				if line := admin.ReadLine(); line != "OK" {
					t.Errorf("got %q", line)
				}
			},
		} {
			t.Run(state+", "+means, func(t *testing.T) {
				s := peers.Start(t, peers.Gearloop)
				client, worker, admin := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
				worker.Send(codec.CanDo, "f")
				worker.Sync()
				admin.Sync()
				finish := left(t, s.Addr, client, worker)
				end(s, admin)
				finish()
				ended(t, s, 0)
				for _, c := range []*wire.Conn{client, worker, admin} {
					c.WantEnd()
				}
			})
		}
	}
}

// A graceful end with jobs left takes exactly --drain-timeout; a second signal or a plain shutdown ends it at
// once.
func TestEndWithJobsLeft(t *testing.T) {
	t.Parallel()
	const timeout = 400 * time.Millisecond
	for name, end := range map[string]func(s *peers.Server, admin *wire.Conn){
		"second signal": func(s *peers.Server, _ *wire.Conn) { s.Signal(os.Interrupt) },
		"shutdown":      func(_ *peers.Server, admin *wire.Conn) { admin.Line("shutdown") },
		"timeout":       nil,
	} {
		var args []string
		if end == nil {
			args = []string{"--drain-timeout", timeout.String()}
		}
		s := peers.Start(t, peers.Gearloop, args...)
		client, admin := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		client.Submit(codec.SubmitJob, "f", "", "nobody does it")
		admin.Sync()
		began := time.Now()
		s.Signal(syscall.SIGTERM)
		awaitLog(t, s, "ending gracefully")
		if end != nil {
			// It still answers.
			if line := admin.Table("status")[0]; line != "f\t1\t0\t0" {
				t.Errorf("%s: status is %q", name, line)
			}
			end(s, admin)
		}
		ended(t, s, 0)
		if took := time.Since(began); end == nil && took < timeout {
			t.Errorf("%s: it ended after %v, not after %v", name, took, timeout)
		}
		if log := s.Stderr(); strings.Contains(log, "drain timeout") != (end == nil) || !strings.Contains(log, "queued=1") {
			t.Errorf("%s: the log does not tell what was left:\n%s", name, log)
		}
		client.WantEnd() // and hears of no failure
	}
}

// A plain shutdown does not wait for queued or running jobs, and nobody is told that they failed.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := peers.Start(t, peers.Gearloop)
	client, worker, admin := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
	worker.Send(codec.CanDo, "f")
	client.Submit(codec.SubmitJob, "f", "", "runs")
	worker.Grab()
	client.Submit(codec.SubmitJob, "f", "", "is queued")
	admin.Line("shutdown")
	if line := admin.ReadLine(); line != "OK" {
		t.Errorf("got %q", line)
	}
	ended(t, s, 0)
	for _, c := range []*wire.Conn{client, worker, admin} {
		c.WantEnd()
	}
}

// Output that is buffered for a peer when the end begins is written if the peer reads, whether it is
// connected or half-closed. The test sends more than all buffers of a connection hold.
func TestEndFlushes(t *testing.T) {
	t.Parallel()
	for _, means := range []string{"SIGTERM", "shutdown"} {
		t.Run(means, func(t *testing.T) {
			s := peers.Start(t, peers.Gearloop)
			worker, client, half, admin := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr), wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
			data := strings.Repeat("0123456789abcdef", 32<<20/16)
			worker.Send(codec.CanDo, "f")
			handle := client.Submit(codec.SubmitJob, "f", "", "")
			worker.Grab()
			worker.Send(codec.WorkComplete, handle, data)
			worker.Sync()
			half.Send(codec.EchoReq, data)
			half.CloseWrite()
			wire.Await(t, "the server waits for both", func() bool {
				n, _ := strconv.Atoi(count(admin, "byte of output"))
				return n > len(data) && count(admin, "connection half closed") == "1"
			})
			if means == "SIGTERM" {
				s.Signal(syscall.SIGTERM)
				awaitLog(t, s, "ending gracefully")
			} else {
				admin.Line("shutdown")
				if line := admin.ReadLine(); line != "OK" {
					t.Errorf("got %q", line)
				}
			}
			// Both read at once: the server waits for some seconds in all.
			each(t, 2, 2, func(n int) {
				c, want, args := client, codec.WorkComplete, []string{handle, data}
				if n == 1 {
					c, want, args = half, codec.EchoRes, []string{data}
				}
				c = wire.New(wire.Aside(t), c.Conn)
				c.Want(want, args...)
				c.WantEnd()
			})
			ended(t, s, 0)
		})
	}
}

// A peer that does not read delays the end for some seconds, or not at all with a second signal.
func TestEndDoesNotWaitForSilence(t *testing.T) {
	t.Parallel()
	for _, signals := range []int{1, 2} {
		t.Run(strconv.Itoa(signals), func(t *testing.T) {
			t.Parallel()
			s := peers.Start(t, peers.Gearloop)
			open, half := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
			for _, c := range []*wire.Conn{open, half} {
				c.Send(codec.EchoReq, strings.Repeat("x", 32<<20))
			}
			half.CloseWrite()
			admin := wire.Dial(t, s.Addr)
			wire.Await(t, "the server waits for both", func() bool {
				n, _ := strconv.Atoi(count(admin, "byte of output"))
				return n > 32<<20 && count(admin, "connection half closed") == "1"
			})
			s.Signal(syscall.SIGTERM)
			awaitLog(t, s, "ending gracefully")
			if signals == 2 {
				s.Signal(syscall.SIGTERM)
			}
			ended(t, s, 0)
			if waited := strings.Contains(s.Stderr(), "output that peers did not take"); waited != (signals == 1) {
				t.Errorf("it waited for the peers: %v\n%s", waited, s.Stderr())
			}
		})
	}
}

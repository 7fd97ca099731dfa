package shell_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/internal/client"
	"gearloop/internal/shell"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

func target(t *testing.T, address string) client.Target {
	t.Helper()
	got, err := client.ParseTarget(address, client.TLSFiles{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// worker is a worker that runs until the test ends.
type worker struct {
	leave, kill context.CancelFunc
	ended       chan error
	log         *texts.Buffer
}

func start(t *testing.T, w *shell.Work) *worker {
	t.Helper()
	r := &worker{ended: make(chan error, 1), log: &texts.Buffer{}}
	if w.Parallel == 0 {
		w.Parallel = 1
	}
	if w.MaxResult == 0 {
		w.MaxResult = 1 << 20
	}
	w.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	leave, stop := context.WithCancel(context.Background())
	kill, end := context.WithCancel(context.Background())
	r.leave, r.kill = stop, end
	go func() { r.ended <- w.Run(leave, kill) }()
	t.Cleanup(func() {
		end()
		stop()
		<-r.ended
	})
	return r
}

func (r *worker) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the worker ended with %v", err)
		}
		r.ended <- err
	case <-time.After(await.Limit):
		t.Fatalf("the worker does not leave:\n%s", r.log)
	}
}

// submit submits a foreground job and returns its result.
func submit(t *testing.T, address string, change func(*shell.Submission)) (out, said string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	s := &shell.Submission{Servers: []client.Target{target(t, address)}, Function: "f", Out: &o, Err: &e}
	change(s)
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	err = shell.Submit(ctx, s)
	return o.String(), e.String(), err
}

// TestJobs passes jobs between commands and submissions through every kind of server.
func TestJobs(t *testing.T) {
	for _, kind := range []peers.Kind{peers.Gearloop, peers.Perl, peers.C} {
		t.Run(kind.String(), func(t *testing.T) {
			server := peers.Start(t, kind)
			script := `
				read -r how
				case $how in
				upper) printf '%s' "$GEARMAN_FUNCTION:$GEARMAN_UNIQUE" | tr a-z A-Z ;;
				status) printf '3/4\n' >&2; printf done ;;
				many) printf '%2000d' 7 ;;
				handle) printf '%s' "$GEARMAN_HANDLE" ;;
				*) echo "no $how" >&2; exit 3 ;;
				esac`
			start(t, &shell.Work{
				Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"f", "g"},
				Command: []string{"sh", "-c", script}, Timeout: await.Limit, MaxResult: 1000, ClientID: "tester",
			})
			start(t, &shell.Work{
				Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"slow"}, Command: []string{"sleep", "600"}, Timeout: time.Second,
			})
			for _, c := range []struct{ in, unique, out string }{
				{"upper\n", "u1", "F:U1"}, {"status\n", "", "done"},
			} {
				var status []string
				out, _, err := submit(t, server.Addr, func(s *shell.Submission) {
					s.Argument, s.Unique, s.Status = []byte(c.in), c.unique, func(n string) { status = append(status, n) }
				})
				if kind == peers.Perl && c.unique != "" {
					c.out = "F:" // it does not tell workers the unique id
				}
				if err != nil || out != c.out {
					t.Errorf("%q: %q, %v", c.in, out, err)
				}
				if c.in == "status\n" && strings.Join(status, " ") != "3/4" {
					t.Errorf("status lines %q", status)
				}
			}
			for in, priority := range map[string]shell.Priority{"what\n": shell.Low, "many\n": shell.High, "slow": shell.Normal} {
				if kind == peers.Perl && priority == shell.Low {
					priority = shell.Normal // it has no such packet
				}
				out, _, err := submit(t, server.Addr, func(s *shell.Submission) {
					s.Argument, s.Priority = []byte(in), priority
					if in == "slow" {
						s.Function = in
					}
				})
				if !errors.Is(err, shell.ErrFailed) || out != "" {
					t.Errorf("%q: %q, %v", in, out, err)
				}
			}
			handle, _, err := submit(t, server.Addr, func(s *shell.Submission) { s.Background, s.Function = true, "nobody" })
			if err != nil || !strings.HasPrefix(handle, "H:") || !strings.HasSuffix(handle, "\n") {
				t.Errorf("a background job: %q, %v", handle, err)
			}
		})
	}
}

// TestException: the output of a command that fails reaches the client.
func TestException(t *testing.T) {
	for _, dialect := range []string{"perl", "c"} {
		server := peers.Start(t, peers.Gearloop, "--dialect", dialect)
		start(t, &shell.Work{
			Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"f"}, Exceptions: true,
			Command: []string{"sh", "-c", "echo no such picture >&2; exit 1"},
		})
		for range 3 { // the worker continues after it
			_, _, err := submit(t, server.Addr, func(*shell.Submission) {})
			if !errors.Is(err, shell.ErrFailed) || !strings.Contains(err.Error(), "no such picture") {
				t.Errorf("%s: %v", dialect, err)
			}
		}
	}
}

// TestLeave: a worker that is told to leave finishes the job in hand and takes no other. A sleeping one
// leaves at once.
func TestLeave(t *testing.T) {
	server := peers.Start(t, peers.Gearloop)
	begun, finish := filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "finish")
	w := start(t, &shell.Work{
		Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"f"}, Parallel: 2,
		Command: []string{"sh", "-c", `echo x > "$0"; while ! [ -e "$1" ]; do sleep 0.01; done; echo finished`, begun, finish},
	})
	c := wire.Dial(t, server.Addr)
	handle := c.Submit(codec.SubmitJob, "f", "", "1")
	await.Until(t, "the command runs", func() bool { _, err := os.Stat(begun); return err == nil })
	w.leave()
	await.Until(t, "the other connection has gone", func() bool { return c.Table("status")[0] == "f\t1\t1\t1" })
	second := c.Submit(codec.SubmitJob, "f", "", "2")
	if err := os.WriteFile(finish, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.Want(codec.WorkComplete, handle, "finished\n")
	w.wait(t)
	wire.Await(t, "job "+second+" and no worker is left", func() bool { return c.Table("status")[0] == "f\t1\t0\t0" })
	idle := start(t, &shell.Work{
		Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"g"}, Command: []string{"true"},
	})
	await.Until(t, "the worker is there", func() bool { return len(c.Table("status")) == 2 })
	idle.leave()
	idle.wait(t)
}

// TestKill: a worker that is killed leaves its job undone and no process of the command behind.
func TestKill(t *testing.T) {
	server := peers.Start(t, peers.Gearloop, "--dialect", "c")
	begun := filepath.Join(t.TempDir(), "begun")
	w := start(t, &shell.Work{
		Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"f"},
		Command: []string{"sh", "-c", `echo $$ > "$0"; sleep 600 & wait`, begun},
	})
	c := wire.Dial(t, server.Addr)
	c.Submit(codec.SubmitJob, "f", "", "1")
	await.Until(t, "the command runs", func() bool { b, err := os.ReadFile(begun); return err == nil && len(b) > 0 })
	w.kill()
	w.leave()
	select {
	case <-w.ended:
		w.ended <- nil
	case <-time.After(await.Limit):
		t.Fatal("the worker does not end")
	}
	await.Until(t, "the job waits again", func() bool { return c.Table("status")[0] == "f\t1\t0\t0" })
}

// TestReconnects: a worker connects again when its server is back, and with NoRetry it does not.
func TestReconnects(t *testing.T) {
	socket := "unix:" + filepath.Join(t.TempDir(), "g")
	first := peers.Start(t, peers.Gearloop, "--listen", socket)
	start(t, &shell.Work{Servers: []client.Target{target(t, socket)}, Functions: []string{"f"}, Command: []string{"echo", "hello"}})
	if out, _, err := submit(t, socket, func(*shell.Submission) {}); err != nil || out != "hello\n" {
		t.Fatalf("%q, %v", out, err)
	}
	first.Stop()
	peers.Start(t, peers.Gearloop, "--listen", socket)
	if out, _, err := submit(t, socket, func(*shell.Submission) {}); err != nil || out != "hello\n" {
		t.Errorf("after a restart: %q, %v", out, err)
	}
	once := &shell.Work{
		Servers: []client.Target{target(t, "unix:"+filepath.Join(t.TempDir(), "none"))}, Functions: []string{"f"},
		Command: []string{"true"}, Parallel: 1, NoRetry: true, Log: slog.New(slog.DiscardHandler),
	}
	if err := once.Run(context.Background(), context.Background()); err == nil {
		t.Error("a server that is not there is no error")
	}
}

// TestSomeJobs: a worker leaves after so many jobs, with several commands at a time.
func TestSomeJobs(t *testing.T) {
	server := peers.Start(t, peers.Gearloop)
	c := wire.Dial(t, server.Addr)
	for range 10 {
		c.Submit(codec.SubmitJobBg, "f", "", "x")
	}
	w := start(t, &shell.Work{
		Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"f"}, Command: []string{"cat"}, Parallel: 3, Jobs: 7,
	})
	w.wait(t)
	wire.Await(t, "3 jobs and no worker are left", func() bool { return c.Table("status")[0] == "f\t3\t0\t0" })
}

// TestNoRight: a worker reports that the server does not let it work, and works once it may.
func TestNoRight(t *testing.T) {
	list := filepath.Join(t.TempDir(), "acl")
	write := func(work string) {
		t.Helper()
		if err := os.WriteFile(list, []byte("[all]\nnetwork = any\nsubmit = f\nwork = "+work+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("g")
	server := peers.Start(t, peers.Gearloop, "--acl", list)
	w := start(t, &shell.Work{
		Servers: []client.Target{target(t, server.Addr)}, Functions: []string{"f"}, Command: []string{"cat"}, Jobs: 1,
	})
	wire.Await(t, "it says so", func() bool {
		return strings.Contains(w.log.String(), "the server gives no right to one of the functions")
	})
	write("f")
	server.Signal(syscall.SIGHUP)
	wire.Await(t, "the list is in force", func() bool { return strings.Contains(server.Stderr(), "the access list is in force") })
	wire.Dial(t, server.Addr).Submit(codec.SubmitJobBg, "f", "", "x")
	w.wait(t)
}

// TestSubmitRefused: the user sees the server's error.
func TestSubmitRefused(t *testing.T) {
	server := peers.Start(t, peers.Gearloop)
	if _, _, err := submit(t, server.Addr, func(s *shell.Submission) { s.Function = "" }); err == nil ||
		!strings.Contains(err.Error(), "invalid_args") {
		t.Errorf("an empty function: %v", err)
	}
	if _, _, err := submit(t, "unix:"+filepath.Join(t.TempDir(), "none"), func(*shell.Submission) {}); err == nil ||
		!strings.Contains(err.Error(), "no such file") {
		t.Errorf("no server: %v", err)
	}
}

package systest

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// inBoth runs a test in both dialects.
func inBoth(t *testing.T, test func(t *testing.T, k *keeper)) {
	t.Helper()
	t.Parallel()
	for _, dialect := range []string{"perl", "c"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			test(t, newKeeper(t, dialect))
		})
	}
}

// keeper is a directory of stored jobs and its successive servers.
type keeper struct {
	t            *testing.T
	dialect, dir string
	s            *peers.Server
}

func newKeeper(t *testing.T, dialect string) *keeper {
	return &keeper{t: t, dialect: dialect, dir: filepath.Join(t.TempDir(), "data")}
}

// start starts a server.
func (k *keeper) start(options ...string) *peers.Server {
	k.t.Helper()
	k.s = peers.Start(k.t, peers.Gearloop, append([]string{"--dialect", k.dialect, "--data-dir", k.dir}, options...)...)
	return k.s
}

// kill ends the server in mid-air, and starts the next.
func (k *keeper) kill(options ...string) *peers.Server {
	k.t.Helper()
	k.crash()
	return k.start(options...)
}

// crash ends the server in mid-air.
func (k *keeper) crash() {
	k.t.Helper()
	k.s.Signal(syscall.SIGKILL)
	if _, err := k.s.Wait(wire.Limit); err != nil {
		k.t.Fatal(err)
	}
}

// restart ends it gracefully, and starts the next.
func (k *keeper) restart(options ...string) *peers.Server {
	k.t.Helper()
	k.s.Signal(syscall.SIGUSR1)
	ended(k.t, k.s, 0)
	return k.start(options...)
}

// known returns what GET_STATUS says of handles, one letter for each: k for known, r for running, - for
// neither.
func known(c *wire.Conn, handles ...string) string {
	text := ""
	for _, h := range handles {
		c.Send(codec.GetStatus, h)
		switch args := c.WantType(codec.StatusRes).Args(5); {
		case args[1] == "0":
			text += "-"
		case args[2] == "1":
			text += "r"
		default:
			text += "k"
		}
	}
	return text
}

// wantKnown requires these letters for handles.
func wantKnown(t *testing.T, addr, want string, handles ...string) {
	t.Helper()
	c := wire.Dial(t, addr)
	if got := known(c, handles...); got != want {
		t.Errorf("the status of the jobs is %s, want %s", got, want)
	}
	c.Close()
}

// wantJobs requires a worker to get these jobs of a function, by their arguments, and no others. It completes
// them.
func wantJobs(t *testing.T, s *peers.Server, function string, want ...string) {
	t.Helper()
	w := able(t, s, function)
	defer w.Close()
	var got []string
	for {
		w.Send(codec.GrabJob)
		p := w.Next()
		if p.Type == codec.NoJob {
			break
		}
		args := p.Args(3)
		got = append(got, args[2])
		w.Send(codec.WorkComplete, args[0], "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("jobs of %s: %.60q, want %.60q", function, got, want)
	}
}

// inAnHour is a time for SUBMIT_JOB_EPOCH.
func inAnHour() string { return strconv.FormatInt(time.Now().Unix()+3600, 10) }

// All properties of a background job survive a kill: function, argument, unique id, reducer, priority, time
// and handle. GET_STATUS and a second submission find it.
func TestKilledServerKeepsJobs(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client := wire.Dial(t, s.Addr)
		low := client.Submit(codec.SubmitJobLowBg, "f", "", "low")
		normal := client.Submit(codec.SubmitJobBg, "f", "", "normal")
		high := client.Submit(codec.SubmitJobHighBg, "f", "", "high")
		unique := client.Submit(codec.SubmitJobBg, "g", "unique", "\x00binary\x00")
		client.Send(codec.SubmitReduceJobBack, "h", "", "reducer", "", "reduced")
		reduced := string(client.WantType(codec.JobCreated).Data)
		client.Send(codec.SubmitJobEpoch, "i", "", inAnHour(), "late")
		late := string(client.WantType(codec.JobCreated).Data)
		inHalfAnHour := strconv.Itoa((time.Now().Minute() + 30) % 60)
		client.Send(codec.SubmitJobSched, "i", "", inHalfAnHour, "", "", "", "", "later")
		client.WantType(codec.JobCreated)
		soon := time.Now().Unix() + 2
		client.Send(codec.SubmitJobEpoch, "j", "", strconv.FormatInt(soon, 10), "soon")
		client.WantType(codec.JobCreated)
		waits := client.Submit(codec.SubmitJob, "f", "", "foreground")

		s = k.kill()
		wantKnown(t, s.Addr, "kkkkkk-", low, normal, high, unique, reduced, late, waits)
		client = wire.Dial(t, s.Addr)
		if again := client.Submit(codec.SubmitJobBg, "g", "unique", "other"); again != unique {
			t.Errorf("a second submission gives %s, want %s", again, unique)
		}
		w := able(t, s, "g")
		w.Send(codec.GrabJobUniq)
		w.Want(codec.JobAssignUniq, unique, "g", "unique", "\x00binary\x00")
		w = able(t, s, "h")
		w.Send(codec.GrabJobAll)
		w.Want(codec.JobAssignAll, reduced, "h", "", "reducer", "reduced")
		w = able(t, s, "j")
		w.Send(codec.GrabJob)
		for p := w.Next(); p.Type == codec.NoJob; p = w.Next() {
			w.Send(codec.PreSleep)
			w.WantType(codec.Noop)
			if now := time.Now().Unix(); now < soon {
				t.Errorf("woken at %d, for a job of %d", now, soon)
			}
			w.Send(codec.GrabJob)
		}
		wantJobs(t, s, "f", "high", "normal", "low")
		wantJobs(t, s, "i")
	})
}

// A graceful end does not wait for queued stored jobs, and a plain end waits for no job. After the next start
// all of them are there again, in order, except those done before.
func TestEndKeepsJobs(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"perl", "c"} {
		for _, means := range []string{"SIGTERM", "SIGUSR1", "shutdown graceful", "shutdown"} {
			t.Run(dialect+", "+means, func(t *testing.T) {
				t.Parallel()
				k := newKeeper(t, dialect)
				s := k.start()
				client, worker := wire.Dial(t, s.Addr), able(t, s, "f")
				handles := []string{client.Submit(codec.SubmitJobBg, "f", "", "0")}
				worker.Grab()
				worker.Send(codec.WorkComplete, handles[0], "")
				worker.Sync()
				for i := range 20 {
					handles = append(handles, client.Submit(codec.SubmitJobBg, "f", "", strconv.Itoa(i+1)))
				}
				client.Send(codec.SubmitJobEpoch, "f", "", inAnHour(), "late")
				handles = append(handles, string(client.WantType(codec.JobCreated).Data))
				switch means {
				case "SIGTERM":
					s.Signal(syscall.SIGTERM)
				case "SIGUSR1":
					s.Signal(syscall.SIGUSR1)
				default:
					client.Line(means)
				}
				ended(t, s, 0) // long before the last job is due
				s = k.start()
				wantKnown(t, s.Addr, "-"+strings.Repeat("k", 21), handles...)
				var want []string
				for i := range 20 {
					want = append(want, strconv.Itoa(i+1))
				}
				wantJobs(t, s, "f", want...)
			})
		}
	}
}

// A graceful end waits for running jobs, but not for stored jobs behind them: a worker that asks for more
// gets none.
func TestEndWithBusyWorker(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client, worker := wire.Dial(t, s.Addr), able(t, s, "f")
		const jobs = 2000
		for i := range jobs {
			client.Send(codec.SubmitJobBg, "f", "", strconv.Itoa(i))
		}
		for range jobs {
			client.WantType(codec.JobCreated)
		}
		// The worker is never without a job: it completes one when it has the next.
		handle, _ := worker.Grab()
		s.Signal(syscall.SIGUSR1)
		awaitLog(t, s, "ending gracefully")
		done := 0
		for done < jobs-1 {
			worker.Send(codec.GrabJob)
			p := worker.Next()
			if p.Type == codec.NoJob {
				break
			}
			worker.Send(codec.WorkComplete, handle, "")
			done++
			handle = p.Args(3)[0]
			time.Sleep(time.Millisecond)
		}
		worker.Send(codec.WorkComplete, handle, "")
		worker.Close()
		ended(t, s, 0)
		if done > jobs/2 {
			t.Errorf("it ended when the worker had done %d of %d jobs", done, jobs)
		}
		s = k.start()
		if n := able(t, s, "f").Table("status")[0]; !strings.HasPrefix(n, "f\t") || strings.HasPrefix(n, "f\t0\t") {
			t.Errorf("status is %q", n)
		}
	})
}

// A running job is awaited. One that still runs when the time is up is queued again by the next start.
func TestEndWithRunningJob(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client, worker := wire.Dial(t, s.Addr), able(t, s, "f")
		handle := client.Submit(codec.SubmitJobBg, "f", "", "done")
		worker.Grab()
		s.Signal(syscall.SIGUSR1)
		refused(t, s.Addr)
		worker.Send(codec.WorkComplete, handle, "")
		ended(t, s, 0)
		s = k.start("--job-retries", "1")
		wantKnown(t, s.Addr, "-", handle)
		// The end of the server does not count as the loss of a worker.
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			client, worker = wire.Dial(t, s.Addr), able(t, s, "f")
			if signal == syscall.SIGINT {
				handle = client.Submit(codec.SubmitJobBg, "f", "", "runs")
			}
			if got, _ := worker.Grab(); got != handle {
				t.Errorf("got job %s, want %s", got, handle)
			}
			for s.Alive() {
				s.Signal(signal)
				time.Sleep(10 * time.Millisecond)
			}
			s = k.start("--job-retries", "1")
			wantKnown(t, s.Addr, "k", handle)
		}
		wantJobs(t, s, "f", "runs")
	})
}

// When a worker vanishes its background job goes to the next worker, unchanged, in both dialects.
func TestVanishedWorker(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client, other := wire.Dial(t, s.Addr), able(t, s, "f")
		handle := client.Submit(codec.SubmitJobBg, "f", "unique", "argument")
		large := strings.Repeat("0123456789abcdef", 20<<10)
		second := client.Submit(codec.SubmitJobHighBg, "f", "", large)
		for turn, leave := range []func(w *wire.Conn){
			func(w *wire.Conn) { w.Close() }, (*wire.Conn).Reset, func(w *wire.Conn) { w.CloseWrite() },
		} {
			w := able(t, s, "f")
			w.Grab()
			w.Grab()
			other.Send(codec.GrabJob)
			other.Want(codec.NoJob)
			other.Send(codec.PreSleep)
			other.Sync()
			leave(w)
			other.WantType(codec.Noop)
			wire.Await(t, "both jobs wait", func() bool { return known(client, handle, second) == "kk" })
			if again := client.Submit(codec.SubmitJobBg, "f", "unique", "x"); again != handle {
				t.Errorf("turn %d: a second submission gives %s, want %s", turn, again, handle)
			}
			// NOOPs that the second job caused.
			other.Send(codec.GetStatus, handle)
			for other.Next().Type == codec.Noop {
			}
		}
		wantJobs(t, s, "f", large, "argument")
		wantKnown(t, s.Addr, "--", handle, second)
	})
}

// What ends a job ends it permanently: its end, cancelling it, dropping its function, a full queue.
func TestEndIsForGood(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client, worker := wire.Dial(t, s.Addr), able(t, s, "f")
		complete := client.Submit(codec.SubmitJobBg, "f", "", "complete")
		fail := client.Submit(codec.SubmitJobBg, "f", "", strings.Repeat("x", 300<<10))
		worker.Grab()
		worker.Grab()
		worker.Send(codec.WorkComplete, complete, "")
		worker.Send(codec.WorkFail, fail)
		worker.Sync()
		handles := []string{complete, fail}
		line := func(command string) {
			t.Helper()
			client.Line(command)
			if answer := client.ReadLine(); answer != "OK" {
				t.Errorf("%s: %q", command, answer)
			}
		}
		if k.dialect == "c" {
			queued := client.Submit(codec.SubmitJobBg, "f", "", "queued")
			client.Send(codec.SubmitJobEpoch, "f", "", inAnHour(), "late")
			late := string(client.WantType(codec.JobCreated).Data)
			running := client.Submit(codec.SubmitJobHighBg, "f", "", "running")
			worker.Grab()
			dropped := client.Submit(codec.SubmitJobBg, "g", "", "dropped")
			for _, handle := range []string{queued, late, running} {
				line("cancel job " + handle)
			}
			line("drop function g")
			handles = append(handles, queued, late, running, dropped)
		} else {
			line("maxqueue g 1")
			evicted := client.Submit(codec.SubmitJobBg, "g", "", "evicted")
			handles = append(handles, evicted)
			left := client.Submit(codec.SubmitJobBg, "g", "", "left")
			defer func() { wantKnown(t, k.s.Addr, "k", left) }()
		}
		worker.Close()
		s = k.restart()
		wantKnown(t, s.Addr, strings.Repeat("-", len(handles)), handles...)
		wantJobs(t, s, "f")
		if left, _ := filepath.Glob(filepath.Join(k.dir, "*.arg")); len(left) > 0 {
			t.Errorf("arguments are left: %v", left)
		}
	})
}

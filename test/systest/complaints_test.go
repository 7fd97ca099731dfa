package systest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// Complaints about C gearmand over the years, by issue number. A server that replaces it must have none of
// these faults.

// eachDialect runs a test on a server in each dialect.
func eachDialect(t *testing.T, test func(t *testing.T, s *peers.Server, dialect string)) {
	for _, dialect := range []string{"perl", "c"} {
		t.Run(dialect, func(t *testing.T) { test(t, peers.Start(t, peers.Gearloop, "--dialect", dialect), dialect) })
	}
}

// cpu returns the time that a process has spent on the processors, in user and in system mode.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The second field is the name in parentheses, which may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}

// wantIdle fails the test if the server uses more than a quarter of a processor during window, in which it has
// nothing to do.
func wantIdle(t *testing.T, s *peers.Server, when string, window time.Duration) {
	t.Helper()
	window = await.Scaled(window) // a slow server still ends earlier work at the beginning
	before := cpu(t, s.PID)
	time.Sleep(window)
	if spent := cpu(t, s.PID) - before; spent > window/4 {
		t.Errorf("%s: %v of processor time within %v", when, spent, window)
	}
}

// row returns the numbers of a function in the answer to the command status: all jobs, running jobs, workers.
func row(c *wire.Conn, function string) (numbers [3]int) {
	for _, line := range c.Table("status") {
		name, rest, _ := strings.Cut(line, "\t")
		if name == function {
			fmt.Sscanf(rest, "%d\t%d\t%d", &numbers[0], &numbers[1], &numbers[2])
		}
	}
	return numbers
}

// TestTimeoutsDoNotSpin: issue 301. Limits of jobs expire while workers sleep, work or have left. Before,
// during and afterwards the server is idle, and the jobs are available.
func TestTimeoutsDoNotSpin(t *testing.T) {
	eachDialect(t, func(t *testing.T, s *peers.Server, dialect string) {
		const jobs = 24
		client, control := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		handles := map[string]bool{}
		for range jobs {
			handles[client.Submit(codec.SubmitJob, "f", "", "x")] = true
		}
		var slow []*wire.Conn
		var late []string
		for range jobs {
			w := wire.Dial(t, s.Addr)
			w.Send(codec.CanDoTimeout, "f", "1")
			handle, _ := w.Grab()
			slow, late = append(slow, w), append(late, handle)
		}
		wantIdle(t, s, "while jobs run that have a limit", 500*time.Millisecond)
		left := [3]int{jobs, 0, jobs} // queued again
		if dialect == "perl" {
			left[0] = 0 // failed
		}
		wire.Await(t, "the limits have passed", func() bool { return row(control, "f") == left })
		wantIdle(t, s, "after the limits have passed", 500*time.Millisecond)
		for i, w := range slow {
			if i%2 == 0 {
				w.Close()
				continue
			}
			w.Send(codec.WorkComplete, late[i], "late")
			if dialect == "c" {
				w.WantError("JOB_NOT_FOUND")
			}
			w.Send(codec.PreSleep)
			if dialect == "c" {
				w.Want(codec.Noop)
			}
			w.Sync()
		}
		wantIdle(t, s, "while workers sleep or do not take what waits", 500*time.Millisecond)
		end := codec.WorkFail
		if dialect == "c" {
			end = codec.WorkComplete
			able := wire.Dial(t, s.Addr)
			able.Send(codec.CanDo, "f")
			for range jobs {
				handle, _ := able.Grab()
				able.Send(codec.WorkComplete, handle, "done")
			}
		}
		for range jobs {
			handle := client.WantType(end).Args(2)[0]
			if !handles[handle] {
				t.Errorf("%s ended twice, or is nobody's", handle)
			}
			delete(handles, handle)
		}
		client.Sync()
	})
}

// TestNoJobIsLeft: issue 343. Many workers have limits. Some exceed them, and some disconnect with a job.
// Every job ends, without a restart.
func TestNoJobIsLeft(t *testing.T) {
	eachDialect(t, func(t *testing.T, s *peers.Server, dialect string) {
		const workers, functions, jobs = 40, 5, 3000
		name := func(i int) string { return fmt.Sprintf("f%d", i%functions) }
		var slow, left sync.Map // arguments of jobs that timed out, or were left behind
		var stop atomic.Bool
		var all sync.WaitGroup
		defer all.Wait()
		defer stop.Store(true)
		for i := range workers {
			all.Go(func() {
				for !stop.Load() && !t.Failed() {
					w := wire.Dial(wire.Aside(t), s.Addr)
					w.Send(codec.CanDoTimeout, name(i), "1")
					w.Send(codec.CanDoTimeout, name(i+1), "1")
					w.Send(codec.CanDo, name(i+2))
					careless(w, &slow, &left)
					w.Close()
				}
			})
		}
		client, control := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		defer func() {
			// A sleeping worker ends when its connection is closed.
			stop.Store(true)
			for i := range functions {
				for range workers {
					control.Submit(codec.SubmitJobBg, name(i), "", "leave")
				}
			}
		}()
		types := []codec.Type{codec.SubmitJob, codec.SubmitJobHigh, codec.SubmitJobLow}
		waiting := map[string]bool{}
		sender := wire.New(wire.Aside(t), client.Conn)
		go func() {
			for i := range jobs {
				sender.Send(types[i%len(types)], name(i), "", strconv.Itoa(i))
			}
		}()
		fails := 0
		for created := 0; created < jobs || len(waiting) > 0; {
			switch p := client.Next(); p.Type {
			case codec.JobCreated:
				created++
				waiting[string(p.Data)] = true
			case codec.WorkFail:
				fails++
				fallthrough
			case codec.WorkComplete:
				handle := p.Args(2)[0]
				if !waiting[handle] {
					t.Fatalf("%v: the job has ended before", p)
				}
				delete(waiting, handle)
			default:
				t.Fatalf("got %v", p)
			}
		}
		if dialect == "c" && fails > 0 {
			t.Errorf("%d jobs failed, which should have been queued again", fails)
		}
		for i := range functions {
			if r := row(control, name(i)); r[0] != 0 {
				t.Errorf("%s has %v although every job has ended", name(i), r)
			}
		}
	})
}

// careless works until it gets a job whose argument is no number. It exceeds the limit of some jobs and
// disconnects with others in hand, each of them once.
func careless(w *wire.Conn, slow, left *sync.Map) {
	for {
		w.Send(codec.GrabJob)
		p := w.Next()
		for p.Type == codec.Error { // a result that was too late
			p = w.Next()
		}
		if p.Type == codec.NoJob {
			w.Send(codec.PreSleep)
			w.Want(codec.Noop)
			continue
		}
		args := p.Args(3)
		handle, argument := args[0], args[2]
		n, err := strconv.Atoi(argument)
		switch {
		case err != nil:
			w.Send(codec.WorkComplete, handle, "")
			return
		case n%211 == 7:
			if _, again := left.LoadOrStore(argument, true); !again {
				return
			}
		case n%149 == 3:
			if _, again := slow.LoadOrStore(argument, true); !again {
				time.Sleep(1100 * time.Millisecond)
			}
		}
		w.Send(codec.WorkComplete, handle, argument)
	}
}

// TestMemoryGivenBack: issue 284. After a burst of large jobs, both completed and unwanted ones, the server's
// memory is nearly as small as before.
func TestMemoryGivenBack(t *testing.T) {
	eachDialect(t, func(t *testing.T, s *peers.Server, _ string) {
		const jobs, size, margin = 256, 1 << 20, 24 << 20
		client, worker := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		worker.Send(codec.CanDo, "f")
		client.Sync()
		worker.Sync()
		before := memory(t, s.PID, "VmRSS")
		argument := strings.Repeat("x", size)
		for range jobs {
			client.Submit(codec.SubmitJobBg, "f", "", argument)
		}
		full := memory(t, s.PID, "VmRSS")
		for range jobs {
			handle, got := worker.Grab()
			if got != argument {
				t.Fatalf("a job with %d bytes", len(got))
			}
			worker.Send(codec.WorkComplete, handle, "")
		}
		worker.Sync()
		drained := time.Now()
		var after int
		wire.Await(t, "the memory is given back", func() bool {
			after = memory(t, s.PID, "VmRSS")
			return after < before+margin
		})
		t.Logf("%d MiB before, %d MiB full, %d MiB %v after the last job", before>>20, full>>20, after>>20,
			time.Since(drained).Round(10*time.Millisecond))
		if full < before+jobs*size {
			t.Errorf("%d bytes with the jobs: they are not where they are thought to be", full)
		}
	})
}

// TestNoopOncePerSleep: issue 232. However submissions, GRAB_JOB and PRE_SLEEP cross, a worker gets at most
// one NOOP for each PRE_SLEEP, and in the dialect c none after GRAB_JOB was answered, so it never asks in
// vain forever. In the dialect perl a worker that asks in vain still sleeps.
func TestNoopOncePerSleep(t *testing.T) {
	eachDialect(t, func(t *testing.T, s *peers.Server, dialect string) {
		const workers, functions, jobs, burst = 16, 3, 6000, 20
		name := func(i int) string { return fmt.Sprintf("f%d", i%functions) }
		var done, asked, vain atomic.Int64
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				aside := wire.Aside(t)
				w := wire.Dial(aside, s.Addr)
				w.Send(codec.CanDo, name(i))
				w.Send(codec.CanDo, name(i+1))
				crossing(aside, w, dialect == "c", rand.New(rand.NewPCG(uint64(i), 232)), &done, &asked, &vain)
			})
		}
		client := wire.Dial(t, s.Addr)
		random := rand.New(rand.NewPCG(1, 232))
		for sent := 0; sent < jobs; sent += burst {
			for range burst {
				client.Submit(codec.SubmitJobBg, name(random.IntN(functions)), "", "x")
			}
			// Let the workers run out of jobs now and then, so that they sleep when the next ones arrive.
			if random.IntN(4) == 0 {
				wire.Await(t, "the jobs are done", func() bool { return done.Load() == int64(sent+burst) || t.Failed() })
			}
		}
		wire.Await(t, "all jobs are done", func() bool { return done.Load() == jobs || t.Failed() })
		wantIdle(t, s, "while all sleep", 300*time.Millisecond)
		for i := range functions {
			for range workers {
				client.Submit(codec.SubmitJobBg, name(i), "", "leave")
			}
		}
		all.Wait()
		t.Logf("%d jobs were asked for %d times, in vain %d times", jobs, asked.Load(), vain.Load())
	})
}

// crossing is a worker that counts its NOOPs: owed is how many may still arrive. After PRE_SLEEP it waits, or
// asks at once while a NOOP may be on its way. If grabWakes, it is awake after GRAB_JOB was answered.
func crossing(tb testing.TB, w *wire.Conn, grabWakes bool, random *rand.Rand, done, asked, vain *atomic.Int64) {
	owed := 0
	for {
		asked.Add(1)
		w.Send(codec.GrabJob)
		p := w.Next()
		for ; p.Type == codec.Noop && owed > 0; owed-- {
			p = w.Next()
		}
		if grabWakes {
			owed = 0
		}
		switch p.Type {
		case codec.JobAssign:
			args := p.Args(3)
			w.Send(codec.WorkComplete, args[0], "")
			if args[2] == "leave" {
				return
			}
			done.Add(1)
		case codec.NoJob:
			vain.Add(1)
			if owed == 0 && random.IntN(3) == 0 {
				w.Sync() // no NOOP may come to a worker that is awake
			}
			w.Send(codec.PreSleep)
			owed++
			if random.IntN(3) > 0 {
				w.Want(codec.Noop)
				owed--
			}
		default:
			tb.Fatalf("got %v after GRAB_JOB, with %d NOOPs owed", p, owed)
		}
	}
}

// TestNoNoopForNothing: also issue 232. A job that nobody wants any more wakes a worker at most once.
func TestNoNoopForNothing(t *testing.T) {
	eachDialect(t, func(t *testing.T, s *peers.Server, _ string) {
		client, worker := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		for range 3 {
			client.Submit(codec.SubmitJob, "f", "", "x")
		}
		client.Close()
		worker.Send(codec.CanDo, "f")
		wire.Await(t, "the client is gone", func() bool { return len(worker.Table("workers")) == 1 })
		noops := 0
		for range 5 {
			worker.Send(codec.PreSleep)
			worker.Send(codec.GrabJob)
			p := worker.Next()
			if p.Type == codec.Noop {
				noops++
				p = worker.Next()
			}
			if p.Type != codec.NoJob {
				t.Fatalf("got %v", p)
			}
			worker.Sync()
		}
		if noops > 1 {
			t.Errorf("%d NOOPs for jobs that nobody gets", noops)
		}
	})
}

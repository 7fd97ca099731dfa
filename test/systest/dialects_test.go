package systest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// inDialect plays a story to the reference of a dialect and to Gearloop in that dialect. which distinguishes
// the stories of a test.
func inDialect(t *testing.T, name, which string, options []string, story func(t *testing.T, s *peers.Server)) {
	t.Helper()
	reference := map[string]peers.Kind{"perl": peers.Perl, "c": peers.C}[name]
	t.Run(strings.TrimSpace(which+" in "+name), func(t *testing.T) {
		t.Run("reference", func(t *testing.T) {
			t.Parallel()
			story(t, peers.Start(t, reference, options...))
		})
		t.Run("Gearloop", func(t *testing.T) {
			t.Parallel()
			story(t, peers.Start(t, peers.Gearloop, append([]string{"--dialect", name}, options...)...))
		})
	})
}

// able connects a worker that can do functions.
func able(t *testing.T, s *peers.Server, functions ...string) *wire.Conn {
	t.Helper()
	w := wire.Dial(t, s.Addr)
	for _, f := range functions {
		w.Send(codec.CanDo, f)
	}
	w.Sync()
	return w
}

// A worker disconnects with a job, another one sleeps. In the dialect perl the job has failed; in c the other
// worker is woken and does it, and nobody else notices. The same applies to a background job.
func TestLostWorker(t *testing.T) {
	t.Parallel()
	for _, submit := range []codec.Type{codec.SubmitJob, codec.SubmitJobBg} {
		foreground := submit == codec.SubmitJob
		begin := func(t *testing.T, s *peers.Server) (client, other *wire.Conn, handle string) {
			client = wire.Dial(t, s.Addr)
			worker := able(t, s, "f")
			handle = client.Submit(submit, "f", "", "argument")
			worker.Grab()
			worker.Send(codec.WorkStatus, handle, "1", "2")
			worker.Sync()
			if foreground {
				client.Want(codec.WorkStatus, handle, "1", "2")
			}
			other = able(t, s, "f")
			other.Send(codec.GrabJob)
			other.Want(codec.NoJob)
			other.Send(codec.PreSleep)
			other.Sync()
			worker.Close()
			return client, other, handle
		}
		inDialect(t, "perl", submit.String(), nil, func(t *testing.T, s *peers.Server) {
			client, other, handle := begin(t, s)
			if foreground {
				client.Want(codec.WorkFail, handle)
			}
			wire.Await(t, "the job is forgotten", func() bool {
				client.Send(codec.GetStatus, handle)
				return client.WantType(codec.StatusRes).Args(5)[1] == "0"
			})
			other.Sync() // it was not woken
			other.Send(codec.GrabJob)
			other.Want(codec.NoJob)
		})
		inDialect(t, "c", submit.String(), nil, func(t *testing.T, s *peers.Server) {
			client, other, handle := begin(t, s)
			other.Want(codec.Noop)
			if got, argument := other.Grab(); got != handle || argument != "argument" {
				t.Fatalf("got job %s with %q, want %s", got, argument, handle)
			}
			other.Send(codec.WorkComplete, handle, "result")
			if foreground {
				client.Want(codec.WorkComplete, handle, "result")
			}
			wire.Await(t, "the job is forgotten", func() bool {
				client.Send(codec.GetStatus, handle)
				return client.WantType(codec.StatusRes).Args(5)[1] == "0"
			})
		})
	}
}

// A worker exceeds its limit, another one sleeps. In the dialect perl the job has failed, and the late result
// is dropped; in c the other worker is woken and does it, and the first learns that the job is not its own.
func TestTimedOutWorker(t *testing.T) {
	t.Parallel()
	// The other worker has to sleep before the limit of five seconds passes.
	begin := func(t *testing.T, s *peers.Server, limit string) (client, late, other *wire.Conn, handle string) {
		client, late = wire.Dial(t, s.Addr), wire.Dial(t, s.Addr)
		late.Send(codec.CanDoTimeout, "f", limit)
		late.Sync()
		handle = client.Submit(codec.SubmitJob, "f", "", "argument")
		late.Grab()
		other = able(t, s, "f")
		other.Send(codec.GrabJob)
		other.Want(codec.NoJob)
		other.Send(codec.PreSleep)
		other.Sync()
		return client, late, other, handle
	}
	inDialect(t, "perl", "", nil, func(t *testing.T, s *peers.Server) {
		client, late, other, handle := begin(t, s, "5")
		client.Want(codec.WorkFail, handle)
		late.Send(codec.WorkComplete, handle, "late")
		late.Sync()
		other.Sync() // it was not woken
		client.Sync()
	})
	inDialect(t, "c", "", nil, func(t *testing.T, s *peers.Server) {
		client, late, other, handle := begin(t, s, "5000")
		other.Want(codec.Noop)
		wire.Await(t, "the other one gets a job", func() bool {
			other.Send(codec.GrabJob)
			p := other.Next()
			if got := p.Args(3)[0]; p.Type == codec.JobAssign && got != handle {
				t.Fatalf("got job %s, want %s", got, handle)
			}
			// The reference wakes it in one thread and queues the job in another.
			if p.Type == codec.NoJob && s.Kind == peers.Gearloop {
				t.Fatal("woken too soon")
			}
			return p.Type == codec.JobAssign
		})
		late.Send(codec.WorkComplete, handle, "late")
		late.WantError("JOB_NOT_FOUND")
		other.Send(codec.WorkComplete, handle, "in time")
		client.Want(codec.WorkComplete, handle, "in time")
		client.Sync()
	})
}

// A graceful end waits for a job that has lost its worker, in a dialect that gives it to another.
func TestDrainWaitsForRequeuedJob(t *testing.T) {
	t.Parallel()
	s := peers.Start(t, peers.Gearloop, "--dialect", "c")
	client, worker, other := wire.Dial(t, s.Addr), able(t, s, "f"), able(t, s, "f")
	handle := client.Submit(codec.SubmitJob, "f", "", "argument")
	worker.Grab()
	other.Send(codec.PreSleep)
	other.Sync()
	s.Signal(syscall.SIGUSR1) // SIGTERM does not wait in this dialect
	refused(t, s.Addr)
	worker.Reset()
	other.Want(codec.Noop)
	if got, _ := other.Grab(); got != handle {
		t.Fatalf("got job %s, want %s", got, handle)
	}
	other.Send(codec.WorkComplete, handle, "result")
	client.Want(codec.WorkComplete, handle, "result")
	ended(t, s, 0)
}

// A job that kills its workers is given to a few of them, and then fails; without a bound it is given to one
// after the other.
func TestJobRetries(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{-1, 0, 1, 3} {
		option := "--job-retries=" + strconv.Itoa(retries)
		inDialect(t, "c", option, []string{option}, func(t *testing.T, s *peers.Server) {
			client := wire.Dial(t, s.Addr)
			handle := client.Submit(codec.SubmitJob, "f", "", "deadly")
			for n := 1; ; n++ {
				worker := able(t, s, "f")
				worker.Send(codec.PreSleep)
				worker.Want(codec.Noop)
				if got, _ := worker.Grab(); got != handle {
					t.Fatalf("worker %d got job %s, want %s", n, got, handle)
				}
				if retries <= 0 && n == 12 {
					worker.Send(codec.WorkComplete, handle, "alive")
					client.Want(codec.WorkComplete, handle, "alive")
					break
				}
				worker.Close()
				if n == retries {
					client.Want(codec.WorkFail, handle)
					break
				}
			}
			last := able(t, s, "f")
			last.Send(codec.GrabJob)
			last.Want(codec.NoJob)
			client.Sync()
		})
	}
}

// Jobs of two priorities wait. The dialect perl hands out urgent ones last in, first out, c in order; both
// hand out the others afterwards, in order.
func TestUrgentJobs(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[string]string{"perl": "u3 u2 u1 n1 n2 n3", "c": "u1 u2 u3 n1 n2 n3"} {
		inDialect(t, dialect, "", nil, func(t *testing.T, s *peers.Server) {
			client := wire.Dial(t, s.Addr)
			for _, name := range strings.Fields("n1 u1 u2 n2 n3 u3") {
				packet := codec.SubmitJobBg
				if name[0] == 'u' {
					packet = codec.SubmitJobHigh
				}
				client.Submit(packet, "f", "", name)
			}
			worker := able(t, s, "f")
			var got []string
			for range strings.Fields(want) {
				handle, argument := worker.Grab()
				got = append(got, argument)
				worker.Send(codec.WorkComplete, handle, "")
			}
			if strings.Join(got, " ") != want {
				t.Errorf("order is %v, want %s", got, want)
			}
		})
	}
}

// A mixed load of three functions and all priorities, submitted before and while a worker does it: it comes
// by function, the one that the worker registered last first, in each by priority, and in each of those in
// order.
func TestMixedPriorities(t *testing.T) {
	t.Parallel()
	type job struct {
		function, priority, number int
		argument                   string
	}
	inDialect(t, "c", "", nil, func(t *testing.T, s *peers.Server) {
		packets := [][2]codec.Type{
			{codec.SubmitJobHigh, codec.SubmitJobHighBg}, {codec.SubmitJob, codec.SubmitJobBg},
			{codec.SubmitJobLow, codec.SubmitJobLowBg},
		}
		rng := rand.New(rand.NewPCG(1, 2))
		client, worker := wire.Dial(t, s.Addr), able(t, s, "f2", "f1", "f0")
		var waiting []job
		foreground := map[string]bool{}
		submit := func(n int) {
			j := job{function: rng.IntN(3), priority: rng.IntN(3), number: n}
			j.argument = fmt.Sprintf("%d of f%d with priority %d", n, j.function, j.priority)
			background := rng.IntN(2)
			handle := client.Submit(packets[j.priority][background], fmt.Sprint("f", j.function), "", j.argument)
			foreground[handle] = background == 0
			waiting = append(waiting, j)
		}
		const before, more = 300, 200
		for n := range before {
			submit(n)
		}
		for n := range before + more {
			first := slices.MinFunc(waiting, func(a, b job) int {
				return slices.Compare([]int{a.function, a.priority, a.number}, []int{b.function, b.priority, b.number})
			})
			handle, argument := worker.Grab()
			if argument != first.argument {
				t.Fatalf("grab %d: got job %s, want %s", n, argument, first.argument)
			}
			waiting = slices.DeleteFunc(waiting, func(j job) bool { return j == first })
			worker.Send(codec.WorkComplete, handle, argument)
			if foreground[handle] {
				client.Want(codec.WorkComplete, handle, argument)
			}
			if n < more {
				submit(before + n)
			}
		}
		worker.Send(codec.GrabJob)
		worker.Want(codec.NoJob)
	})
}

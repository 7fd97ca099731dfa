package systest

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// --job-retries bounds how many workers may lose a job, over restarts of any kind.
func TestRetriesOverRuns(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start("--job-retries", "3")
		client := wire.Dial(t, s.Addr)
		handle := client.Submit(codec.SubmitJobBg, "f", "", "argument")
		lose := func() {
			t.Helper()
			w := able(t, s, "f")
			w.Grab()
			w.Close()
			wire.Await(t, "it is lost", func() bool { return known(client, handle) != "r" })
		}
		lose()
		s = k.restart("--job-retries", "3")
		client = wire.Dial(t, s.Addr)
		lose()
		wantKnown(t, s.Addr, "k", handle)
		s = k.restart("--job-retries", "3")
		client = wire.Dial(t, s.Addr)
		lose()
		wantKnown(t, s.Addr, "-", handle)
		s = k.restart("--job-retries", "3")
		wantKnown(t, s.Addr, "-", handle)
		wantJobs(t, s, "f")
	})
}

// No handle is assigned twice, however many and short the runs are.
func TestHandlesOverRuns(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		given := map[string]string{}
		s := k.start()
		for run := range 6 {
			client := wire.Dial(t, s.Addr)
			for i, submit := range []codec.Type{codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJob} {
				handle := client.Submit(submit, "f", "", "")
				now := fmt.Sprintf("job %d of run %d", i, run)
				if before, twice := given[handle]; twice {
					t.Errorf("handle %s of %s was that of %s", handle, now, before)
				}
				given[handle] = now
				if len(handle) > 63 {
					t.Errorf("handle %s has %d bytes", handle, len(handle))
				}
			}
			client.Close()
			if run%2 == 0 {
				s = k.kill()
			} else {
				s = k.restart()
			}
		}
	})
}

// A time far in the future, perhaps given in milliseconds by mistake, is not due after a restart either, and
// dump shows it.
func TestFarAwayJobsOverRuns(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client := wire.Dial(t, s.Addr)
		times := []string{"4000000000", "9223372036", "9223372037", "253402300799", "253402300800", "1795835859000", "1099511627776", "9223372036854775807"}
		for _, at := range times {
			client.Send(codec.SubmitJobEpoch, "f", "", at, at)
			client.WantType(codec.JobCreated)
		}
		client.Send(codec.SubmitJobEpoch, "f", "", "-9223372036854775808", "past")
		client.WantType(codec.JobCreated)
		s = k.kill()
		wantJobs(t, s, "f", "past")
		s = k.restart()
		wantJobs(t, s, "f")
		k.s.Signal(syscall.SIGKILL)
		if _, err := k.s.Wait(wire.Limit); err != nil {
			t.Fatal(err)
		}
		dump := run(t, nil, "store", "dump", k.dir)
		if n := strings.Count(dump.stdout, `"due":"2262-04-11T23:47:16Z"`); n != len(times)-1 || strings.Count(dump.stdout, `"due":"2096-10-02T07:06:40Z"`) != 1 {
			t.Errorf("dump tells of %d jobs due in 2262:\n%s", n, dump.stdout)
		}
	})
}

// TestStartOverTheBound starts with less memory than the stored jobs need. The log says so, submissions are
// refused, and workers empty the store.
func TestStartOverTheBound(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		const jobs = 1000
		s := k.start("--max-memory", "64M", "--sync", "none")
		c := wire.Dial(t, s.Addr)
		var out []byte
		for range jobs {
			out = codec.AppendRequest(out, codec.SubmitJobBg, "f", "", strings.Repeat("x", 2000))
		}
		c.Raw(out)
		for range jobs {
			c.WantType(codec.JobCreated)
		}
		if strings.Contains(s.Stderr(), "submissions are refused") {
			t.Errorf("said with room for all:\n%s", s.Stderr())
		}
		s = k.restart("--max-memory", "1M", "--sync", "none")
		wire.Await(t, "the log says that the jobs take too much", func() bool {
			text := s.Stderr()
			return strings.Contains(text, "submissions are refused") && strings.Contains(text, "max_memory=1048576")
		})
		c = wire.Dial(t, s.Addr)
		c.Send(codec.SubmitJobBg, "f", "", "x")
		c.WantType(codec.Error)
		w := able(t, s, "f")
		for range jobs {
			w.Send(codec.GrabJob)
			handle, _ := w.WantJob()
			w.Send(codec.WorkComplete, handle, "")
		}
		w.Sync()
		c.Submit(codec.SubmitJobBg, "f", "", "x")
	})
}

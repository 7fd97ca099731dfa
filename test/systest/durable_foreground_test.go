package systest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/test/wire"
)

// A background submission that joins a foreground job makes it durable, whether the job is queued or running.
// A background job that a foreground submission joins stays durable. Listeners get its end as usual.
func TestForegroundJobBecomesDurable(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		waits, client, worker := wire.Dial(t, s.Addr), wire.Dial(t, s.Addr), able(t, s, "running")
		running := waits.Submit(codec.SubmitJob, "running", "u", "same")
		worker.Grab()
		queued := waits.Submit(codec.SubmitJobHigh, "queued", "u", "same")
		alone := waits.Submit(codec.SubmitJob, "alone", "u", "same")
		for i, handle := range []string{running, queued} {
			function := []string{"running", "queued"}[i]
			if got := client.Submit(codec.SubmitJobBg, function, "u", "same"); got != handle {
				t.Errorf("%s: joined %s, want %s", function, got, handle)
			}
		}
		first := client.Submit(codec.SubmitJobBg, "first", "u", "same")
		if got := waits.Submit(codec.SubmitJob, "first", "u", "same"); got != first {
			t.Errorf("joined %s, want %s", got, first)
		}
		s = k.kill()
		wantKnown(t, s.Addr, "kkk-", running, queued, first, alone)
		for _, function := range []string{"running", "queued", "first"} {
			wantJobs(t, s, function, "same")
		}
		wantJobs(t, s, "alone")

		// The same without a kill.
		waits, client, worker = wire.Dial(t, s.Addr), wire.Dial(t, s.Addr), able(t, s, "f")
		handle := waits.Submit(codec.SubmitJob, "f", "u", "same")
		client.Submit(codec.SubmitJobBg, "f", "u", "same")
		worker.Grab()
		worker.Send(codec.WorkComplete, handle, "result")
		waits.Want(codec.WorkComplete, handle, "result")
		s = k.restart()
		wantKnown(t, s.Addr, "-", handle)
	})
}

// Foreground jobs are done as without a store, and leave nothing on disk.
func TestForegroundJobsAreNotStored(t *testing.T) {
	inBoth(t, func(t *testing.T, k *keeper) {
		s := k.start()
		client, worker := wire.Dial(t, s.Addr), able(t, s, "f")
		secret := "this is written nowhere"
		for range 100 {
			handle := client.Submit(codec.SubmitJob, "f", "", secret)
			worker.Grab()
			worker.Send(codec.WorkComplete, handle, secret)
			client.Want(codec.WorkComplete, handle, secret)
		}
		client.Submit(codec.SubmitJob, "f", "", secret)
		client.Submit(codec.SubmitJobBg, "g", "", "this is")
		k.crash() // the next one would clean up while the files are read
		files, err := filepath.Glob(filepath.Join(k.dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all += string(text)
		}
		if strings.Contains(all, secret) || !strings.Contains(all, "this is") {
			t.Errorf("the files have %d bytes, foreground: %v", len(all), strings.Contains(all, secret))
		}
	})
}

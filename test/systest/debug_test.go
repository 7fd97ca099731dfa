package systest

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"syscall"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// --debug-listen serves profiles on loopback; the end of the server does not wait for one in progress.
func TestDebugListen(t *testing.T) {
	t.Parallel()
	s := peers.Start(t, peers.Gearloop, "--debug-listen", "0", "--loops", "2")
	address := regexp.MustCompile(`msg="serving profiles" address=(http://127\.0\.0\.1:\d+/debug/pprof/)\n`)
	var found []string
	wire.Await(t, "it says where profiles are", func() bool {
		found = address.FindStringSubmatch(s.Stderr())
		return found != nil
	})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: wire.Limit}
	get := func(what string) []byte {
		t.Helper()
		r, err := client.Get(found[1] + what)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", what, r.Status, err)
		}
		return body
	}
	job := wire.Dial(t, s.Addr)
	job.Send(codec.CanDo, "f")
	handle := job.Submit(codec.SubmitJob, "f", "", "argument")
	job.Grab()
	for _, what := range []string{"heap", "allocs", "mutex", "block", "goroutine", "profile?seconds=1"} {
		if b := get(what); !bytes.HasPrefix(b, []byte("\x1f\x8b")) {
			t.Errorf("%s is not compressed: %.100q", what, b)
		}
	}
	if stacks := get("goroutine?debug=2"); !bytes.Contains(stacks, []byte("gearloop/reactor.")) {
		t.Errorf("these are not the server's goroutines: %.1000s", stacks)
	}
	job.Send(codec.WorkComplete, handle, "result")
	job.Want(codec.WorkComplete, handle, "result")

	failed := make(chan error, 1)
	go func() {
		r, err := client.Get(found[1] + "trace?seconds=300")
		if err == nil {
			failed <- nil // it has begun
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGTERM)
	ended(t, s, 0)
	if err := <-failed; err == nil {
		t.Error("a trace of five minutes was sent to its end")
	}
}

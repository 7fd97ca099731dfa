package rest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// metric returns the value of a sample, or -1 if there is none.
func (r *rig) metric(sample string) float64 {
	r.t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://localhost/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		r.t.Fatal(resp.Status, err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sample) + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		return -1
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// TestMetricsOfTheOperatorsSide: actions are counted by result and requests by status; streams are counted,
// and whether files could be read again. A reload reports what could not be read.
func TestMetricsOfTheOperatorsSide(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	line := fmt.Sprintf("ann viewer sha256:%x\n", sha256.Sum256([]byte("secret")))
	if err := os.WriteFile(tokens, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "--web", "127.0.0.1:0", "--web-tokens", tokens)
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.CanDo, "f")
	c.Submit(codec.SubmitJobBg, "f", "", "x")
	w.Grab()
	sleeper := wire.Dial(t, r.server.Addr)
	sleeper.Send(codec.CanDo, "f")
	sleeper.Send(codec.PreSleep)
	sleeper.Sync()
	for _, name := range []string{"f", "g"} {
		r.post(api.Path("functions", name, "pause"), nil)
	}
	r.post(api.Path("functions", "g", "resume"), nil)
	r.post(api.Path("functions", "g", "close"), nil)
	r.fails("POST", api.Path("jobs", "H:x:1", "cancel"), nil, nil)
	started := r.metric("gearloop_config_last_reload_timestamp_seconds")
	for sample, want := range map[string]float64{
		`gearloop_admin_actions_total{action="pause",result="ok"}`:         2,
		`gearloop_admin_actions_total{action="resume",result="ok"}`:        1,
		`gearloop_admin_actions_total{action="cancel",result="Not Found"}`: 1,
		`gearloop_http_requests_total{route="api",code="200"}`:             4,
		`gearloop_http_requests_total{route="api",code="404"}`:             1,
		`gearloop_http_request_seconds_count{route="api"}`:                 5,
		`gearloop_function_paused{function="f"}`:                           1,
		`gearloop_function_closed{function="f"}`:                           -1,
		`gearloop_function_paused{function="g"}`:                           -1,
		`gearloop_function_closed{function="g"}`:                           1,
		`gearloop_workers_busy{function="f"}`:                              1,
		`gearloop_workers_sleeping{function="f"}`:                          1,
		`gearloop_workers_sleeping{function="g"}`:                          0,
		`gearloop_config_last_reload_success`:                              1,
		`gearloop_events_streams`:                                          0,
	} {
		got := 0.0
		await.UntilSaid(t, func() bool { // sleeping workers are counted with a second's delay
			got = r.metric(sample)
			return got == want || !strings.HasPrefix(sample, "gearloop_workers")
		}, func() string { return sample })
		if got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	stream, err := r.client.Stream(ctx, "events", nil, "text/event-stream")
	if err != nil {
		t.Fatal(err)
	}
	if n := r.metric("gearloop_events_streams"); n != 1 {
		t.Errorf("%v streams", n)
	}
	cancel()
	stream.Close()
	await.Until(t, "the stream has ended", func() bool { return r.metric("gearloop_events_streams") == 0 })

	if err := os.WriteFile(tokens, []byte("ann viewer nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := r.fails("POST", "reload", nil, nil); p.Status != 500 || !strings.Contains(p.Detail, "the old ones stay in use") || !strings.Contains(p.Detail, tokens) {
		t.Errorf("reloaded with faulty tokens: %+v", p)
	}
	if ok, at := r.metric("gearloop_config_last_reload_success"), r.metric("gearloop_config_last_reload_timestamp_seconds"); ok != 0 || at <= started {
		t.Errorf("reloaded %v, at %v after %v", ok, at, started)
	}
	if err := os.WriteFile(tokens, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	r.post("reload", nil)
	if ok := r.metric("gearloop_config_last_reload_success"); ok != 1 {
		t.Errorf("reloaded %v", ok)
	}
}

package rest_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/wire"
)

// TestViewersSeeNumbers: a viewer gets numbers and names of functions; handles, unique ids, client ids,
// addresses of peers, arguments, and who set what and why are for readers. Nothing of these is in anything
// that a viewer can get.
func TestViewersSeeNumbers(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	text := ""
	for _, role := range []string{"viewer", "reader"} {
		text += fmt.Sprintf("%s-name %s sha256:%x\n", role, role, sha256.Sum256([]byte(role)))
	}
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := newRig(t, "--web", "127.0.0.1:0", "--web-tokens", tokens, "--data-dir", dir)
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.SetClientID, "client-secret")
	w.Send(codec.CanDo, "f")
	c.Submit(codec.SubmitJob, "f", "unique-secret", "argument-secret")
	w.Grab()
	handle := c.Submit(codec.SubmitJobBg, "f", "unique-secret-2", "argument-secret")
	c.Submit(codec.SubmitJobBg, "left", "", "x")
	gone := wire.Dial(t, r.server.Addr)
	gone.Send(codec.SetClientID, "gone-secret")
	gone.Send(codec.CanDo, "left")
	gone.Sync()
	gone.Close()
	wire.Await(t, "the worker has gone", func() bool { return slices.Contains(c.Table("status"), "left\t1\t0\t0") })
	r.post(api.Path("functions", "p", "pause"), api.Pause{Reason: "reason-secret"})
	r.post(api.Path("functions", "q", "close"), api.Pause{Reason: "reason-secret"})
	secrets := []string{"secret", handle, c.LocalAddr().String(), w.LocalAddr().String(), `"socket"`, dir, r.server.Addr}
	address := r.server.Web()
	read := func(role, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+role)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			b := make([]byte, 1<<16)
			n, err := io.ReadAtLeast(resp.Body, b, 1024)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(b[:n])
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, path := range []string{"server", "functions", "functions/f", "functions/left", "functions/p", "functions/f/explain", "functions/left/explain",
		"functions/p/explain", "functions/q/explain", "memory", "loops", "events", "history", "store"} {
		status, body := read("viewer", api.Prefix+path)
		if status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
		for _, s := range secrets {
			if strings.Contains(body, s) {
				t.Errorf("a viewer finds %s in %s:\n%s", s, path, body)
			}
		}
	}
	for _, path := range []string{"/", "/functions", "/functions/f", "/functions/left", "/functions/p", "/functions/q", "/system", "/find?q=unique-secret"} {
		status, body := read("viewer", path)
		if status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
		for _, s := range secrets {
			if strings.Contains(strings.ReplaceAll(body, "unique-secret", ""), s) && !strings.HasPrefix(path, "/find") {
				t.Errorf("a viewer finds %s in %s:\n%s", s, path, body)
			}
		}
	}
	for _, path := range []string{"jobs", "jobs/" + handle, "jobs/" + handle + "/explain", "jobs/" + handle + "/argument", "connections"} {
		if status, _ := read("viewer", api.Prefix+path); status != http.StatusForbidden {
			t.Errorf("a viewer's %s has status %d", path, status)
		}
		if status, _ := read("reader", api.Prefix+path); status != http.StatusOK {
			t.Errorf("a reader's %s has status %d", path, status)
		}
	}
	for path, secret := range map[string]string{"functions/p": "reason-secret", "functions/left/explain": "gone-secret", "server": "reason-secret", "events": "reason-secret"} {
		if _, body := read("reader", api.Prefix+path); !strings.Contains(body, secret) {
			t.Errorf("a reader does not find %s in %s:\n%s", secret, path, body)
		}
	}
	if status, body := read("viewer", api.Prefix+"functions/f"); status != http.StatusOK || !strings.Contains(body, `"running":1`) {
		t.Errorf("%d %s", status, body)
	}
}

// TestNextJobs: the jobs of a function in the order in which workers get them, page by page, and its workers.
func TestNextJobs(t *testing.T) {
	r := newRig(t)
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.SetClientID, "w")
	w.Send(codec.CanDo, "f")
	other := wire.Dial(t, r.server.Addr)
	other.Send(codec.CanDo, "ff")
	other.Sync()
	w.Sync()
	want := []string{c.Submit(codec.SubmitJobBg, "f", "", "1"), c.Submit(codec.SubmitJobBg, "f", "", "2"), c.Submit(codec.SubmitJobLowBg, "f", "", "3")}
	want = append([]string{c.Submit(codec.SubmitJobHighBg, "f", "", "4")}, want...)
	var got []string
	query := map[string][]string{"function": {"f"}, "order": {"next"}, "limit": {"3"}}
	for {
		page := get[api.Page[api.Job]](r, "jobs", query)
		for _, j := range page.Items {
			got = append(got, j.Handle)
			if j.Queued == nil {
				t.Errorf("%s waits since no time", j.Handle)
			}
		}
		if page.Next == "" {
			break
		}
		query["cursor"] = []string{page.Next}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v come next, want %v", got, want)
	}
	for _, q := range []map[string][]string{
		{"order": {"next"}}, {"order": {"last"}}, {"order": {"next"}, "function": {"f"}, "state": {"running"}},
		{"order": {"next"}, "function": {"f"}, "unique": {"x"}},
		{"order": {"next"}, "function": {"f*"}}, {"order": {"next"}, "function": {"?"}},
	} {
		if p := r.fails("GET", "jobs", q, nil); p.Status != http.StatusBadRequest {
			t.Errorf("%v: %+v", q, p)
		}
	}
	c.Submit(codec.SubmitJobBg, "f*", "", "a function may have such a name")
	page := get[api.Page[api.Job]](r, "jobs", map[string][]string{"function": {"f*"}, "order": {"next"}})
	if len(page.Items) != 1 {
		t.Errorf("next of f*: %+v", page.Items)
	}
	if all := get[api.Page[api.Connection]](r, "connections", map[string][]string{"function": {"f"}}); len(all.Items) != 1 || all.Items[0].ClientID != "w" {
		t.Errorf("workers of f: %+v", all.Items)
	}
	foreground := wire.Dial(t, r.server.Addr)
	job := get[api.Job](r, api.Path("jobs", foreground.Submit(codec.SubmitJob, "g", "", "x")), nil)
	if len(job.Clients) != 1 || job.Clients[0].Address != foreground.LocalAddr().String() {
		t.Errorf("submitted by %+v, want %s", job.Clients, foreground.LocalAddr())
	}
}

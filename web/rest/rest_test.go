package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// rig is a broker with its API, used as an admin.
type rig struct {
	t      *testing.T
	server *peers.Server
	client *api.Client
	socket string
}

func newRig(t *testing.T, args ...string) *rig {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	r := &rig{t: t, socket: socket}
	r.server = peers.Start(t, peers.Gearloop, append([]string{"--admin-socket", socket}, args...)...)
	var err error
	if r.client, err = api.NewClient("unix:"+checked(t, socket), "", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	return r
}

// get reads a resource, whose fields must be those of the type.
func get[T any](r *rig, path string, query url.Values) (v T) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	body, err := r.client.Stream(ctx, path, query, "application/json")
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	defer body.Close()
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return v
}

// fails reads a resource, which must be refused.
func (r *rig) fails(method, path string, query url.Values, in any) *api.Problem {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	var err error
	switch method {
	case "GET":
		err = r.client.Get(ctx, path, query, nil)
	case "POST":
		err = r.client.Post(ctx, path, in, nil)
	case "DELETE":
		err = r.client.Delete(ctx, path, nil)
	}
	var p *api.Problem
	if !errors.As(err, &p) {
		r.t.Errorf("%s %s: %v, want a problem", method, path, err)
		return &api.Problem{}
	}
	return p
}

// TestReads reads every resource of a broker with jobs in every state that a test can make.
func TestReads(t *testing.T) {
	r := newRig(t, "--data-dir", t.TempDir())
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	name := "mail/send \"<b>\" größe"
	w.Send(codec.SetClientID, "worker-1")
	w.Send(codec.CanDo, name)
	running := c.Submit(codec.SubmitJob, name, "", "running")
	w.Grab()
	waiting := c.Submit(codec.SubmitJobHighBg, name, "u1", "\xff\x00 bytes")
	large := c.Submit(codec.SubmitJobBg, name, "u2", strings.Repeat("大", 3000))
	c.Send(codec.SubmitJobEpoch, "later", "", fmt.Sprint(time.Now().Add(time.Hour).Unix()), "x")
	delayed := string(c.WantType(codec.JobCreated).Data)

	s := get[api.Server](r, "server", nil)
	if s.Role != "admin" || s.State != api.Ready || s.Totals.Waiting != 2 || s.Totals.Running != 1 || s.Totals.Delayed != 1 || s.Totals.Submitted != 4 || s.PID != r.server.PID {
		t.Errorf("server %+v", s)
	}
	f := get[api.Function](r, api.Path("functions", name), nil)
	if f.Name != name || f.Waiting != 2 || f.High != 1 || f.Normal != 1 || f.Running != 1 || f.Workers != 1 ||
		f.Submitted != 3 || f.Background != 2 || f.HandedOut != 1 {
		t.Errorf("function %+v", f)
	}
	list := get[api.Page[api.Function]](r, "functions", url.Values{"match": {"mail*"}, "sort": {"-name"}})
	if len(list.Items) != 1 || list.Total == nil || *list.Total != 1 || list.Looked != 2 {
		t.Errorf("functions %+v", list)
	}
	j := get[api.Job](r, api.Path("jobs", running), nil)
	if j.State != api.JobRunning || j.Worker == nil || j.Worker.ID == "" || j.HandedOut == nil || j.Background || j.Listeners != 1 {
		t.Errorf("the running job %+v", j)
	}
	if j := get[api.Job](r, api.Path("jobs", waiting), nil); j.State != api.JobWaiting || j.Priority != "high" || !j.Stored || j.Unique != "u1" || j.ArgumentSize != 8 || j.Submitted == nil {
		t.Errorf("the waiting job %+v", j)
	}
	if j := get[api.Job](r, api.Path("jobs", delayed), nil); j.State != api.JobDelayed || j.Due == nil {
		t.Errorf("the delayed job %+v", j)
	}
	if e := get[api.Explanation](r, api.Path("jobs", large, "explain"), nil); e.Function != name || e.Handle != large || e.State != api.JobWaiting ||
		len(e.Causes) != 2 || e.Causes[0].Kind != api.CauseBehind || e.Causes[1].Kind != api.CauseAllBusy || e.Causes[1].Peer == nil ||
		e.Causes[1].Peer.ClientID != "worker-1" {
		t.Errorf("why the last job waits: %+v", e)
	}
	if e := get[api.Explanation](r, api.Path("functions", "later", "explain"), nil); len(e.Causes) != 1 || e.Causes[0].Kind != api.CauseDelayed {
		t.Errorf("why jobs for later wait: %+v", e)
	}
	if found := get[api.Page[api.Job]](r, "jobs", url.Values{"unique": {"u2"}}); len(found.Items) != 1 || found.Items[0].Handle != large || found.Looked != 1 {
		t.Errorf("by unique id %+v", found)
	}
	seen := map[string]bool{}
	for cursor := ""; ; {
		page := get[api.Page[api.Job]](r, "jobs", url.Values{"limit": {"1"}, "cursor": {cursor}})
		for _, j := range page.Items {
			seen[j.Handle] = true
		}
		if cursor = page.Next; cursor == "" || len(seen) > 4 {
			break
		}
	}
	if len(seen) != 4 {
		t.Errorf("pages of one job each: %v", seen)
	}
	if a := get[api.Argument](r, api.Path("jobs", waiting, "argument"), nil); string(a.ArgumentBase64) != "\xff\x00 bytes" || a.Size != 8 || a.Truncated {
		t.Errorf("argument %+v", a)
	}
	if a := get[api.Argument](r, api.Path("jobs", large, "argument"), nil); !a.Truncated || a.Size != 9000 || !strings.HasPrefix(a.Argument, "大大") || a.ArgumentBase64 != nil {
		t.Errorf("argument of %d bytes, %v, %d", a.Size, a.Truncated, len(a.Argument))
	}
	raw, err := r.client.Stream(context.Background(), api.Path("jobs", large, "argument"), url.Values{"raw": {""}}, "application/octet-stream")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if b, err := io.ReadAll(raw); err != nil || len(b) != 9000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	workers := get[api.Page[api.Connection]](r, "connections", url.Values{"workers": {"true"}})
	if len(workers.Items) != 1 || workers.Items[0].ClientID != "worker-1" || workers.Items[0].FunctionsAll != 1 {
		t.Errorf("workers %+v", workers)
	}
	one := get[api.Connection](r, api.Path("connections", workers.Items[0].ID), nil)
	if one.Address != workers.Items[0].Address {
		t.Errorf("connection %+v", one)
	}
	if loops := get[api.Page[api.Loop]](r, "loops", nil); len(loops.Items) == 0 {
		t.Error("no loops")
	}
	var n api.Network
	await.Until(t, "the loops have told of their bytes", func() bool {
		n = get[api.Network](r, "network", nil)
		return n.Received > 0 && n.Sent > 0
	})
	accepted := api.Count(0)
	for _, k := range n.Accepted {
		accepted += k
	}
	if accepted < 2 || n.Descriptors.Used < 5 || n.Descriptors.Limit <= n.Descriptors.Used || len(n.Closed) == 0 || len(n.Handshakes) != 3 {
		t.Errorf("network %+v", n)
	}
	if m := get[api.Memory](r, "memory", nil); m.RSS == 0 || m.Parts["jobs"] == 0 {
		t.Errorf("memory %+v", m)
	}
	if st := get[api.Store](r, "store", nil); st.Jobs != 3 || !st.Up || st.Sync != "always" {
		t.Errorf("store %+v", st)
	}
	get[api.Page[api.Option]](r, "options", nil)
	get[api.History](r, "history", nil)
	var h api.History
	await.UntilSaid(t, func() bool {
		h = get[api.History](r, "history", url.Values{"step": {"1"}})
		values := h.Series[api.SeriesWaiting]
		return h.Step == 1 && len(values) == len(h.Times) && len(values) > 0 && values[len(values)-1] == 2
	}, func() string { return fmt.Sprintf("history %+v", h) })
	get[api.History](r, "history", url.Values{"step": {"300"}})
}

// TestMistakes: each gets a problem document that names the mistake.
func TestMistakes(t *testing.T) {
	r := newRig(t)
	for _, m := range []struct {
		method, path string
		query        url.Values
		body         any
		status       int
		says         string
	}{
		{"GET", "nothing", nil, nil, 404, "there is no /api/v1/nothing here"},
		{"GET", "functions/none", nil, nil, 404, `there is no function "none"`},
		{"GET", "functions", url.Values{"sort": {"size"}}, nil, 400, `sort is "size"`},
		{"GET", "functions", url.Values{"limit": {"0"}}, nil, 400, `limit is "0"`},
		{"GET", "functions", url.Values{"limit": {"1001"}}, nil, 400, "limit is 1001"},
		{"GET", "functions", url.Values{"mach": {"x"}}, nil, 400, `there is no parameter "mach"`},
		{"GET", "functions", url.Values{"cursor": {"x"}}, nil, 400, "cursor"},
		{"GET", "jobs", url.Values{"state": {"done"}}, nil, 400, `state is "done"`},
		{"GET", "jobs", url.Values{"older_than_seconds": {"soon"}}, nil, 400, `older_than_seconds is "soon"`},
		{"GET", "jobs/H:x:1", nil, nil, 404, `there is no job "H:x:1"`},
		{"GET", "jobs/H:x:1/argument", nil, nil, 404, "there is no job"},
		{"GET", "connections/x", nil, nil, 404, "there is no connection"},
		{"GET", "store", nil, nil, 404, "started without --data-dir"},
		{"GET", "history", url.Values{"step": {"2"}}, nil, 400, "step is 2"},
		{"GET", "events", url.Values{"topic": {"x"}}, nil, 400, `topic is "x"`},
		{"POST", "jobs/H:x:1/cancel", nil, api.Reason{}, 404, "there is no job"},
		{"POST", "functions/f/jobs", nil, map[string]string{"argumnt": "x"}, 400, "argumnt"},
		{"POST", "functions/f/jobs", nil, api.Submit{Priority: "top"}, 400, `priority is "top"`},
		{"POST", "functions/a%00b/jobs", nil, api.Submit{}, 400, "NUL"},
		{"POST", "functions/f/jobs", nil, "text", 400, "not valid for this action"},
		{"DELETE", "connections/999999", nil, nil, 404, "there is no connection"},
		{"POST", "server", nil, nil, 405, "ask with GET"},
		{"GET", "drain", nil, nil, 405, "ask with POST"},
		{"POST", "connections/1", nil, nil, 405, "ask with DELETE or GET"},
	} {
		p := r.fails(m.method, m.path, m.query, m.body)
		if p.Status != m.status || !strings.Contains(p.Detail, m.says) || p.Title == "" || p.Type != "about:blank" {
			t.Errorf("%s %s %v: %+v, want status %d and %q", m.method, m.path, m.query, p, m.status, m.says)
		}
	}
}

// TestActions: actions take effect and are in the audit log.
func TestActions(t *testing.T) {
	r := newRig(t, "--data-dir", t.TempDir())
	ctx := context.Background()
	c, w := wire.Dial(t, r.server.Addr), wire.Dial(t, r.server.Addr)
	w.Send(codec.CanDo, "f")
	waits := c.Submit(codec.SubmitJob, "g", "", "x")
	var done api.Done
	if err := r.client.Post(ctx, api.Path("jobs", waits, "cancel"), api.Reason{Reason: "not needed"}, &done); err != nil || done.Count != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	c.Want(codec.WorkFail, waits)
	runs := c.Submit(codec.SubmitJob, "f", "", "x")
	w.Grab()
	if err := r.client.Post(ctx, api.Path("jobs", runs, "cancel"), nil, nil); err != nil {
		t.Fatal(err)
	}
	c.Want(codec.WorkFail, runs)

	var submitted api.Submitted
	if err := r.client.Post(ctx, "functions/f/jobs", api.Submit{ArgumentBase64: []byte("\x00\xff"), Unique: "u", Reason: "try"}, &submitted); err != nil {
		t.Fatal(err)
	}
	w.Send(codec.WorkComplete, runs, "late")
	if handle, argument := w.Grab(); handle != submitted.Handle || argument != "\x00\xff" {
		t.Errorf("got %s %q, want %s", handle, argument, submitted.Handle)
	}
	workers := get[api.Page[api.Connection]](r, "connections", url.Values{"workers": {"true"}})
	if err := r.client.Delete(ctx, api.Path("connections", workers.Items[0].ID), nil); err != nil {
		t.Fatal(err)
	}
	w.WantEnd()
	if err := r.client.Post(ctx, "reload", nil, nil); err != nil {
		t.Fatal(err)
	}
	r.fails("POST", "jobs/H:x:1/cancel", nil, nil)
	var told []string
	for _, e := range get[api.Page[api.AuditEntry]](r, "audit", nil).Items {
		told = append(told, fmt.Sprint(e.Action, " ", e.Reason, " ", e.Result, " ", e.By))
	}
	if got, want := strings.Join(told, "\n"), "cancel  Not Found socket\nreload  ok socket\ndisconnect  ok socket\nsubmit try ok socket\n"+
		"cancel  ok socket\ncancel not needed ok socket"; got != want {
		t.Errorf("audit log:\n%s\nwant:\n%s", got, want)
	}
	if err := r.client.Post(ctx, "drain", api.Reason{Reason: "upgrade"}, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if code, err := r.server.Wait(await.Limit); err != nil || code != 0 {
		t.Errorf("the broker ended with %d, %v", code, err)
	}
}

// TestStream: events arrive while somebody listens, and the stream does not delay the end.
func TestStream(t *testing.T) {
	r := newRig(t)
	role := get[api.Server](r, "server", nil).Role
	body, err := r.client.Stream(context.Background(), "events", nil, "text/event-stream")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for events := 0; events < 2 && lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			events++
			var s api.Server
			if err := json.Unmarshal([]byte(data), &s); err != nil || s.State != api.Ready || s.Role != role || role == "" {
				t.Errorf("%s, %v", data, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	r.server.Stop()
}

// TestRoles checks on every route who may use it over the network.
func TestRoles(t *testing.T) {
	r := newRig(t, "--web", "127.0.0.1:0", "--web-anonymous", "viewer")
	address := r.server.Web()
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "server", 200}, {"GET", "functions", 200}, {"GET", "jobs", 403}, {"GET", "connections", 403}, {"GET", "loops", 200},
		{"GET", "jobs/H:x:1", 403}, {"GET", "jobs/H:x:1/explain", 403}, {"GET", "connections/1", 403}, {"GET", "events?topic=totals", 200},
		{"GET", "memory", 200}, {"GET", "options", 403}, {"GET", "audit", 403}, {"GET", "jobs/H:x:1/argument", 403},
		{"GET", "jobs?argument=x", 403}, {"GET", "operations", 403},
		{"GET", "events?topic=operations", 403}, {"POST", "operations", 403}, {"POST", "functions/f/jobs", 403}, {"POST", "jobs/H:x:1/cancel", 403},
		{"DELETE", "connections/1", 403}, {"POST", "drain", 403}, {"POST", "reload", 403},
	} {
		req, err := http.NewRequest(c.method, address+api.Prefix+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("a viewer's %s %s: %d, want %d", c.method, c.path, resp.StatusCode, c.want)
		}
	}
}
